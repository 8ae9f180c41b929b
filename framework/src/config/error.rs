//! What is wrong with a setting, and where it was written.

use std::fmt;

use crate::{Error, ErrorKind};

/// Where a value came from.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody wrote it: the built-in default.
    Default,
    /// A file, and the line in it, counted from 1; no line when the whole file is meant.
    File {
        /// The name the file was opened by.
        file: String,
        /// The line, if one is meant.
        line: Option<usize>,
    },
    /// The environment variable of this name.
    Variable(String),
}

/// A setting that stops the start: which one, where it stands, and what would be accepted.
///
/// Displayed as `config.ini:12: [session] unknown key "cookei_name"; did you mean "cookie_name"?`.
/// Like [`Error`] it is not a `std::error::Error`, so that `?` turns it into an [`Error`] of kind
/// [`ErrorKind::Config`] and nothing else.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the guilty value was written.
    pub origin: Origin,
    /// The section, without brackets; empty when no section is meant.
    pub section: String,
    /// The key; empty when no key is meant.
    pub key: String,
    /// What is wrong and what would be right: lower case, no final dot.
    pub message: String,
}

impl ConfigError {
    pub(super) fn new(origin: Origin, section: &str, key: &str, message: String) -> Self {
        Self { origin, section: section.to_owned(), key: key.to_owned(), message }
    }

    /// An error about `file` as a whole or about one line of it, not about a key.
    pub(super) fn in_file(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        let origin = Origin::File { file: file.to_owned(), line };
        Self::new(origin, "", "", message.into())
    }

    /// The file the guilty value stands in; `None` for a default or an environment variable.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match &self.origin {
            Origin::File { file, .. } => Some(file),
            Origin::Default | Origin::Variable(_) => None,
        }
    }

    /// The line in [`file`](Self::file), counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match &self.origin {
            Origin::File { line, .. } => *line,
            Origin::Default | Origin::Variable(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line: Some(line) } => write!(f, "{file}:{line}"),
            Self::File { file, line: None } => f.write_str(file),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str("configuration: ")?,
            origin => write!(f, "{origin}: ")?,
        }
        if !self.section.is_empty() {
            write!(f, "[{}] ", self.section)?;
        }
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Config, error.to_string())
    }
}
