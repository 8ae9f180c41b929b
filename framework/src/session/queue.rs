//! Commits of one session queue up here, within this process, so that a hot session costs no
//! retry storm. Between processes the store's compare-and-swap decides.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::store::{StoreKey, Stored};
use crate::runtime::sync::{Mutex, ShortLock};

const SHARDS: usize = 64;

/// The sessions that are being committed just now. It never holds more than that.
#[derive(Debug)]
pub(crate) struct Queue {
    shards: Box<[Shard]>,
}

/// The sessions of one shard, found by a glance along a short list.
type Shard = ShortLock<Vec<(StoreKey, Arc<Slot>)>>;

/// What the commit before left for the next in line: the record it stored, so that the next need
/// not find out by a failing swap and a load.
pub(crate) type Left = Option<Stored>;

#[derive(Debug, Default)]
struct Slot {
    turn: Mutex<Left>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| ShortLock::new(Vec::new())).collect() }
    }

    /// Waits until no other commit of `key` runs in this process, then runs `commit`.
    ///
    /// `commit` may yield, and must not enter the queue for another key: the order of two keys in
    /// two requests could differ.
    pub(crate) fn in_turn<T>(&self, key: &StoreKey, commit: impl FnOnce(&mut Turn<'_>) -> T) -> T {
        let place = self.enter(key);
        #[cfg(test)]
        crate::runtime::checked::point();
        let mut left = place.slot.turn.lock();
        commit(&mut Turn { left: &mut left, slot: &place.slot })
    }

    fn enter(&self, key: &StoreKey) -> Place<'_> {
        let shard = &self.shards[usize::from(key.as_bytes()[0]) % SHARDS];
        let slot = shard.with(|slots| {
            if let Some((_, slot)) = slots.iter().find(|(other, _)| other == key) {
                return Arc::clone(slot);
            }
            let slot = Arc::<Slot>::default();
            slots.push((*key, Arc::clone(&slot)));
            slot
        });
        Place { shard, slot }
    }
}

/// The right to commit one session.
pub(crate) struct Turn<'a> {
    left: &'a mut Left,
    slot: &'a Arc<Slot>,
}

impl Turn<'_> {
    /// What the commit before stored.
    pub(crate) fn left(&mut self) -> Left {
        self.left.take()
    }

    /// Leaves `stored` for the next, if somebody waits (the table and this commit hold the slot
    /// too).
    pub(crate) fn leave(&mut self, stored: Stored) {
        *self.left = (Arc::strong_count(self.slot) > 2).then_some(stored);
    }
}

struct Place<'a> {
    shard: &'a Shard,
    slot: Arc<Slot>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shard.with(|slots| {
            // Others take the slot only under this lock, so two holders are the table and we.
            if Arc::strong_count(&self.slot) == 2 {
                slots.retain(|(_, slot)| !Arc::ptr_eq(slot, &self.slot));
            }
        });
    }
}
