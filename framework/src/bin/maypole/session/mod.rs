//! `maypole session`: looks after the stored sessions, through a running server or beside none.

mod describe;
mod listing;
mod moving;
mod stats;

use maypole::admin::Admin;
use maypole::config::{Config, ConfigError};
use maypole::session::{Handle, Inspected, RecordKind};

use super::arguments::Arguments;
use super::output::{Failure, note, say};
use super::unknown;
use describe::{printable, short_name};

const HELP: &str = "\
maypole session - looks after stored sessions

Usage:
  maypole session ls [--user USER] [--limit N] [--all] [--json] [KEY]
  maypole session show KEY|HANDLE [--values]
  maypole session revoke KEY | --handle HANDLE | --user USER | --everybody --yes
  maypole session sweep
  maypole session stats [--json]
  maypole session export [FILE]
  maypole session import FILE [--replace]

Each takes --config FILE and --help.
";

const LS: &str = "\
maypole session ls [--user USER] [--limit N] [--all] [--json] [KEY]

Lists what is stored, a line a record: the first digits of its key, what it is, when it was last
used, when it ends, its size, and the user and the names of the values of a session.

  KEY          only records whose key begins so (hex digits)
  --user USER  only sessions of this user
  --limit N    no more than N
  --all        also what maypole keeps for itself: user indices, epochs, locks
  --json       a JSON object a line, with whole keys
";

const SHOW: &str = "\
maypole session show KEY|HANDLE [--values]

Shows the records whose key begins with KEY, or the session with this public handle.

  --values     also the values: they are your visitors' data
";

const REVOKE: &str = "\
maypole session revoke KEY | --handle HANDLE | --user USER | --everybody --yes

Ends sessions, as a logout would: requests that come later find none, requests under way store
nothing.

  KEY              the session whose key begins so; 8 digits at least, and only one may
  --handle HANDLE  the session with this public handle
  --user USER      all sessions of the user, listed or not, in one step
  --everybody      the sessions of all users, in one step; anonymous ones stay. Needs --yes
";

const SWEEP: &str = "\
maypole session sweep

Deletes what has expired, through the whole store, and says how much. Expired sessions are dead
before that; a server does it by itself every [session] sweep_every.
";

const STATS: &str = "\
maypole session stats [--json]

Counts what is stored: records by what they are, sessions, users, bytes, how full the quotas are,
what the store tells of itself, and what happened to sessions in the servers that run.
";

const EXPORT: &str = "\
maypole session export [FILE]

Writes all sessions, and what belongs to them, into a new file with mode 0600 (or to stdout) for
maypole session import. The file holds no session id, and opens no session by itself; but it holds
what visitors stored. Sessions that get another id while it is written can be missed: stop the
server first if none may be.
";

const IMPORT: &str = "\
maypole session import FILE [--replace]

Brings the sessions of FILE into the store of the settings, where every cookie goes on working and
every deadline stays. Nothing is stored unless the whole file is good. What this store knows to have
ended stays ended; expired sessions are left out; a session that is in both stays as it is unless
the one in the file went on from it; of one that changed its id only the last id lives. Sessions
that ended after the export and left no trace here come back, so import what is fresh.

Quotas hold as they do for visitors: where [session] max_sessions or max_total_bytes is reached,
anonymous sessions seen once are left out, or take the place of others of their kind. All others
come in beyond the quotas; new visitors are then refused until there is room (maypole session stats
says how full it is).

  --replace    take the file's where both have a session; an ended one still stays ended
";

/// What stands behind `maypole session`, also by words of other programs.
pub(super) const COMMANDS: [(&str, &str); 12] = [
    ("ls", "maypole session ls"),
    ("show", "maypole session show"),
    ("revoke", "maypole session revoke"),
    ("sweep", "maypole session sweep"),
    ("stats", "maypole session stats"),
    ("export", "maypole session export"),
    ("import", "maypole session import"),
    ("list", "maypole session ls"),
    ("get", "maypole session show"),
    ("delete", "maypole session revoke"),
    ("remove", "maypole session revoke"),
    ("clean", "maypole session sweep"),
];

/// How many digits of a key name a session well enough to end it: as many as lists show.
const MIN_REVOKE_DIGITS: usize = 8;

/// Records shown for one key.
const MAX_SHOWN: usize = 100;

type Command = fn(&mut Arguments, &Config) -> Result<(), Failure>;

pub(super) fn run(
    arguments: &mut Arguments,
    asks_for_help: bool,
    load: impl FnOnce() -> Result<Config, ConfigError>,
) -> Result<(), Failure> {
    let command = arguments.word();
    let (help, run): (_, Command) = match command.as_deref() {
        Some("ls") => (LS, listing::ls),
        Some("show") => (SHOW, show),
        Some("revoke") => (REVOKE, revoke),
        Some("sweep") => (SWEEP, sweep),
        Some("stats") => (STATS, stats::stats),
        Some("export") => (EXPORT, moving::export),
        Some("import") => (IMPORT, moving::import),
        None | Some("help") if asks_for_help || command.is_some() => return say(HELP),
        None => {
            return Err(Failure::Incomplete("maypole session needs a command".to_owned(), HELP));
        }
        Some(other) => {
            return Err(Failure::Usage(unknown("session ", other, &COMMANDS)));
        }
    };
    if asks_for_help {
        return say(help);
    }
    run(arguments, &load()?).map_err(|failure| failure.with_help(help))
}

/// Opens what is there; `None`, said on stderr, where no session was ever stored.
fn open(config: &Config) -> Result<Option<Admin>, Failure> {
    if !Admin::is_there(config) {
        note("no session was stored yet: there is no store\n");
        return Ok(None);
    }
    Ok(Some(Admin::open(config)?))
}

fn show(arguments: &mut Arguments, config: &Config) -> Result<(), Failure> {
    let with_values = arguments.flag("--values");
    let name = arguments.word_or(|word| Handle::parse(word).is_some());
    let name = name.ok_or_else(|| Failure::Usage("show needs a key".to_owned()))?;
    arguments.end()?;
    let Some(admin) = open(config)? else { return Err(nothing(&name)) };
    let mut found = if is_hex(&name) { admin.find(&name, MAX_SHOWN)? } else { Vec::new() };
    if let (true, Some(handle)) = (found.is_empty(), Handle::parse(&name)) {
        found.extend(admin.find_handle(handle)?);
    }
    if found.is_empty() {
        return Err(nothing(&name));
    }
    for record in &found {
        say(&describe::whole(record, with_values))?;
    }
    Ok(admin.close()?)
}

fn revoke(arguments: &mut Arguments, config: &Config) -> Result<(), Failure> {
    let handle = arguments.text("--handle")?;
    let user = arguments.text("--user")?;
    let (everybody, is_sure) = (arguments.flag("--everybody"), arguments.flag("--yes"));
    let key = arguments.word();
    arguments.end()?;
    let usage = |what: &str| Failure::Usage(what.to_owned());
    let named = [key.is_some(), handle.is_some(), user.is_some(), everybody];
    if named.into_iter().filter(|is_named| *is_named).count() != 1 {
        return Err(usage("revoke needs one of KEY, --handle, --user and --everybody"));
    }
    if everybody && !is_sure {
        return Err(usage("--everybody logs out every user; say --yes if that is meant"));
    }
    let handle = match handle {
        Some(text) => Some(Handle::parse(&text).ok_or_else(|| usage("this is no public handle"))?),
        None => None,
    };
    if key.as_ref().is_some_and(|key| !is_hex(key) || key.len() < MIN_REVOKE_DIGITS) {
        return Err(usage("a key is hex digits, 8 at least; --handle names a public handle"));
    }
    let Some(admin) = open(config)? else {
        return Err(Failure::Failed("nothing is ended".to_owned()));
    };
    if let Some(user) = user {
        let listed = admin.end_user(&user)?;
        say(&format!("ended all sessions of {} ({listed} were listed)\n", printable(&user)))?;
    } else if let Some(key) = key {
        end_one(&admin, &one_of(&admin, &key)?)?;
    } else if let Some(handle) = handle {
        let found = admin.find_handle(handle)?;
        end_one(&admin, &found.ok_or_else(|| nothing(&handle.to_string()))?)?;
    } else {
        admin.end_everybody()?;
        say("ended the sessions of all users; anonymous ones stay\n")?;
    }
    Ok(admin.close()?)
}

/// The one record whose key begins so.
fn one_of(admin: &Admin, prefix: &str) -> Result<Inspected, Failure> {
    let mut found = admin.find(prefix, MAX_SHOWN)?;
    match (found.pop(), found.len()) {
        (None, _) => Err(nothing(prefix)),
        (Some(record), 0) => Ok(record),
        (Some(_), others) => {
            let what = format!("{} records have a key that begins with {prefix}", others + 1);
            Err(Failure::Failed(what))
        }
    }
}

fn end_one(admin: &Admin, record: &Inspected) -> Result<(), Failure> {
    let name = short_name(record);
    let is_ended = match record.kind {
        RecordKind::Session | RecordKind::Pending => admin.end(&record.key)?,
        RecordKind::Rotated | RecordKind::Replaced | RecordKind::Ended => {
            return Err(Failure::Failed(format!("{name} has ended already")));
        }
        other => return Err(Failure::Failed(format!("{name} is no session: {other}"))),
    };
    if !is_ended {
        return Err(Failure::Failed(format!("{name} ended just before")));
    }
    say(&format!("ended {name}\n"))
}

fn sweep(arguments: &mut Arguments, config: &Config) -> Result<(), Failure> {
    arguments.end()?;
    let Some(admin) = open(config)? else { return Ok(()) };
    let swept = admin.sweep()?;
    say(&format!("{} expired records deleted, {} looked at\n", swept.removed, swept.examined))?;
    Ok(admin.close()?)
}

fn nothing(name: &str) -> Failure {
    Failure::Failed(format!("nothing is stored under {name:?}"))
}

fn is_hex(text: &str) -> bool {
    let is_digit = |b| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (1..=64).contains(&text.len()) && text.bytes().all(is_digit)
}
