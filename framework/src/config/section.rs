//! Free sections: `[custom]`, `[custom.NAME]` and the options of a registered store,
//! `[session.NAME]`. maypole checks their form and leaves their meaning to the program.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::{ConfigError, Origin};
use super::reader::{GivenValue, shown};
use super::suggest::did_you_mean;
use super::value;

/// One section of the program's own, from config.ini and the environment.
///
/// ```
/// use maypole::config::Config;
///
/// let text = "[custom.mail]\nhost = mx.example.org\nretry = 30s\n";
/// let config = Config::parse(text, "config.ini")?;
/// let mail = config.section("custom.mail").unwrap();
/// assert_eq!(mail.require("host")?, "mx.example.org");
/// assert_eq!(mail.duration("retry")?.unwrap().as_secs(), 30);
/// assert_eq!(mail.require("port").unwrap_err().to_string(),
///     "config.ini:1: [custom.mail] needs a value for \"port\"");
/// # Ok::<(), maypole::Error>(())
/// ```
#[derive(Clone)]
pub struct Section {
    name: String,
    origin: Origin,
    values: Vec<GivenValue>,
}

impl Section {
    /// A section without any value: what a program gets that did not write one.
    #[must_use]
    pub fn empty(name: &str) -> Self {
        Self::new(name, Origin::Default, Vec::new())
    }

    pub(super) fn new(name: &str, origin: Origin, values: Vec<GivenValue>) -> Self {
        Self { name: name.to_owned(), origin, values }
    }

    /// The name, without brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `key` as it was written; `None` if it was not.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|given| given.value.as_str())
    }

    /// The value of `key`, which must be there and not be empty.
    ///
    /// # Errors
    /// When it is missing or empty; the error names file, line, section and key.
    pub fn require(&self, key: &str) -> Result<&str, ConfigError> {
        match self.get(key) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(self.error(key, format!("needs a value for {key:?}"))),
        }
    }

    /// The value of `key` as anything that reads itself from text: a number, an address.
    ///
    /// # Errors
    /// When the value is there and does not parse; the message is the type's own.
    pub fn parse<T>(&self, key: &str) -> Result<Option<T>, ConfigError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.read(key, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// The value of `key` as a duration: `500ms`, `75s`, `2m`, `24h`, `30d`.
    ///
    /// # Errors
    /// When the value is there and is no duration.
    pub fn duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        self.read(key, value::duration(Duration::ZERO..=Duration::MAX))
    }

    /// The value of `key` as a number of bytes: `512`, `32K`, `2M`, `1G`.
    ///
    /// # Errors
    /// When the value is there and is no size.
    pub fn size(&self, key: &str) -> Result<Option<u64>, ConfigError> {
        self.read(key, value::size(0..=u64::MAX))
    }

    /// The value of `key` as true or false (also on, off, yes, no).
    ///
    /// # Errors
    /// When the value is there and is none of these.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.read(key, value::flag)
    }

    /// All keys of this section with their values, in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|given| (given.key.as_str(), given.value.as_str()))
    }

    /// Refuses every key that is not in `known`, as maypole does in its own sections.
    ///
    /// # Errors
    /// Names the first unknown key, where it stands, and the known key nearest to it.
    pub fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        match self.values.iter().find(|given| !known.contains(&given.key.as_str())) {
            None => Ok(()),
            Some(given) => {
                let hint = did_you_mean(&given.key, known.iter().copied());
                Err(self.error(&given.key, format!("unknown key {:?}{hint}", given.key)))
            }
        }
    }

    /// An error about `key` that names file and line; `message` in lower case, no final dot.
    #[must_use]
    pub fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let origin = self.find(key).map_or(&self.origin, |given| &given.origin);
        ConfigError::new(origin.clone(), &self.name, key, message.into())
    }

    pub(super) fn values(&self) -> &[GivenValue] {
        &self.values
    }

    fn find(&self, key: &str) -> Option<&GivenValue> {
        self.values.iter().find(|given| given.key == key)
    }

    fn read<T>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        read(text).map(Some).map_err(|message| {
            self.error(key, format!("{key} = {:?}: {message}", shown(key, text)))
        })
    }
}

/// Secrets are shown as `***`.
impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Section[{}] ", self.name)?;
        f.debug_map().entries(self.iter().map(|(key, value)| (key, shown(key, value)))).finish()
    }
}
