//! What those who look after a store ask: what lies in it, ending sessions from outside of any
//! request, and taking in records of another store.

use std::collections::HashMap;
use std::time::SystemTime;

use super::super::id::Handle;
use super::super::inspect::Inspected;
use super::super::record::{self, Epochs, Record, Tokens};
use super::super::reserved::{self, Index, Reserved};
use super::super::store::{Expected, StoreError, StoreKey, Stored, Swap};
use super::super::version::{first_version, next_version};
use super::race::Race;
use super::{Manager, store_error};
use crate::error::Result;

/// What became of a record that another store gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenIn {
    /// There was none.
    Added,
    /// It took the place of an earlier state of the same record.
    Updated,
    /// This store has the same, or knows of it.
    Same,
    /// This store has a later state, or one of another origin; it stays.
    Kept,
    /// This store knows that the session has ended.
    Ended,
    /// Its time is over.
    Expired,
    /// An anonymous session seen once, for which a full store has no room.
    NoRoom,
    /// The lease of a lock, which means nothing elsewhere, or bytes that cannot be read.
    Skipped,
}

/// A session that lives under one key. Its handle stays with it through all changes of id, so of
/// the records with one handle only the last may live: an older id would be an alias.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) handle: Handle,
    pub(crate) key: StoreKey,
    tokens: Tokens,
    last_seen: SystemTime,
}

impl Claim {
    /// The claim of a stored session; `None` for other records, and for a session whose change of
    /// id is not completed.
    pub(crate) fn of(key: &StoreKey, stored: &Stored) -> Option<Self> {
        let Ok(record::Entry::Session(record)) = record::Entry::decode(stored.bytes.clone()) else {
            return None;
        };
        let Record { handle, tokens, pending: None, .. } = record else { return None };
        Some(Self { handle, key: *key, tokens, last_seen: stored.last_seen })
    }

    /// Whether this is a later state of the same session: it went on from the other, or, where that
    /// cannot be told, was used later.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        match (went_on(&self.tokens, &other.tokens), went_on(&other.tokens, &self.tokens)) {
            (true, false) => true,
            (false, true) => false,
            _ => self.last_seen > other.last_seen,
        }
    }
}

/// Whether the commit that came last in `from` is among those of `to`.
fn went_on(to: &Tokens, from: &Tokens) -> bool {
    from.last().is_some_and(|last| to.contains(last))
}

impl Manager {
    /// Reads the records of one page of a list; says which sessions were revoked.
    pub(crate) fn inspect(&self, page: Vec<(StoreKey, Stored)>) -> Result<Vec<Inspected>> {
        let read = page.into_iter().map(|(key, stored)| Inspected::with_record(key, stored));
        let mut read: Vec<(Inspected, Option<Record>)> = read.collect();
        let bound = |record: &Option<Record>| Some(record.as_ref()?.user.as_deref()?.to_owned());
        let users: Vec<String> = read.iter().filter_map(|(_, record)| bound(record)).collect();
        if !users.is_empty() {
            let epochs = self.epochs_of(users, self.clock.now())?;
            for (inspected, record) in &mut read {
                let Some(record) = record else { continue };
                let stored = record.user.as_deref().and_then(|user| epochs.get(user));
                inspected.is_revoked =
                    stored.is_some_and(|stored| !record.epochs.are_good_under(*stored));
            }
        }
        Ok(read.into_iter().map(|(inspected, _)| inspected).collect())
    }

    /// The epochs of several users, in one call of the store.
    fn epochs_of(&self, users: Vec<String>, now: SystemTime) -> Result<HashMap<String, Epochs>> {
        let mut keys = vec![self.keyring.everybodys_epoch()];
        keys.extend(users.iter().map(|user| self.keyring.user_epoch(user)));
        let found = self.store.load_many(&keys, now).map_err(store_error)?;
        let mut found = found.iter().map(|found| found.as_ref().map_or(0, reserved::epoch));
        let everybody = found.next().unwrap_or(0);
        Ok(users.into_iter().zip(found.map(|user| Epochs { user, everybody })).collect())
    }

    /// Ends the session under `key`, or under the key that took its place. False if there is none.
    pub(crate) fn end_session(&self, key: &StoreKey) -> Result<bool> {
        self.bury(*key, |_| true, self.clock.now())
    }

    /// Ends all sessions of `user`; gives the number of those that were listed.
    pub(crate) fn end_user(&self, user: &str) -> Result<usize> {
        let listed = self.devices(user, None)?.len();
        self.revoke_all(user)?;
        Ok(listed)
    }

    /// Ends the sessions of all users.
    pub(crate) fn end_everybody(&self) -> Result<()> {
        self.revoke_everybody()
    }

    /// Takes in a record of another store under the same key.
    ///
    /// What ended here stays ended, and what was revoked stays so: a tombstone is never replaced,
    /// an epoch never lowered, an expired record never stored. A session takes the place of
    /// another only if it went on from that one's last commit, or if `replaces`. Quotas refuse
    /// whom they would refuse without an import, and let in who has a right to stay.
    pub(crate) fn take_in(
        &self,
        key: &StoreKey,
        given: &Stored,
        replaces: bool,
    ) -> Result<TakenIn> {
        let mut race = Race::new(self, *key);
        loop {
            let now = self.clock.now();
            if given.deadline <= now {
                return Ok(TakenIn::Expired);
            }
            let found = self.store.load(key, now).map_err(store_error)?;
            let (bytes, outcome) = match choose(given, found.as_ref(), replaces, now) {
                Choice::Leave(outcome) => return Ok(outcome),
                Choice::Store(bytes, outcome) => (bytes, outcome),
            };
            let (expected, version, deadline) = match &found {
                Some(found) => {
                    let deadline = match Reserved::of(&bytes) {
                        Some(_) => given.deadline.max(found.deadline),
                        None => given.deadline,
                    };
                    let version = next_version(found.version);
                    (Expected::Version(found.version), version, deadline)
                }
                None => (Expected::Absent, first_version()?, given.deadline),
            };
            let stored = Stored { bytes, version, deadline, ..given.clone() };
            match self.store.swap(key, expected, &stored, now) {
                Ok(Swap::Done) if outcome == TakenIn::Updated => {
                    return self.settle(key).map(|()| outcome);
                }
                Ok(Swap::Done) => return Ok(outcome),
                Ok(Swap::Conflict | Swap::Missing) => race.lost()?,
                Err(StoreError::Full) if stored.evictable => return Ok(TakenIn::NoRoom),
                // Looked up again: what is there by then is what was given.
                Err(error) => race.failed(None, error)?,
            }
        }
    }
}

enum Choice {
    Leave(TakenIn),
    Store(Vec<u8>, TakenIn),
}

/// What to do with a given record where `found` lies.
fn choose(given: &Stored, found: Option<&Stored>, replaces: bool, now: SystemTime) -> Choice {
    match Reserved::of(&given.bytes) {
        Some(Reserved::Lock) => return Choice::Leave(TakenIn::Skipped),
        Some(Reserved::Epoch) => return choose_epoch(given, found),
        Some(Reserved::Index) => return choose_index(given, found),
        None => {}
    }
    let Ok(given_entry) = record::Entry::decode(given.bytes.clone()) else {
        return Choice::Leave(TakenIn::Skipped);
    };
    if matches!(&given_entry, record::Entry::Session(record) if record.absolute <= now) {
        return Choice::Leave(TakenIn::Expired);
    }
    let Some(found) = found else { return Choice::Store(given.bytes.clone(), TakenIn::Added) };
    let found_entry = record::Entry::decode(found.bytes.clone());
    let replace = || Choice::Store(given.bytes.clone(), TakenIn::Updated);
    match (given_entry, found_entry) {
        (record::Entry::Tombstone(_), Ok(record::Entry::Tombstone(_))) => {
            Choice::Leave(TakenIn::Same)
        }
        (record::Entry::Session(_), Ok(record::Entry::Tombstone(_))) => {
            Choice::Leave(TakenIn::Ended)
        }
        // An id that ended somewhere has ended.
        (record::Entry::Tombstone(_), Ok(record::Entry::Session(_))) => replace(),
        (record::Entry::Session(given), Ok(record::Entry::Session(found))) => {
            let (given, found) = (&given.tokens, &found.tokens);
            match (went_on(given, found), went_on(found, given)) {
                (true, true) => Choice::Leave(TakenIn::Same),
                (true, false) => replace(),
                (false, _) if replaces => replace(),
                (false, _) => Choice::Leave(TakenIn::Kept),
            }
        }
        (_, Err(_)) if replaces => replace(),
        (_, Err(_)) => Choice::Leave(TakenIn::Kept),
    }
}

fn choose_epoch(given: &Stored, found: Option<&Stored>) -> Choice {
    let epoch = reserved::epoch(given);
    match found.map(reserved::epoch) {
        None => Choice::Store(reserved::encode_epoch(epoch), TakenIn::Added),
        Some(found) if found < epoch => {
            Choice::Store(reserved::encode_epoch(epoch), TakenIn::Updated)
        }
        Some(_) => Choice::Leave(TakenIn::Same),
    }
}

fn choose_index(given: &Stored, found: Option<&Stored>) -> Choice {
    let given = Index::decode(&given.bytes);
    let Some(found) = found else { return Choice::Store(given.encode(), TakenIn::Added) };
    let found = Index::decode(&found.bytes);
    let mut joined = found.clone();
    joined.join(&given);
    if joined.places.len() == found.places.len() {
        return Choice::Leave(TakenIn::Same);
    }
    Choice::Store(joined.encode(), TakenIn::Updated)
}
