//! `maypole session stats`.

use std::fmt::Write;
use std::time::SystemTime;

use maypole::admin::Stats;
use maypole::config::Config;
use serde_json::{Map, Value, json};

use super::super::arguments::Arguments;
use super::super::output::{Failure, say};
use super::describe::{between, unix_secs};
use super::open;

pub(super) fn stats(arguments: &mut Arguments, config: &Config) -> Result<(), Failure> {
    let as_json = arguments.flag("--json");
    arguments.end()?;
    let Some(admin) = open(config)? else { return Ok(()) };
    let stats = admin.stats()?;
    let text = if as_json { json_text(&stats) } else { words(&stats, admin.location()) };
    say(&text)?;
    Ok(admin.close()?)
}

fn words(stats: &Stats, location: &str) -> String {
    let now = SystemTime::now();
    let mut text = format!("{location}\n\n");
    let mut line = |name: &str, value: String| writeln!(text, "{name:<24} {value}").ok();
    line("sessions", format!("{} ({} with a user)", stats.sessions, stats.bound));
    line("users", stats.users.to_string());
    line("bytes of sessions", stats.session_bytes.to_string());
    line("bytes per session", per(stats.session_bytes, stats.sessions));
    if stats.revoked > 0 {
        line("revoked, not yet swept", stats.revoked.to_string());
    }
    for (name, time) in [("oldest session", stats.oldest), ("newest session", stats.newest)] {
        line(name, time.map_or_else(|| "-".to_owned(), |time| between(time, now) + " ago"));
    }
    let records: u64 = stats.kinds.iter().map(|(_, count)| count).sum();
    line("records", share(records, stats.max_sessions, "max_sessions"));
    line("bytes of records", share(stats.bytes, stats.max_total_bytes, "max_total_bytes"));
    for (kind, count) in &stats.kinds {
        line(&format!("  {kind}"), count.to_string());
    }
    if !stats.store.is_empty() {
        text.push_str("\nthe store says\n");
        list(&mut text, &stats.store);
    }
    if !stats.servers.is_empty() {
        let pids: Vec<_> = stats.servers.iter().map(ToString::to_string).collect();
        writeln!(text, "\nsince the start of process {}", pids.join(", ")).ok();
        list(&mut text, &stats.events);
    }
    text
}

fn list(text: &mut String, counts: &[(String, u64)]) {
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        writeln!(text, "  {name:<22} {count}").ok();
    }
}

fn per(bytes: u64, count: u64) -> String {
    bytes.checked_div(count).map_or_else(|| "-".to_owned(), |each| each.to_string())
}

/// A count, and how much of its quota it is.
fn share(used: u64, quota: u64, name: &str) -> String {
    let percent = u128::from(used) * 1000 / u128::from(quota.max(1));
    format!("{used} ({}.{} % of {name})", percent / 10, percent % 10)
}

fn json_text(stats: &Stats) -> String {
    let counts = |counts: &[(String, u64)]| -> Map<String, Value> {
        counts.iter().map(|(name, count)| (name.clone(), (*count).into())).collect()
    };
    let kinds: Vec<_> =
        stats.kinds.iter().map(|(kind, count)| (kind.to_string(), *count)).collect();
    let object = json!({
        "sessions": stats.sessions,
        "bound": stats.bound,
        "revoked": stats.revoked,
        "users": stats.users,
        "session_bytes": stats.session_bytes,
        "bytes": stats.bytes,
        "oldest_secs": stats.oldest.map(unix_secs),
        "newest_secs": stats.newest.map(unix_secs),
        "max_sessions": stats.max_sessions,
        "max_total_bytes": stats.max_total_bytes,
        "records": counts(&kinds),
        "store": counts(&stats.store),
        "events": counts(&stats.events),
        "servers": stats.servers,
    });
    format!("{object}\n")
}
