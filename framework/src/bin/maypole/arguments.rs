//! The words behind a command: flags, options with a value, and the rest in its order.

use std::ffi::OsString;

use super::output::Failure;

/// What is left of the command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    options: Vec<OsString>,
    /// Behind `--`: no options, whatever they look like.
    operands: Vec<OsString>,
}

impl Arguments {
    pub(crate) fn new(mut options: Vec<OsString>) -> Self {
        let end = options.iter().position(|word| word == "--");
        let mut operands = end.map(|end| options.split_off(end)).unwrap_or_default();
        if !operands.is_empty() {
            operands.remove(0);
        }
        Self { options, operands }
    }

    /// Whether the flag is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.options.len();
        self.options.retain(|word| word != name);
        self.options.len() < before
    }

    /// The value of an option, `--name value` or `--name=value`.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<OsString>, Failure> {
        let with_equals = format!("{name}=");
        let at = self.options.iter().position(|word| {
            word == name || word.to_str().is_some_and(|word| word.starts_with(&with_equals))
        });
        let Some(at) = at else { return Ok(None) };
        let word = self.options.remove(at);
        let value = match word.to_str().and_then(|word| word.strip_prefix(&with_equals)) {
            Some(value) => OsString::from(value),
            None if at < self.options.len() => self.options.remove(at),
            None => return Err(Failure::Usage(format!("{name} needs a value"))),
        };
        if self.options.iter().any(|word| word == name) {
            return Err(Failure::Usage(format!("{name} is there twice")));
        }
        Ok(Some(value))
    }

    /// As [`value`](Self::value), for text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let not_text = |_| Failure::Usage(format!("the value of {name} is no UTF-8"));
        self.value(name)?.map(|value| value.into_string().map_err(not_text)).transpose()
    }

    /// The next word that is no option; none that is not UTF-8 is a command or a key.
    pub(crate) fn word(&mut self) -> Option<String> {
        self.file().map(|word| word.to_string_lossy().into_owned())
    }

    /// As [`word`](Self::word), in bytes.
    pub(crate) fn file(&mut self) -> Option<OsString> {
        let is_word = |word: &OsString| word == "-" || !word.as_encoded_bytes().starts_with(b"-");
        if let Some(at) = self.options.iter().position(is_word) {
            return Some(self.options.remove(at));
        }
        (!self.operands.is_empty()).then(|| self.operands.remove(0))
    }

    /// The next word that is no option, or that looks like one and is `wanted`: a public handle may
    /// begin with a dash.
    pub(crate) fn word_or(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let is_wanted = |word: &OsString| word.to_str().is_some_and(&wanted);
        match self.options.iter().position(is_wanted) {
            Some(at) => self.options.remove(at).into_string().ok(),
            None => self.word(),
        }
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        match self.options.iter().chain(&self.operands).next() {
            None => Ok(()),
            Some(word) => {
                Err(Failure::Usage(format!("not understood: {}", word.to_string_lossy())))
            }
        }
    }
}
