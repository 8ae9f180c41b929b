//! The end of an id: a swap to a tombstone.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::events::Event;
use super::super::record::{End, Tombstone};
use super::super::state::{Base, CookieDue, Fate, Gone, Open};
use super::super::store::{Expected, StoreKey, Stored, Swap};
use super::super::version::{first_version, next_version};
use super::index::Buried;
use super::load::Found;
use super::race::Race;
use super::{Manager, later, store_error};
use crate::error::{Error, ErrorKind, Result};

impl Manager {
    /// Swaps the session to a tombstone, against any other writer.
    pub(super) fn end(&self, base: &Arc<Base>, open: &mut Open, now: SystemTime) -> Result<()> {
        let token = self.token();
        let tombstone = Tombstone { at: now, token, end: End::Ended };
        let mut current = Arc::clone(base);
        let mut race = Race::new(self, base.key);
        let dead = self.queue.in_turn(&base.key, |turn| -> Result<Option<Tombstone>> {
            loop {
                let stored = self.buried(&tombstone, current.version, now);
                let expected = Expected::Version(current.version);
                match self.store.swap(&current.key, expected, &stored, now) {
                    Ok(Swap::Done) => {
                        // What an earlier commit left would only mislead the next.
                        drop(turn.left());
                        return Ok(Some(tombstone.clone()));
                    }
                    Ok(Swap::Missing) => return Ok(None),
                    Ok(Swap::Conflict) => race.lost()?,
                    Err(error) => race.failed(None, error)?,
                }
                match self.find(&current.id, now)? {
                    Found::Live(found) => current = found,
                    Found::Dead(tombstone) => return Ok(Some(tombstone)),
                    Found::Absent => return Ok(None),
                }
            }
        })?;
        let ended = match dead {
            Some(dead) if dead.token == token => {
                self.events.note(Event::Destroyed, Some(&base.key));
                Some(current.key)
            }
            Some(dead) if dead.successor().is_none() => None,
            _ => self.end_successor(&base.key, open, now)?,
        };
        self.settle_end(&current.key, ended, open)
    }

    /// [`end`](Self::end) for a request that has learned already that `key`, under which it loaded
    /// the session, is no more.
    pub(super) fn end_lost(&self, key: &StoreKey, open: &mut Open, now: SystemTime) -> Result<()> {
        let ended = self.end_successor(key, open, now)?;
        self.settle_end(key, ended, open)
    }

    /// Ends what took the place of `key`: whoever held the session when the request loaded it may
    /// end it, and is not told that it has ended while it lives under another id. Gives the key that
    /// was ended, if somebody else had not done it.
    fn end_successor(
        &self,
        key: &StoreKey,
        open: &Open,
        now: SystemTime,
    ) -> Result<Option<StoreKey>> {
        let mut race = Race::new(self, *key);
        loop {
            let missing = match self.bury_unsettled(*key, |_| true, now)? {
                Buried::Here(key) => return Ok(Some(key)),
                Buried::Before(_) | Buried::Other => return Ok(None),
                Buried::Nothing(missing) if missing == *key => {
                    return self.refuse_forgotten(open).map(|()| None);
                }
                Buried::Nothing(missing) => missing,
            };
            // A change of id so slow that its pending record ran out makes that again at the end:
            // not where a tombstone lies.
            let tombstone = Tombstone { at: now, token: self.token(), end: End::Ended };
            let stored = self.buried(&tombstone, first_version()?, now);
            match self.store.swap(&missing, Expected::Absent, &stored, now) {
                Ok(Swap::Done) => return Ok(Some(missing)),
                Ok(Swap::Conflict | Swap::Missing) => race.lost()?,
                Err(error) => race.failed(None, error)?,
            }
        }
    }

    /// Nothing is under a key that was there when it was looked up. A tombstone that leads on would
    /// be, unless so much time has passed that it may have been removed; some of it is left for
    /// commits that were slow to place it and for clocks that differ.
    fn refuse_forgotten(&self, open: &Open) -> Result<()> {
        let now = self.clock.now();
        let since = open.looked_up.and_then(|then| now.duration_since(then).ok());
        if since.unwrap_or_default() < self.settings.tombstone / 2 {
            return Ok(());
        }
        let what = "whether the session lives under another id cannot be known any more";
        Err(Error::new(ErrorKind::SessionGone, what))
    }

    /// Notes that the session has ended: under the key `ended`, unless somebody else did it.
    fn settle_end(&self, key: &StoreKey, ended: Option<StoreKey>, open: &mut Open) -> Result<()> {
        open.base = None;
        open.doubt = None;
        open.is_renewed = false;
        open.gone = Gone::No;
        open.fate = Fate::Keep;
        open.cookie = CookieDue::None;
        open.ended = Some(*key);
        let other = ended.filter(|ended| ended != key);
        let settled = other.map_or(Ok(()), |ended| self.settle(&ended));
        // Both, since the session has ended whatever comes of the first.
        self.settle(key).and(settled)?;
        // Only now: the browser needs its cookie for another try, as long as a failover may bring the
        // session back.
        if ended.is_some() {
            open.cookie = CookieDue::Delete;
        }
        Ok(())
    }

    /// Waits until nobody is given an older state of `key`, on any node. A store that refuses that
    /// says nothing of the change, which stands.
    pub(super) fn settle(&self, key: &StoreKey) -> Result<()> {
        self.store.settle(key).map_err(|error| store_error(error.after_a_write()))
    }

    /// A tombstone as the store keeps it after version `version`.
    pub(super) fn buried(&self, tombstone: &Tombstone, version: u64, now: SystemTime) -> Stored {
        let kept = match tombstone.end {
            End::Rotated { .. } => self.settings.tombstone.max(self.settings.rotate_grace),
            End::Ended | End::Replaced { .. } => self.settings.tombstone,
        };
        Stored {
            bytes: tombstone.encode(),
            version: next_version(version),
            deadline: later(now, kept),
            last_seen: now,
            evictable: false,
        }
    }
}
