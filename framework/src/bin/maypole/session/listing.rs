//! `maypole session ls`.

use std::io::{self, BufWriter, Write};
use std::time::SystemTime;

use maypole::admin::Admin;
use maypole::config::Config;
use maypole::session::Inspected;
use serde_json::json;

use super::super::arguments::Arguments;
use super::super::output::{Failure, note};
use super::describe::{self, unix_secs};
use super::{is_hex, open};

/// Which records are listed, and how.
struct Listing {
    prefix: String,
    user: Option<String>,
    left: u64,
    with_reserved: bool,
    as_json: bool,
    shown: u64,
    hidden: u64,
}

pub(super) fn ls(arguments: &mut Arguments, config: &Config) -> Result<(), Failure> {
    let limit = match arguments.text("--limit")? {
        Some(text) => text
            .parse()
            .map_err(|_| Failure::Usage(format!("--limit takes a number, not {text:?}")))?,
        None => u64::MAX,
    };
    let mut listing = Listing {
        user: arguments.text("--user")?,
        left: limit,
        with_reserved: arguments.flag("--all"),
        as_json: arguments.flag("--json"),
        prefix: arguments.word().unwrap_or_default(),
        shown: 0,
        hidden: 0,
    };
    arguments.end()?;
    if !listing.prefix.is_empty() && !is_hex(&listing.prefix) {
        return Err(Failure::Usage("a key is lower-case hex digits, up to 64".to_owned()));
    }
    let Some(admin) = open(config)? else { return Ok(()) };
    listing.run(&admin)?;
    let server = match admin.server() {
        Some(pid) => format!(", asked of process {pid}"),
        None => String::new(),
    };
    let (shown, hidden) = (listing.shown, listing.hidden);
    let hidden =
        if hidden > 0 { format!(", {hidden} reserved ones hidden (--all)") } else { String::new() };
    note(&format!("{shown} records{hidden} in {}{server}\n", admin.location()));
    Ok(admin.close()?)
}

impl Listing {
    fn run(&mut self, admin: &Admin) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut after = None;
        while self.left > 0 {
            let page = match after {
                None if !self.prefix.is_empty() => {
                    let found = admin.find(&self.prefix, usize::MAX)?;
                    found.iter().try_for_each(|record| self.tell(&mut out, record))?;
                    break;
                }
                after => admin.page(after.as_ref())?,
            };
            let Some(last) = page.last() else { break };
            after = Some(last.key);
            page.iter().try_for_each(|record| self.tell(&mut out, record))?;
            out.flush()?;
        }
        Ok(out.flush()?)
    }

    fn tell(&mut self, out: &mut impl Write, record: &Inspected) -> Result<(), Failure> {
        if let Some(user) = &self.user {
            let bound = record.session.as_ref().and_then(|session| session.user.as_ref());
            if bound != Some(user) {
                return Ok(());
            }
        }
        if record.kind.is_reserved() && !self.with_reserved {
            self.hidden += 1;
            return Ok(());
        }
        let Some(left) = self.left.checked_sub(1) else { return Ok(()) };
        self.left = left;
        self.shown += 1;
        let line = if self.as_json {
            json_line(record)
        } else {
            describe::line(record, SystemTime::now())
        };
        Ok(out.write_all(line.as_bytes())?)
    }
}

fn json_line(record: &Inspected) -> String {
    let session = record.session.as_ref();
    let names = session.map(|session| session.values.iter().map(|(name, _)| name).collect());
    let names: Option<Vec<&String>> = names;
    let object = json!({
        "key": record.key.to_string(),
        "kind": record.kind.to_string(),
        "revoked": record.is_revoked,
        "last_seen_secs": unix_secs(record.last_seen),
        "deadline_secs": unix_secs(record.deadline),
        "bytes": record.bytes,
        "handle": session.map(|session| session.handle.to_string()),
        "created_secs": session.map(|session| unix_secs(session.created)),
        "user": session.and_then(|session| session.user.as_ref()),
        "keys": names,
    });
    format!("{object}\n")
}
