//! The calls of the contract on one key: look, write the journal, publish.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::TableStore;
use super::entry::Entry;
use super::frame::{Frames, MAX_PAYLOAD_BYTES};
use super::journal::AppendError;
use super::map::{Change, Place, SHARDS};
use super::usage::Held;
use crate::runtime::sync::ShortLock;
use crate::session::stores::disk::{failed, refused};
use crate::session::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};

/// Records one creation may evict to get below the quotas.
const MAX_EVICTIONS: usize = 4;

/// Records looked at to find one that may be evicted; and how many make a good choice. The next
/// search goes on where this one stopped, so all are looked at in the end.
const EVICTION_LOOKS: usize = 1024;
const EVICTION_CHOICE: usize = 32;

/// How long a search without a victim is believed, so that a flood of new visitors against a full
/// store does not become a flood of searches, or of evictions in vain.
pub(super) const NO_VICTIM_TIME: Duration = Duration::from_millis(20);

/// Where the search for a record to evict stands.
#[derive(Debug, Default)]
pub(super) struct Search {
    place: Place,
    failed_at: Option<Instant>,
}

impl SessionStore for TableStore {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        let entry = self.inner.map.get(key).filter(|entry| !entry.is_expired(now));
        Ok(entry.map(|entry| entry.to_stored()))
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        if new.bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(StoreError::TooLarge);
        }
        let allows = |found: Option<&Entry>| allows(found, expected, now);
        let mut reserved = Held::default();
        // Only a newcomer needs room; what bounds the others is said at `SessionStore`.
        if expected == Expected::Absent && new.evictable {
            // Asked before there is room for it, and again under the lock.
            let found = self.inner.map.get(key);
            if let Err(swap) = allows(found.as_ref()) {
                return Ok(swap);
            }
            reserved = Held::session(new.bytes.len());
            self.make_room(reserved, now)?;
        }
        let mut frames = Frames::with_capacity(new.bytes.len());
        let entry = frames.record(key, new);
        self.change(key, reserved, |found| match allows(found.as_ref()) {
            Err(swap) => (Change::Nothing, Ok(swap)),
            Ok(()) => self.append(frames, Change::Put(entry), Swap::Done),
        })
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.change(key, Held::default(), |found| {
            let live = found.filter(|entry| !entry.is_expired(now) && entry.version() == version);
            let Some(entry) = live else { return (Change::Nothing, Ok(Touch::Stale)) };
            let touched = entry.touched(renewed);
            let mut frames = Frames::with_capacity(0);
            frames.touch(&touched);
            self.append(frames, Change::Put(touched), Touch::Done)
        })
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.remove_if(key, |_| true)
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.sweep_some(now, budget)
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        Ok(self.list_some(after, limit, now))
    }

    /// No other process changes anything here: there is nothing to tell.
    fn watch(&self, _: Arc<dyn ChangeListener>) -> bool {
        true
    }
}

/// Whether a swap may go on from what was found, and what it is otherwise.
fn allows(found: Option<&Entry>, expected: Expected, now: SystemTime) -> Result<(), Swap> {
    match (found.filter(|entry| !entry.is_expired(now)), expected) {
        (None, Expected::Absent) => Ok(()),
        (None, Expected::Version(_)) => Err(Swap::Missing),
        (Some(entry), Expected::Version(version)) if entry.version() == version => Ok(()),
        (Some(_), Expected::Absent | Expected::Version(_)) => Err(Swap::Conflict),
    }
}

impl TableStore {
    /// Changes one record and counts the change against the room reserved for it.
    fn change<T>(
        &self,
        key: &StoreKey,
        reserved: Held,
        decide: impl FnOnce(Option<Entry>) -> (Change, Result<T, StoreError>),
    ) -> Result<T, StoreError> {
        let reservation = Reservation { store: self, room: reserved };
        let (answer, grown) = self.inner.map.change(key, decide);
        reservation.settle(grown);
        answer
    }

    /// Writes frames; what they say is published exactly if they are in the journal.
    pub(super) fn append<T>(
        &self,
        frames: Frames,
        change: Change,
        answer: T,
    ) -> (Change, Result<T, StoreError>) {
        match self.inner.journal.append(frames) {
            Ok(()) => (change, Ok(answer)),
            Err(AppendError::NotWritten(error)) => {
                (Change::Nothing, Err(refused("cannot write the session journal")(error)))
            }
            Err(AppendError::InDoubt(error)) => {
                (Change::Nothing, Err(failed("cannot write the session journal")(error)))
            }
            // Memory says what the journal says, though whether it survives a power loss is
            // unknown until it is written anew.
            Err(AppendError::NotSynced(error)) => {
                (change, Err(failed("cannot sync the session journal")(error)))
            }
        }
    }

    /// Removes the record if it is there and `may` be removed; true if it was.
    pub(super) fn remove_if(
        &self,
        key: &StoreKey,
        may: impl FnOnce(&Entry) -> bool,
    ) -> Result<bool, StoreError> {
        self.change(key, Held::default(), |found| {
            if !found.is_some_and(|entry| may(&entry)) {
                return (Change::Nothing, Ok(false));
            }
            let mut frames = Frames::with_capacity(0);
            frames.remove(key);
            self.append(frames, Change::Remove, true)
        })
    }

    fn make_room(&self, room: Held, now: SystemTime) -> Result<(), StoreError> {
        for _ in 0..=MAX_EVICTIONS {
            if self.inner.usage.reserve(room) {
                return Ok(());
            }
            if !self.evict(now)? {
                return Err(StoreError::Full);
            }
        }
        // More is there than may be: nobody is given up in vain for a while.
        if self.inner.usage.is_exceeded() {
            self.inner.search.with(|search| search.failed_at = Some(Instant::now()));
        }
        Err(StoreError::Full)
    }

    /// Drops one record that is expired or evictable, the one unused for longest of those seen;
    /// false if none was found.
    fn evict(&self, now: SystemTime) -> Result<bool, StoreError> {
        let mut victims = Vec::new();
        self.inner.search.with(|search| {
            if search.failed_at.is_some_and(|failed| failed.elapsed() < NO_VICTIM_TIME) {
                return;
            }
            let mut looked = 0;
            for _ in 0..SHARDS {
                let is_enough = looked >= EVICTION_CHOICE && !victims.is_empty();
                if is_enough || looked >= EVICTION_LOOKS {
                    break;
                }
                let step = self.inner.map.walk(&mut search.place, EVICTION_CHOICE, |entry| {
                    if entry.is_evictable() || entry.is_expired(now) {
                        victims.push((entry.last_seen_ms(), entry.key));
                    }
                });
                looked += step.examined;
            }
            search.failed_at = victims.is_empty().then(Instant::now);
        });
        victims.sort_unstable();
        for (_, key) in victims {
            let mut expired = false;
            let may = |entry: &Entry| {
                expired = entry.is_expired(now);
                expired || entry.is_evictable()
            };
            if self.remove_if(&key, may)? {
                if !expired {
                    self.inner.usage.evicted.fetch_add(1, Ordering::Relaxed);
                    log::info!("session store full: evicted {}..", key.short());
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets that there was nobody to evict.
    pub(super) fn has_room_again(search: &ShortLock<Search>) {
        search.with(|search| search.failed_at = None);
    }
}

/// Room taken for a newcomer who is about to be let in; given back whatever happens.
struct Reservation<'a> {
    store: &'a TableStore,
    room: Held,
}

impl Reservation<'_> {
    /// Counts what the change really took instead.
    fn settle(mut self, grown: Held) {
        let room = std::mem::take(&mut self.room);
        self.store.inner.usage.count(grown - room);
        if grown.sessions < 0 {
            TableStore::has_room_again(&self.store.inner.search);
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.store.inner.usage.count(Held::default() - self.room);
    }
}
