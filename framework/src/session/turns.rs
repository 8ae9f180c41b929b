//! Who waits for a session's lock within this process, in the order they came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::store::StoreKey;
use crate::runtime::sync::{Semaphore, ShortLock};

/// The locks that somebody holds or waits for just now. It never holds more than that.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    slots: Slots,
}

#[derive(Debug)]
struct Slots(ShortLock<BTreeMap<StoreKey, Slot>>);

impl Default for Slots {
    fn default() -> Self {
        Self(ShortLock::new(BTreeMap::new()))
    }
}

#[derive(Debug)]
struct Slot {
    turn: Arc<Semaphore>,
    /// Holder and waiters.
    people: usize,
}

/// The right to take the lock in the store. Dropping it, which never waits, calls the next.
#[derive(Debug)]
pub(crate) struct Held {
    place: Place,
}

/// A place in the line.
#[derive(Debug)]
struct Place {
    turns: Arc<Turns>,
    key: StoreKey,
    turn: Arc<Semaphore>,
}

impl Turns {
    /// Waits for the turn; `None` if it did not come within `patience`.
    pub(crate) fn take(self: &Arc<Self>, key: StoreKey, patience: Duration) -> Option<Held> {
        let turn = self.slots.0.with(|slots| {
            let fresh = || Slot { turn: Arc::new(Semaphore::new(1)), people: 0 };
            let slot = slots.entry(key).or_insert_with(fresh);
            slot.people += 1;
            Arc::clone(&slot.turn)
        });
        let place = Place { turns: Arc::clone(self), key, turn };
        place.turn.take_timeout(patience).then(|| Held { place })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.place.turn.give_back();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turns.slots.0.with(|slots| {
            if let Some(slot) = slots.get_mut(&self.key) {
                slot.people -= 1;
                if slot.people == 0 {
                    slots.remove(&self.key);
                }
            }
        });
    }
}
