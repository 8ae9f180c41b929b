//! The index of a user's sessions. A session is entered before it is made, so none is ever missing;
//! what has ended stays listed until the index is tidied for want of room.

use std::time::SystemTime;

use super::super::commit::Login;
use super::super::events::Event;
use super::super::record::{self, End, Record, Tombstone};
use super::super::reserved::{Index, Place};
use super::super::state::{Base, Open};
use super::super::store::{Expected, StoreKey, Stored, Swap};
use super::super::version::{first_version, next_version};
use super::load::MAX_HOPS;
use super::race::Race;
use super::{Manager, store_error};
use crate::config::UserPolicy;
use crate::error::{Error, ErrorKind, Result};

/// A session that is about to be made or bound.
pub(super) struct Entry<'a> {
    user: &'a str,
    key: StoreKey,
    /// The session it takes the place of.
    replaces: Option<StoreKey>,
    until: SystemTime,
    /// Whether the user gets one session more.
    is_login: bool,
}

impl<'a> Entry<'a> {
    /// A session made for a login.
    pub(super) fn login(placed: &'a Base, replaces: Option<StoreKey>) -> Self {
        Self { replaces, is_login: true, ..Self::renewal(placed) }
    }

    /// A bound session that changes its id.
    pub(super) fn renewal(placed: &'a Base) -> Self {
        Self {
            user: placed.record.user.as_deref().unwrap_or_default(),
            key: placed.key,
            replaces: None,
            until: placed.record.absolute,
            is_login: false,
        }
    }

    /// A stored session that is bound as it is, or, bound, gets other timeouts.
    pub(super) fn change(open: &'a Open, base: &Base) -> Option<Self> {
        let created = base.record.created;
        let until = open.timeouts.and_then(|timeouts| created.checked_add(timeouts.absolute));
        if open.login.is_none() && until.is_none() {
            return None;
        }
        Some(Self {
            user: open.user()?,
            key: base.key,
            replaces: Some(base.key),
            until: until.unwrap_or(base.record.absolute),
            is_login: open.login.is_some(),
        })
    }
}

/// A session of the index that lives.
pub(super) struct Living {
    pub(super) key: StoreKey,
    pub(super) record: Record,
    pub(super) last_seen: SystemTime,
}

/// What became of a session that was to be ended.
pub(super) enum Buried {
    /// It was ended, under this key.
    Here(StoreKey),
    /// It is not the one that was meant.
    Other,
    /// It had ended, under this key.
    Before(StoreKey),
    /// There is nothing under this key, to which it led.
    Nothing(StoreKey),
}

impl Manager {
    /// Enters a session. Gives the sessions to be ended for it, when it is made.
    ///
    /// # Errors
    /// `TooManySessions` if the user has as many as allowed, and the policy says so.
    pub(super) fn enter(&self, entry: &Entry<'_>, now: SystemTime) -> Result<Vec<StoreKey>> {
        let index_key = self.index_key(entry.user);
        let mut race = Race::new(self, index_key);
        loop {
            let found = self.store.load(&index_key, now).map_err(store_error)?;
            let mut index =
                found.as_ref().map_or_else(Index::default, |found| Index::decode(&found.bytes));
            let mut displaced = Vec::new();
            if !index.contains(&entry.key) {
                displaced = self.make_room(&mut index, entry, now)?;
                index.places.push(Place { key: entry.key, since: now });
            } else if found.as_ref().is_some_and(|found| found.deadline >= entry.until) {
                return Ok(displaced);
            }
            let (expected, version, until) = match &found {
                Some(found) => {
                    let version = next_version(found.version);
                    (Expected::Version(found.version), version, found.deadline.max(entry.until))
                }
                None => (Expected::Absent, first_version()?, entry.until),
            };
            let stored = stored(&index, version, until, now);
            match self.store.swap(&index_key, expected, &stored, now) {
                Ok(Swap::Done) => return Ok(displaced),
                Ok(Swap::Conflict | Swap::Missing) => race.lost()?,
                // Looked up again: an entry that is there is there, whoever made it.
                Err(error) => race.failed(None, error)?,
            }
        }
    }

    /// Takes back an entry whose session was not made. Once, and best effort: it would be taken
    /// for a session that is about to come for a minute.
    pub(super) fn leave(&self, user: &str, key: &StoreKey, now: SystemTime) {
        let index_key = self.index_key(user);
        let Ok(Some(found)) = self.store.load(&index_key, now) else { return };
        let mut index = Index::decode(&found.bytes);
        index.places.retain(|place| place.key != *key);
        let version = next_version(found.version);
        // The index of nobody ends here, or it would take a place for as long as the session would
        // have lived. Not by a removal: that could hit one into which another login was just entered.
        let until = if index.places.is_empty() { now } else { found.deadline };
        let stored = stored(&index, version, until, now);
        let expected = Expected::Version(found.version);
        self.store.swap(&index_key, expected, &stored, now).map(drop).ok();
    }

    /// [`leave`](Self::leave) for a session that may be bound.
    pub(super) fn leave_as(&self, placed: &Base, now: SystemTime) {
        if let Some(user) = &placed.record.user {
            self.leave(user, &placed.key, now);
        }
    }

    /// Ends the sessions that a login displaced. Best effort: what is left over is displaced by the
    /// next login.
    pub(super) fn displace(&self, login: Option<&Login>, keys: &[StoreKey], now: SystemTime) {
        let Some(login) = login else { return };
        for key in keys {
            let is_theirs = |record: &Record| record.user.as_ref() == Some(&login.user);
            match self.bury(*key, is_theirs, now) {
                Ok(true) => self.events.note(Event::Displaced, Some(key)),
                Ok(false) => {}
                Err(error) => {
                    log::warn!(target: "maypole::session", "a user's oldest session lives on: {}", error.chain());
                }
            }
        }
    }

    /// Ends the session under `key`, or under the key that took its place, if it is `wanted`.
    /// False if there is no such session.
    pub(super) fn bury(
        &self,
        key: StoreKey,
        wanted: impl Fn(&Record) -> bool,
        now: SystemTime,
    ) -> Result<bool> {
        match self.bury_unsettled(key, wanted, now)? {
            Buried::Here(key) => self.settle(&key).map(|()| true),
            // Who ended it may have been told that nobody knows.
            Buried::Before(key) => self.settle(&key).map(|()| false),
            Buried::Other | Buried::Nothing(_) => Ok(false),
        }
    }

    /// [`bury`](Self::bury) without the last step, so that the caller can note the end before it.
    pub(super) fn bury_unsettled(
        &self,
        mut key: StoreKey,
        wanted: impl Fn(&Record) -> bool,
        now: SystemTime,
    ) -> Result<Buried> {
        let tombstone = Tombstone { at: now, token: self.token(), end: End::Ended };
        let mut race = Race::new(self, key);
        let mut hops = 0;
        while hops < MAX_HOPS {
            let Some(found) = self.store.load(&key, now).map_err(store_error)? else {
                return Ok(Buried::Nothing(key));
            };
            let version = found.version;
            match record::Entry::decode(found.bytes) {
                Ok(record::Entry::Session(record)) if wanted(&record) => {}
                Ok(record::Entry::Tombstone(found)) if found.token == tombstone.token => {
                    return Ok(Buried::Here(key));
                }
                Ok(record::Entry::Tombstone(found)) if found.successor().is_some() => {
                    key = *found.successor().unwrap_or(&key);
                    hops += 1;
                    continue;
                }
                Ok(record::Entry::Tombstone(_)) => return Ok(Buried::Before(key)),
                Ok(_) | Err(_) => return Ok(Buried::Other),
            }
            let stored = self.buried(&tombstone, version, now);
            match self.store.swap(&key, Expected::Version(version), &stored, now) {
                Ok(Swap::Done) => {
                    self.events.note(Event::Destroyed, Some(&key));
                    return Ok(Buried::Here(key));
                }
                Ok(Swap::Conflict | Swap::Missing) => race.lost()?,
                Err(error) => race.failed(None, error)?,
            }
        }
        // Never "there is none": somebody relies on its end.
        let what = "the session to be ended changes its id too often";
        Err(Error::new(ErrorKind::SessionConflict, what))
    }

    /// What is listed of `user`; sessions that ended among it.
    pub(in super::super) fn index(&self, user: &str, now: SystemTime) -> Result<Index> {
        let found = self.store.load(&self.index_key(user), now).map_err(store_error)?;
        Ok(found.map_or_else(Index::default, |found| Index::decode(&found.bytes)))
    }

    /// The sessions of `index` that live: bound to `user`, under good epochs.
    pub(super) fn living(
        &self,
        index: &Index,
        user: &str,
        now: SystemTime,
    ) -> Result<(Vec<Living>, Vec<StoreKey>)> {
        let keys = index.keys();
        let epochs = self.epochs(user, now)?;
        let found = self.store.load_many(&keys, now).map_err(store_error)?;
        let (mut living, mut unknown) = (Vec::new(), Vec::new());
        for (key, found) in keys.into_iter().zip(found) {
            let Some(Stored { bytes, last_seen, .. }) = found else {
                unknown.push(key);
                continue;
            };
            let Ok(record::Entry::Session(record)) = record::Entry::decode(bytes) else { continue };
            if record.pending.is_some() || record.user.is_none() {
                unknown.push(key);
            } else if record.user.as_deref() == Some(user)
                && record.absolute > now
                && record.epochs.are_good_under(epochs)
            {
                living.push(Living { key, record, last_seen });
            }
        }
        Ok((living, unknown))
    }

    /// Tidies the index when it is full; gives the sessions that have to end for `entry`.
    fn make_room(
        &self,
        index: &mut Index,
        entry: &Entry<'_>,
        now: SystemTime,
    ) -> Result<Vec<StoreKey>> {
        let max = self.settings.max_sessions_per_user;
        let room = if entry.is_login { max } else { 2 * max };
        if index.places.len() < room {
            return Ok(Vec::new());
        }
        let (mut living, unknown) = self.living(index, entry.user, now)?;
        let is_coming = |place: &Place| unknown.contains(&place.key) && place.is_reserved(now);
        index.places.retain(|place| {
            is_coming(place) || living.iter().any(|living| living.key == place.key)
        });
        let others = index.places.iter().filter(|place| Some(place.key) != entry.replaces).count();
        let excess = (others + 1).saturating_sub(max);
        if !entry.is_login || excess == 0 {
            return Ok(Vec::new());
        }
        if self.settings.user_policy == UserPolicy::Refuse {
            let what = format!("the user has {others} sessions, as many as max_sessions_per_user");
            return Err(Error::new(ErrorKind::TooManySessions, what));
        }
        living.retain(|living| Some(living.key) != entry.replaces);
        living.sort_by_key(|living| living.record.last_auth.unwrap_or(living.record.created));
        Ok(living.iter().take(excess).map(|living| living.key).collect())
    }

    fn index_key(&self, user: &str) -> StoreKey {
        self.keyring.reserved(&format!("sessions of\0{user}"))
    }
}

fn stored(index: &Index, version: u64, deadline: SystemTime, now: SystemTime) -> Stored {
    Stored { bytes: index.encode(), version, deadline, last_seen: now, evictable: false }
}
