//! What a command says, and how it ends.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use maypole::config::ConfigError;

/// Exit status of a command line that is not understood, as shells and grep have it.
const USAGE: u8 = 2;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is not understood.
    Usage(String),
    /// As [`Usage`](Self::Usage), for the one command that was meant, with its help.
    UsageOf(String, &'static str),
    /// Nothing is wrong, but a command is missing: this help names them.
    Incomplete(String, &'static str),
    /// It was tried, and failed or found nothing.
    Failed(String),
    /// Whoever read the output has gone (`maypole session ls | head`), which is no failure.
    ReaderGone,
}

impl Failure {
    /// What is not understood is explained by this help, and not by that of all commands.
    pub(crate) fn with_help(self, help: &'static str) -> Self {
        match self {
            Self::Usage(what) => Self::UsageOf(what, help),
            other => other,
        }
    }

    /// Tells it on stderr and gives the exit status. A mistake is told in a few lines: it must not
    /// be lost above a page of help.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(what) => {
                note(&format!("{what}\nhelp: maypole --help\n"));
                ExitCode::from(USAGE)
            }
            Self::UsageOf(what, help) => {
                let usage = help.lines().next().unwrap_or_default();
                let command = usage.split(' ').take_while(|word| is_word(word));
                let command = command.collect::<Vec<_>>().join(" ");
                note(&format!("{what}\nusage: {usage}\nhelp: {command} --help\n"));
                ExitCode::from(USAGE)
            }
            Self::Incomplete(what, help) => {
                note(&format!("{what}\n\n{help}"));
                ExitCode::from(USAGE)
            }
            Self::Failed(what) => {
                note(&format!("{what}\n"));
                ExitCode::FAILURE
            }
            Self::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

/// Whether a part of a usage line is a command, and stands not for something.
fn is_word(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_lowercase())
}

impl From<maypole::Error> for Failure {
    fn from(error: maypole::Error) -> Self {
        Self::Failed(error.chain())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}

/// Writes to stdout.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes to stderr: what is about the answer, not in it.
pub(crate) fn note(text: &str) {
    // There is nobody left to tell of a failure.
    let _ = io::stderr().write_all(text.as_bytes());
}
