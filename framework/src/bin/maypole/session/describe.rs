//! Records in words. What visitors wrote is never shown raw: it may hold codes for the terminal.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use maypole::session::Inspected;

/// A record in one line.
pub(super) fn line(record: &Inspected, now: SystemTime) -> String {
    let (seen, left) = (between(record.last_seen, now), between(now, record.deadline));
    let (key, kind, bytes) = (record.key.short(), kind(record), record.bytes);
    let mut text =
        format!("{key}  {kind:<11}  seen {seen:>4} ago  ends in {left:>4}  {bytes:>6} bytes");
    if let Some(session) = &record.session {
        let user = session.user.as_deref().map_or_else(|| "-".to_owned(), printable);
        let keys: Vec<_> = session.values.iter().map(|(name, _)| printable(name)).collect();
        write!(text, "  user {user}  {}", keys.join(", ")).ok();
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A record with all that is known of it.
pub(super) fn whole(record: &Inspected, with_values: bool) -> String {
    let now = SystemTime::now();
    let mut text = String::new();
    writeln!(text, "key        {}", record.key).ok();
    writeln!(text, "what       {}", kind(record)).ok();
    writeln!(text, "last seen  {} ago", between(record.last_seen, now)).ok();
    writeln!(text, "ends in    {}", between(now, record.deadline)).ok();
    writeln!(text, "size       {} bytes", record.bytes).ok();
    let Some(session) = &record.session else { return text };
    writeln!(text, "created    {} ago", between(session.created, now)).ok();
    writeln!(text, "handle     {}", session.handle).ok();
    let user = session.user.as_deref().map_or_else(|| "-".to_owned(), printable);
    writeln!(text, "user       {user}").ok();
    for (name, value) in &session.values {
        if with_values {
            writeln!(text, "  {name:?}: {}", printable(value)).ok();
        } else {
            let bytes = value.len();
            writeln!(text, "  {name:?}: {bytes} bytes of JSON (--values shows them)").ok();
        }
    }
    text
}

/// What a record is; a session that was revoked is not called one.
pub(super) fn kind(record: &Inspected) -> String {
    if record.is_revoked { "revoked".to_owned() } else { record.kind.to_string() }
}

/// A record as a sentence names it.
pub(super) fn short_name(record: &Inspected) -> String {
    let user = record.session.as_ref().and_then(|session| session.user.as_deref());
    let of = user.map(|user| format!(" of {}", printable(user))).unwrap_or_default();
    format!("{}{of}", record.key.short())
}

/// The text without anything that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        shown
    })
}

/// From one time to a later one, in the largest unit that says something.
pub(super) fn between(earlier: SystemTime, later: SystemTime) -> String {
    let secs = later.duration_since(earlier).unwrap_or(Duration::ZERO).as_secs();
    match secs {
        0..120 => format!("{secs}s"),
        120..7200 => format!("{}m", secs / 60),
        7200..172_800 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

/// Seconds since 1970.
pub(super) fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
