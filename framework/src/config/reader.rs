//! Reading one key after the other, and remembering what was read and where it came from.

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
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) default: &'static str,
    /// What holds, in the words of config.ini.
    pub(super) effective: String,
    pub(super) origin: Origin,
}

impl Setting {
    /// `MAYPOLE_SESSION_FILE_PATH` for `path` in `[session.file]`.
    pub(super) fn variable(&self) -> String {
        variable(self.section, self.key)
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
    section: &'static str,
    pub(super) settings: Vec<Setting>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(given: &'a Given) -> Self {
        Self { given, section: "", settings: Vec::new() }
    }

    /// The following keys belong to `[section]`.
    pub(super) fn section(&mut self, section: &'static str) {
        self.section = section;
    }

    /// The value of `key`: what is written, or else `default`, as `read` understands it.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Outcome<T> {
        let section = self.section;
        let written = self.given.find(section, key);
        let (text, origin) = match written {
            Some(given) => (given.value.as_str(), given.origin.clone()),
            None => (default, Origin::Default),
        };
        let value = read(text).map_err(|message| {
            let shown = shown(key, text);
            let message = format!("{key} = {shown:?}: {message}");
            Box::new(ConfigError::new(origin.clone(), section, key, message))
        })?;
        let effective = text.to_owned();
        self.settings.push(Setting { section, key, default, effective, origin });
        Ok(value)
    }

    /// Whether the key read last was written by somebody.
    pub(super) fn is_written(&self) -> bool {
        self.settings.last().is_some_and(|setting| setting.origin != Origin::Default)
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
    without_password(value).unwrap_or_else(|| value.to_owned())
}

/// `redis://user:***@host` for a URL that carries a password.
fn without_password(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let (user_and_password, host) = authority.rsplit_once('@')?;
    let (user, _) = user_and_password.split_once(':')?;
    Some(format!("{scheme}://{user}:***@{host}{path}"))
}
