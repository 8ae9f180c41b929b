//! config.ini text -> entries with their line numbers.
//!
//! The scanner knows sections, keys, comments and quotes; it does not know which keys exist.
//! There are no escapes and no continued lines, so `C:\new` is what it looks like.

use std::collections::HashMap;

use super::error::ConfigError;

/// One `key = value`, with what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// All that a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Every section, once, with the line of its first header.
    pub(super) sections: Vec<(String, usize)>,
    pub(super) entries: Vec<Entry>,
}

/// Reads `text`; `file` is only for messages. A section may be opened again further down.
pub(super) fn scan(text: &str, file: &str) -> Result<Scanned, ConfigError> {
    let mut scanned = Scanned::default();
    let mut first_line_of = HashMap::new();
    let mut section: Option<String> = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let fail = |message: String| ConfigError::in_file(file, Some(number), message);
        let line = raw.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if line.contains(|c: char| c.is_control() && c != '\t') {
            return Err(fail("a control character; config.ini is plain text".to_owned()));
        }
        if let Some(header) = line.strip_prefix('[') {
            let name = section_name(header).map_err(fail)?;
            if !scanned.sections.iter().any(|(known, _)| known == name) {
                scanned.sections.push((name.to_owned(), number));
            }
            section = Some(name.to_owned());
            continue;
        }
        let (key, value) = key_and_value(line).map_err(fail)?;
        let Some(section) = &section else {
            let message = format!("{key:?} stands before any section; write [server] or so above");
            return Err(fail(message));
        };
        if let Some(first) = first_line_of.insert((section.clone(), key.to_owned()), number) {
            let message = format!("{key:?} is set twice; the first is on line {first}");
            let mut error = fail(message);
            error.section.clone_from(section);
            key.clone_into(&mut error.key);
            return Err(error);
        }
        scanned.entries.push(Entry {
            section: section.clone(),
            key: key.to_owned(),
            value: value.to_owned(),
            line: number,
        });
    }
    Ok(scanned)
}

/// `header` is the line after its `[`.
fn section_name(header: &str) -> Result<&str, String> {
    let Some((name, rest)) = header.split_once(']') else {
        return Err(format!("a section header needs its closing bracket: [{}]", header.trim()));
    };
    if !without_comment(rest).is_empty() {
        return Err(format!("text after the section header [{name}]; put it on its own line"));
    }
    let name = name.trim();
    if is_name(name) {
        Ok(name)
    } else {
        Err(format!(
            "[{name}] is no section name; it takes letters, digits, \".\", \"_\" and \"-\""
        ))
    }
}

/// All that a message may quote of a line without a key: the rest may be a password.
fn first_word(text: &str) -> &str {
    let is_end = |letter: char| letter == ':' || letter.is_whitespace();
    text.split(is_end).next().unwrap_or_default()
}

fn key_and_value(line: &str) -> Result<(&str, &str), String> {
    let Some((key, value)) = line.split_once('=') else {
        let word = first_word(without_comment(line));
        return Err(format!("{word:?} is neither a [section] nor a key; write key = value"));
    };
    let key = key.trim();
    if !is_name(key) {
        let key = first_word(key);
        return Err(format!("{key:?} is no key; it takes letters, digits, \".\", \"_\" and \"-\""));
    }
    let value = value.trim();
    Ok((key, quoted(value).unwrap_or_else(|| without_comment(value))))
}

/// The inside of a value that is wholly quoted, so that ` #` and outer spaces can be written.
fn quoted(value: &str) -> Option<&str> {
    let (inside, rest) = value.strip_prefix('"')?.split_once('"')?;
    without_comment(rest).is_empty().then_some(inside)
}

/// A comment starts at `;` or `#` after white space, or at the very start of `text`.
fn without_comment(text: &str) -> &str {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if matches!(c, ';' | '#') && before.is_whitespace() {
            return text.get(..at).unwrap_or(text).trim();
        }
        before = c;
    }
    text.trim()
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
