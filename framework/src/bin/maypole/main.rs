//! The `maypole` command: looks at what a program would be started with.

mod session;

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use maypole::config::{Config, ConfigError};

const HELP: &str = "\
maypole - looks after programs made with the maypole framework

Usage:
  maypole config check [FILE]   check the settings; exit 1 and the mistake if there is one
  maypole config print [FILE]   print every setting that holds and where it comes from
  maypole session ls            list the stored sessions of the settings' file store
  maypole session show KEY [--values]
                                one session by (the beginning of) its key; values only if asked
  maypole --help | --version

Without FILE the settings are those a program started here would get: the file named by
MAYPOLE_CONFIG, or else ./config.ini if there is one, and over it the MAYPOLE_SECTION_KEY
variables of the environment, which count with FILE too. Secrets are printed as ***.
";

/// Exit status of a command line that is not understood, as shells and grep have it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or("")).collect();
    let file = arguments.get(2);
    match words.as_slice() {
        ["--help" | "-h" | "help"] => say(HELP),
        ["--version" | "-V"] => say(concat!("maypole ", env!("CARGO_PKG_VERSION"), "\n")),
        ["config", "check"] | ["config", "check", _] => report(load(file), |config| {
            let file = config.file().unwrap_or("no config.ini here, the defaults");
            format!("ok: {file}\n")
        }),
        ["config", "print"] | ["config", "print", _] => report(load(file), Config::describe),
        ["session", "ls"] => session::run(None, session::Show::Keys),
        ["session", "show", key] => session::run(Some(key), session::Show::Keys),
        ["session", "show", key, "--values"] => session::run(Some(key), session::Show::Values),
        [] => usage("a command is missing"),
        _ => usage(&format!("not understood: maypole {}", words.join(" "))),
    }
}

fn load(file: Option<&OsString>) -> Result<Config, ConfigError> {
    file.map_or_else(Config::load, Config::load_from)
}

fn report(loaded: Result<Config, ConfigError>, show: impl Fn(&Config) -> String) -> ExitCode {
    match loaded {
        Ok(config) => say(&show(&config)),
        Err(error) => complain(&format!("{error}\n"), ExitCode::FAILURE),
    }
}

fn usage(what: &str) -> ExitCode {
    complain(&format!("{what}\n\n{HELP}"), ExitCode::from(USAGE))
}

/// A reader that has gone (`maypole config print | head`) is no failure of ours.
fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(text: &str, status: ExitCode) -> ExitCode {
    let _ = std::io::stderr().write_all(text.as_bytes());
    status
}
