//! The `maypole` command: looks after what a program would be started with, and its sessions.

#![expect(
    clippy::large_stack_frames,
    reason = "a command runs on the main thread and starts no coroutine"
)]

mod arguments;
mod output;
mod session;

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

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match run(Arguments::new(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(HELP),
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
                _ => Err(Failure::Usage("maypole config needs check or print".to_owned())),
            }
        }
        Some(other) => Err(Failure::Usage(format!("not understood: maypole {other}"))),
        None if arguments.flag("--version") | arguments.flag("-V") => {
            say(concat!("maypole ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        None => {
            arguments.end()?;
            Err(Failure::Usage("a command is missing".to_owned()))
        }
    }
}
