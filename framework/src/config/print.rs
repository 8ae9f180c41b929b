//! `maypole config print`: what holds, and who said so.

use std::fmt::Write as _;

use super::reader::shown;
use super::{Config, Origin};

pub(super) fn describe(config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in &config.settings {
        if setting.section != section {
            section = &setting.section;
            header(&mut text, section);
        }
        let origin = match (&setting.origin, setting.default) {
            (Origin::Default, _) => "default".to_owned(),
            (origin, default) if default == setting.effective => origin.to_string(),
            (origin, "") => format!("{origin} (default: empty)"),
            (origin, default) => format!("{origin} (default: {default})"),
        };
        line(&mut text, setting.key, &setting.effective, &origin);
    }
    for section in &config.sections {
        header(&mut text, section.name());
        for given in section.values() {
            line(&mut text, &given.key, &given.value, &given.origin.to_string());
        }
    }
    text
}

fn header(text: &mut String, section: &str) {
    let gap = if text.is_empty() { "" } else { "\n" };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{gap}[{section}]");
}

fn line(text: &mut String, key: &str, value: &str, origin: &str) {
    let value = shown(key, value);
    let needs_quotes = value.contains([';', '#']) || value.trim() != value;
    let quote = if needs_quotes && !value.contains('"') { "\"" } else { "" };
    let setting = format!("{key} = {quote}{value}{quote}");
    let _ = writeln!(text, "{setting:<36} ; {origin}");
}
