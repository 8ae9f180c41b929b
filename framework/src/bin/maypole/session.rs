//! `maypole session`: what lies in the file store, read beside the running servers.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use maypole::config::Config;
use maypole::session::stores::{FileStore, FileStoreOptions};
use maypole::session::{Inspected, SessionStore};
use maypole::{Error, ErrorKind, Result};

use super::{complain, say};

/// How much of a session is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// The names of its keys.
    Keys,
    /// Their values as well: they are the visitors' data.
    Values,
}

/// Records fetched from the store at once.
const PAGE: usize = 256;

/// Lists all sessions, or shows those whose key begins with `prefix`.
pub(super) fn run(prefix: Option<&str>, show: Show) -> ExitCode {
    match list(prefix, show) {
        Ok(text) => say(&text),
        Err(error) => complain(&format!("{}\n", error.chain()), ExitCode::FAILURE),
    }
}

fn list(prefix: Option<&str>, show: Show) -> Result<String> {
    let Some(store) = open_store()? else { return Ok("no session was stored yet\n".to_owned()) };
    let now = SystemTime::now();
    let mut text = String::new();
    let mut count = 0;
    let mut after = None;
    loop {
        let page = store.list(after.as_ref(), PAGE, now)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (key, stored) in page {
            if prefix.is_none_or(|prefix| key.to_string().starts_with(prefix)) {
                count += 1;
                describe(&mut text, &Inspected::read(key, stored), prefix.map(|_| show));
            }
        }
    }
    match (prefix, count) {
        (Some(prefix), 0) => {
            Err(Error::new(ErrorKind::Start, format!("no record's key begins with {prefix:?}")))
        }
        (Some(_), _) => Ok(text),
        (None, _) => Ok(format!("{count} records in {}\n{text}", store.location().display())),
    }
}

/// The store of the settings; `None` if no server ever used it.
#[expect(clippy::large_stack_frames, reason = "on the main thread")]
fn open_store() -> Result<Option<FileStore>> {
    let config = Config::load()?;
    let backend = &config.session.backend;
    if backend != "file" {
        let message = format!("the backend is {backend:?}; only the file store can be listed");
        return Err(Error::new(ErrorKind::Start, message));
    }
    let path = &config.session_file.path;
    if !path.exists() {
        return Ok(None);
    }
    FileStore::open(FileStoreOptions::new(path)).map(Some)
}

fn describe(text: &mut String, record: &Inspected, show: Option<Show>) {
    let now = SystemTime::now();
    match show {
        None => line(text, record, now),
        Some(show) => whole(text, record, now, show),
    }
}

fn line(text: &mut String, record: &Inspected, now: SystemTime) {
    let what = match &record.session {
        Some(session) => format!(
            "user {}, keys: {}",
            session.user.as_deref().unwrap_or("-"),
            session.values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        ),
        None => "ended".to_owned(),
    };
    let (seen, left) = (ago(record.last_seen, now), ago(now, record.deadline));
    let key = record.key.short();
    writeln!(text, "{key}  seen {seen} ago, ends in {left}, {} bytes, {what}", record.bytes).ok();
}

fn whole(text: &mut String, record: &Inspected, now: SystemTime, show: Show) {
    writeln!(text, "key        {}", record.key).ok();
    writeln!(text, "last seen  {} ago", ago(record.last_seen, now)).ok();
    writeln!(text, "ends in    {}", ago(now, record.deadline)).ok();
    let Some(session) = &record.session else {
        text.push_str("an ended session\n");
        return;
    };
    writeln!(text, "created    {} ago", ago(session.created, now)).ok();
    writeln!(text, "handle     {}", session.handle).ok();
    writeln!(text, "user       {}", session.user.as_deref().unwrap_or("-")).ok();
    for (name, value) in &session.values {
        match show {
            Show::Keys => {
                writeln!(text, "  {name:?}: {} bytes of JSON (--values shows them)", value.len())
            }
            Show::Values => writeln!(text, "  {name:?}: {value}"),
        }
        .ok();
    }
}

/// From one time to a later one, in the largest unit that says something.
fn ago(earlier: SystemTime, later: SystemTime) -> String {
    let secs = later.duration_since(earlier).unwrap_or(Duration::ZERO).as_secs();
    match secs {
        0..120 => format!("{secs}s"),
        120..7200 => format!("{}m", secs / 60),
        7200..172_800 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}
