//! Sessions in a file, on their way from one store to another.
//!
//! A file is a CBOR sequence (RFC 8742): a header (a map that names format, version and app), one
//! array a record (key, version, deadline, last seen, evictable, bytes), and an end (a map with the
//! number of records and the SHA-256 of all bytes before it), without which the file is known to be
//! cut or damaged. A damaged key would else look like the later id of a session, and end it. There is no session id in it:
//! stores know none. What the sessions hold is in it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use ciborium::Value;

use super::summed::Summed;
use super::{Admin, PAGE, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::session::{Claim, Handle, StoreError, StoreKey, Stored, TakenIn, is_epoch, to_ms};

const FORMAT: &str = "maypole-sessions";
const VERSION: u64 = 1;

/// The longest item read: a record as large as `max_session_bytes` allows, and room beside it.
const MAX_ITEM_BYTES: u64 = 20 << 20;

/// What [`Admin::export`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Exported {
    /// Records: sessions, and what belongs to them.
    pub records: u64,
    /// Bytes of these records.
    pub bytes: u64,
}

/// What [`Admin::import`] did with the records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Imported {
    /// There was none of them.
    pub added: u64,
    /// They took the place of an earlier state.
    pub updated: u64,
    /// The store had the same.
    pub same: u64,
    /// The store had a later state, or one of another origin, which stays.
    pub kept: u64,
    /// Sessions that have ended in this store, and stay so.
    pub ended: u64,
    /// Old ids of sessions that have a later one: those of the file were left out, those of the
    /// store ended.
    pub old_ids: u64,
    /// Their time is over.
    pub expired: u64,
    /// Anonymous sessions seen once, for which a full store had no room; they are left out.
    pub no_room: u64,
    /// Locks, and what cannot be read.
    pub skipped: u64,
}

impl Admin {
    /// Writes the sessions, and what belongs to them, so that [`import`](Self::import) can bring
    /// them into another store, where every cookie goes on working.
    ///
    /// What is written is what each record was at its turn. While visitors come, one that gets
    /// another id just then can be missed: stop the server first if none may be.
    ///
    /// # Errors
    /// As [`page`](Self::page), and those of `to`.
    pub fn export(&self, to: impl Write) -> Result<Exported> {
        let mut to = Summed::new(to);
        let entry = |name: &str, value| (Value::from(name), value);
        put(
            &mut to,
            &Value::Map(vec![
                entry("format", FORMAT.into()),
                entry("version", VERSION.into()),
                entry("app", self.app.as_str().into()),
                entry("exported_ms", to_ms(SystemTime::now()).into()),
            ]),
        )?;
        let mut exported = Exported::default();
        let mut after: Option<StoreKey> = None;
        loop {
            let page = self.store.list(after.as_ref(), PAGE, SystemTime::now()).map_err(failed)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (key, stored) in page {
                exported.records += 1;
                exported.bytes += stored.bytes.len() as u64;
                put(&mut to, &record(&key, stored))?;
            }
        }
        let end = vec![
            entry("records", exported.records.into()),
            entry("sha256", Value::Bytes(to.sum())),
        ];
        put(&mut to, &Value::Map(end))?;
        to.flush()?;
        Ok(exported)
    }

    /// Brings the sessions of a file that [`export`](Self::export) wrote into this store, with
    /// their deadlines. Nothing is stored unless the whole file is good; doing it twice does no
    /// harm.
    ///
    /// Nothing that this store knows to have ended comes back: tombstones and revocations stay, and
    /// expired records are left out. A session that is in both is updated if the one in the file
    /// went on from the one in the store; otherwise the store's stays, unless `replaces`. Of a
    /// session that changed its id between file and store only the last id lives. What ended after the export and has left no trace in this store does come back, so import what
    /// is fresh.
    ///
    /// Quotas hold as they do for visitors: beyond them an anonymous session seen once is left out, or
    /// takes the place of another one of its kind. All others come in, whatever the store holds by
    /// then; new visitors are refused until there is room.
    ///
    /// # Errors
    /// `Request` if the file is none, is cut, or is of another app or a later version;
    /// `StoreUnavailable`, `StoreFull`, `SessionTooLarge`: what was stored before stays.
    pub fn import(&self, path: &Path, replaces: bool) -> Result<Imported> {
        let mut claims = Claims::default();
        self.read(path, |key, stored| {
            claims.offer(key, &stored);
            Ok(())
        })?;
        let aliases = self.settle_claims(&mut claims)?;
        let mut imported = Imported::default();
        // Revocations first: no session shall be good for a moment that is not any more.
        for wants_epochs in [true, false] {
            self.read(path, |key, stored| {
                if is_epoch(&stored.bytes) != wants_epochs {
                    return Ok(());
                }
                let count = match claims.allow(key, &stored) {
                    true => imported.count(self.manager.take_in(key, &stored, replaces)?),
                    false => &mut imported.old_ids,
                };
                *count += 1;
                Ok(())
            })?;
        }
        for alias in aliases {
            imported.old_ids += u64::from(self.manager.end_session(&alias)?);
        }
        Ok(imported)
    }

    /// Lets the sessions of this store have a say about those of the file. Gives the ids in this
    /// store that have to end, since the file has a later id of the same session.
    fn settle_claims(&self, claims: &mut Claims) -> Result<Vec<StoreKey>> {
        let mut aliases = Vec::new();
        let mut after: Option<StoreKey> = None;
        loop {
            let page = match self.store.list(after.as_ref(), PAGE, SystemTime::now()) {
                Err(StoreError::Unsupported) => return Ok(aliases),
                page => page.map_err(failed)?,
            };
            let Some((last, _)) = page.last() else { return Ok(aliases) };
            after = Some(*last);
            for (key, stored) in &page {
                if claims.knows(key, stored) {
                    claims.offer(key, stored);
                    if !claims.allow(key, stored) {
                        aliases.push(*key);
                    }
                }
            }
        }
    }

    /// Gives `each` record of the file, once the header was found to be good.
    fn read(
        &self,
        path: &Path,
        mut each: impl FnMut(&StoreKey, Stored) -> Result<()>,
    ) -> Result<()> {
        let cannot =
            |error: io::Error| bad(format!("cannot read {}", path.display())).caused_by(error);
        let mut from = Summed::new(BufReader::new(File::open(path).map_err(cannot)?));
        let header = next(&mut from)?.ok_or_else(|| bad("the file is empty"))?;
        self.check(&header)?;
        let mut count = 0_u64;
        loop {
            let cut = || bad(format!("the file is cut after {count} records"));
            let sum = from.sum();
            let item = next(&mut from)?.ok_or_else(cut)?;
            if let Value::Map(_) = &item {
                let is_whole = field(&item, "records") == Some(&Value::from(count));
                let is_last = from.inner.fill_buf().map_err(cannot)?.is_empty();
                let is_good = field(&item, "sha256") == Some(&Value::Bytes(sum));
                return match is_whole && is_last {
                    true if is_good => Ok(()),
                    true => Err(bad("the file is damaged: its checksum is another")),
                    false => Err(cut()),
                };
            }
            let damaged = || bad(format!("record {} of the file is damaged", count + 1));
            let (key, stored) = parse(item).ok_or_else(damaged)?;
            each(&key, stored)?;
            count += 1;
        }
    }

    fn check(&self, header: &Value) -> Result<()> {
        if field(header, "format") != Some(&Value::from(FORMAT)) {
            return Err(bad("this is no export of maypole's"));
        }
        if field(header, "version") != Some(&Value::from(VERSION)) {
            return Err(bad("the export is of another version of maypole"));
        }
        let app = field(header, "app").and_then(Value::as_text).unwrap_or_default();
        if app != self.app {
            return Err(bad(format!(
                "these are sessions of the app {app:?}, and [app] name is {:?}: no cookie would \
                 open any of them",
                self.app
            )));
        }
        Ok(())
    }
}

impl Imported {
    fn count(&mut self, taken: TakenIn) -> &mut u64 {
        match taken {
            TakenIn::Added => &mut self.added,
            TakenIn::Updated => &mut self.updated,
            TakenIn::Same => &mut self.same,
            TakenIn::Kept => &mut self.kept,
            TakenIn::Ended => &mut self.ended,
            TakenIn::Expired => &mut self.expired,
            TakenIn::NoRoom => &mut self.no_room,
            TakenIn::Skipped => &mut self.skipped,
        }
    }
}

/// The last id of each session, by its handle.
#[derive(Default)]
struct Claims(HashMap<Handle, Claim>);

impl Claims {
    fn offer(&mut self, key: &StoreKey, stored: &Stored) {
        let Some(claim) = Claim::of(key, stored) else { return };
        match self.0.get_mut(&claim.handle) {
            Some(known) if known.key == claim.key || !claim.is_after(known) => {}
            Some(known) => *known = claim,
            None => drop(self.0.insert(claim.handle, claim)),
        }
    }

    /// Whether the record is no session with a later id elsewhere.
    fn allow(&self, key: &StoreKey, stored: &Stored) -> bool {
        let Some(claim) = Claim::of(key, stored) else { return true };
        self.0.get(&claim.handle).is_none_or(|known| known.key == *key)
    }

    /// Whether the session is one of the file's.
    fn knows(&self, key: &StoreKey, stored: &Stored) -> bool {
        Claim::of(key, stored).is_some_and(|claim| self.0.contains_key(&claim.handle))
    }
}

fn bad(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Request, what)
}

fn put(to: &mut impl Write, value: &Value) -> Result<()> {
    ciborium::into_writer(value, to).map_err(|error| match error {
        ciborium::ser::Error::Io(error) => Error::from(error),
        ciborium::ser::Error::Value(what) => Error::new(ErrorKind::Internal, what),
    })
}

/// The next item; `None` at the end of the file.
fn next(from: &mut Summed<impl BufRead>) -> Result<Option<Value>> {
    if from.inner.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let item = ciborium::from_reader(from.by_ref().take(MAX_ITEM_BYTES));
    item.map(Some).map_err(|error| {
        let cause = match error {
            ciborium::de::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        bad("the file is cut or damaged").caused_by(cause)
    })
}

fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let (_, value) = map.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name))?;
    Some(value)
}

fn record(key: &StoreKey, stored: Stored) -> Value {
    Value::Array(vec![
        Value::Bytes(key.as_bytes().to_vec()),
        stored.version.into(),
        to_ms(stored.deadline).into(),
        to_ms(stored.last_seen).into(),
        stored.evictable.into(),
        Value::Bytes(stored.bytes),
    ])
}

fn parse(item: Value) -> Option<(StoreKey, Stored)> {
    let fields: [Value; 6] = item.into_array().ok()?.try_into().ok()?;
    let [key, version, deadline, last_seen, evictable, bytes] = fields;
    let number = |value: Value| u64::try_from(value.into_integer().ok()?).ok();
    let time = |value| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(number(value)?));
    let key = StoreKey::from_bytes(key.into_bytes().ok()?.try_into().ok()?);
    let stored = Stored {
        bytes: bytes.into_bytes().ok()?,
        version: number(version)?,
        deadline: time(deadline)?,
        last_seen: time(last_seen)?,
        evictable: evictable.into_bool().ok()?,
    };
    Some((key, stored))
}
