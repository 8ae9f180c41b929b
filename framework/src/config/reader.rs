//! Reading one key after the other, and remembering what was read and where it came from.

use std::borrow::Cow;
use std::fmt;

use super::error::{ConfigError, Origin};

/// Boxed, since the frame of a function that reads twenty keys holds every one of its results.
pub(super) type Outcome<T> = Result<T, Box<ConfigError>>;

/// What the file and the environment say: at most one value for a key.
#[derive(Clone, Default)]
pub(super) struct Given {
    /// The file's name, if there is a file.
    pub(super) file: Option<String>,
    pub(super) values: Vec<GivenValue>,
    /// The names of the `[redis.NAME]` beside `default`.
    pub(super) redis: Vec<String>,
}

/// One written value. Not `Debug`, since it may be a secret.
#[derive(Clone)]
pub(super) struct GivenValue {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

impl Given {
    pub(super) fn find(&self, section: &str, key: &str) -> Option<&GivenValue> {
        self.values.iter().find(|given| given.section == section && given.key == key)
    }

    /// Puts a value in the place of an earlier one of the same key.
    pub(super) fn set(&mut self, new: GivenValue) {
        self.values.retain(|old| old.section != new.section || old.key != new.key);
        self.values.push(new);
    }
}

/// One key of the table as it was read.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) section: Cow<'static, str>,
    pub(super) key: &'static str,
    pub(super) default: &'static str,
    /// What holds, in the words of config.ini.
    pub(super) effective: String,
    pub(super) origin: Origin,
}

impl Setting {
    /// `MAYPOLE_SESSION_FILE_PATH` for `path` in `[session.file]`.
    pub(super) fn variable(&self) -> String {
        variable(&self.section, self.key)
    }
}

/// Secrets are shown as `***`.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = shown(self.key, &self.effective);
        write!(f, "[{}] {} = {value} ({})", self.section, self.key, self.origin)
    }
}

/// The environment variable that sets `key` in `[section]`.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("MAYPOLE_{section}_{key}").replace(['.', '-'], "_").to_ascii_uppercase()
}

/// Hands out the values of the table's keys, in the table's order.
pub(super) struct Keys<'a> {
    given: &'a Given,
    section: Cow<'static, str>,
    pub(super) settings: Vec<Setting>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(given: &'a Given) -> Self {
        Self { given, section: Cow::Borrowed(""), settings: Vec::new() }
    }

    /// The following keys belong to `[section]`.
    pub(super) fn section(&mut self, section: impl Into<Cow<'static, str>>) {
        self.section = section.into();
    }

    /// The value of `key`: what is written, or else `default`, as `read` understands it.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Outcome<T> {
        let section = self.section.clone();
        let written = self.given.find(&section, key);
        let (text, origin) = match written {
            Some(given) => (given.value.as_str(), given.origin.clone()),
            None => (default, Origin::Default),
        };
        let value = read(text).map_err(|message| {
            let shown = shown(key, text);
            let message = format!("{key} = {shown:?}: {message}");
            Box::new(ConfigError::new(origin.clone(), &section, key, message))
        })?;
        let effective = text.to_owned();
        self.settings.push(Setting { section, key, default, effective, origin });
        Ok(value)
    }

    /// Whether the key read last was written by somebody.
    pub(super) fn is_written(&self) -> bool {
        self.settings.last().is_some_and(|setting| setting.origin != Origin::Default)
    }

    /// The keys of this section that somebody wrote, as far as they were read.
    pub(super) fn written(&self) -> Vec<(&'static str, Origin)> {
        let is_written = |setting: &&Setting| {
            setting.section == self.section && setting.origin != Origin::Default
        };
        let written = self.settings.iter().filter(is_written);
        written.map(|setting| (setting.key, setting.origin.clone())).collect()
    }

    /// The name of the file, if there is one.
    pub(super) fn file(&self) -> Option<String> {
        self.given.file.clone()
    }

    /// An error about the key of this section that was written and read last.
    pub(super) fn error(&self, message: &str) -> Box<ConfigError> {
        let is_guilty = |setting: &&Setting| {
            setting.section == self.section && setting.origin != Origin::Default
        };
        let (origin, key) = match self.settings.iter().rev().find(is_guilty) {
            Some(setting) => (setting.origin.clone(), setting.key),
            None => (Origin::Default, ""),
        };
        Box::new(ConfigError::new(origin, &self.section, key, message.to_owned()))
    }

    /// The key read last leaves the value to maypole, which takes `effective`.
    pub(super) fn becomes(&mut self, effective: &str) {
        if let Some(setting) = self.settings.last_mut() {
            effective.clone_into(&mut setting.effective);
        }
    }
}

/// `value`, or stars where printing it would print a secret: the value of a key that is named
/// like one, or the password inside a URL.
pub(super) fn shown(key: &str, value: &str) -> String {
    const SECRET_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "dsn"];
    let key = key.to_ascii_lowercase();
    let is_secret = SECRET_WORDS.iter().any(|word| key.contains(word))
        || key == "key"
        || key.ends_with("_key")
        || key.ends_with("-key");
    if is_secret && !value.is_empty() {
        return "***".to_owned();
    }
    let names_servers = ["url", "nodes", "sentinels"].iter().any(|word| key.contains(word));
    without_passwords(value, names_servers)
}

/// `redis://user:***@host` for each URL in `value` that carries a password. What could be one is
/// hidden: a password may hold slashes, and several URLs may stand in one value.
///
/// With `names_servers` also before the first `://`: who forgot it has written the password all the
/// same.
fn without_passwords(value: &str, names_servers: bool) -> String {
    let mut text = String::new();
    for (n, part) in value.split("://").enumerate() {
        if n > 0 {
            text.push_str("://");
        } else if !names_servers {
            text.push_str(part);
            continue;
        }
        match part.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => {
                text.push_str(user);
                text.push_str(":***@");
                text.push_str(host);
            }
            None => text.push_str(part),
        }
    }
    without_password_parameters(text)
}

/// Hides `password=...` and the like in the query of a URL.
fn without_password_parameters(text: String) -> String {
    const NAMES: [&str; 3] = ["password=", "passwd=", "secret="];
    let mut rest = text.as_str();
    let mut shown = String::new();
    loop {
        let lower = rest.to_ascii_lowercase();
        let starts = NAMES.iter().filter_map(|name| Some(lower.find(name)? + name.len()));
        let Some((before, after)) = starts.min().and_then(|at| rest.split_at_checked(at)) else {
            break;
        };
        shown.push_str(before);
        shown.push_str("***");
        let end = after.find(['&', ' ', ',', ';']).unwrap_or(after.len());
        rest = after.get(end..).unwrap_or_default();
    }
    if shown.is_empty() {
        return text;
    }
    shown + rest
}
