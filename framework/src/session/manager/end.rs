//! The end of an id: a swap to a tombstone.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::events::Event;
use super::super::record::{End, Tombstone};
use super::super::state::{Base, CookieDue, Fate, Open};
use super::super::store::{Expected, StoreKey, Stored, Swap};
use super::super::version::next_version;
use super::load::Found;
use super::race::Race;
use super::{Manager, later, store_error};
use crate::error::Result;

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
        open.base = None;
        open.fate = Fate::Keep;
        match dead {
            Some(dead) if dead.token == token => {
                self.events.note(Event::Destroyed, Some(&base.key));
                open.cookie = CookieDue::Delete;
            }
            // The browser holds the cookie of the successor by now: leave that alone.
            Some(dead) if dead.successor().is_some() => open.is_gone = true,
            _ => open.cookie = CookieDue::None,
        }
        // Last, since the session has ended whatever comes of this, and its cookie is to go.
        self.settle(&current.key)
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
