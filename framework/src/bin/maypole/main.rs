//! The `maypole` command: looks after what a program would be started with, and its sessions.

#![expect(
    clippy::large_stack_frames,
    reason = "a command runs on the main thread and starts no coroutine"
)]

mod arguments;
mod output;
mod session;
// The one of the settings: a program of its own sees only what is public there.
#[path = "../../config/suggest.rs"]
#[expect(dead_code, reason = "its sentence is that of settings")]
mod suggest;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use arguments::Arguments;
use maypole::config::Config;
use output::{Failure, say};

const HELP: &str = "\
maypole - looks after programs made with the maypole framework

Usage:
  maypole config check [FILE]   check the settings; exit 1 and the mistake if there is one
  maypole config print [FILE]   print every setting that holds and where it comes from
  maypole session ls            list the stored sessions
  maypole session show          show one session
  maypole session revoke        end a session, a user's, or everybody's
  maypole session sweep         delete what has expired
  maypole session stats         count what is stored
  maypole session export        write the sessions into a file
  maypole session import        bring the sessions of such a file into the store
  maypole --help | --version    and --help behind each of these commands

The settings are those a program started here would get: the file named by MAYPOLE_CONFIG, or
else ./config.ini if there is one (--config FILE names another), and over it the
MAYPOLE_SECTION_KEY variables of the environment. Secrets are printed as ***.

maypole session asks a server that runs over its private socket ([admin] in config.ini), and opens
the store itself when none does.

Exit status: 0 done, 1 failed or not found, 2 not understood.
";

/// What stands behind `maypole`; those of a group are meant when the group was forgotten.
const COMMANDS: [(&str, &str); 4] = [
    ("session", "maypole session"),
    ("config", "maypole config"),
    ("help", "maypole help"),
    ("check", "maypole config check"),
];

const CONFIG_COMMANDS: [(&str, &str); 2] =
    [("check", "maypole config check"), ("print", "maypole config print")];

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match run(Arguments::new(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let asks_for_help = arguments.flag("--help") | arguments.flag("-h");
    let file = arguments.value("--config")?;
    let load = |other: Option<OsString>| match other.or(file) {
        Some(file) => Config::load_from(file),
        None => Config::load(),
    };
    match arguments.word().as_deref() {
        Some("session") => session::run(&mut arguments, asks_for_help, || load(None)),
        _ if asks_for_help => say(HELP),
        Some("help") => say(HELP),
        Some("config") => {
            let what = arguments.word();
            let file = arguments.file();
            arguments.end()?;
            match what.as_deref() {
                Some("check") => {
                    let config = load(file)?;
                    let file = config.file().unwrap_or("no config.ini here, the defaults");
                    say(&format!("ok: {file}\n"))
                }
                Some("print") => say(&load(file)?.describe()),
                Some(other) => Err(Failure::Usage(unknown("config ", other, &CONFIG_COMMANDS))),
                None => Err(Failure::Usage("maypole config needs check or print".to_owned())),
            }
        }
        Some(other) => {
            let commands = [&COMMANDS[..], &session::COMMANDS].concat();
            Err(Failure::Usage(unknown("", other, &commands)))
        }
        None if arguments.flag("--version") | arguments.flag("-V") => {
            say(concat!("maypole ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        None => {
            arguments.end()?;
            Err(Failure::Incomplete("a command is missing".to_owned(), HELP))
        }
    }
}

/// What is said of a word that is no command behind `maypole group`; `commands` are those that are
/// one, and what to write for them.
fn unknown(group: &str, word: &str, commands: &[(&str, &str)]) -> String {
    let near = suggest::nearest(word, commands.iter().map(|(command, _)| *command));
    let meant = commands.iter().find(|(command, _)| Some(*command) == near);
    let hint = meant.map_or_else(String::new, |(_, meant)| format!("; did you mean {meant}?"));
    format!("not understood: maypole {group}{word}{hint}")
}
