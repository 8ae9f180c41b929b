//! The table in memory: shards with a short lock each, and above them stripes, one writer each.
//!
//! A writer holds its stripe from the look at the old record to the publication of the new one,
//! the journal in between; so the journal has the changes of a key in the order in which they
//! happened. Readers take only the short lock and never wait for the disk. This room knows no
//! file.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::entry::Entry;
use super::locks::Locks;
use super::usage::Held;
use crate::session::StoreKey;

/// Shards; by the first ten bits of a key, so that they are in the order of the keys.
pub(super) const SHARDS: usize = 1024;
const SHARDS_PER_STRIPE: usize = 4;

/// Below this many slots a shard is not worth shrinking.
const SMALL_SHARD: usize = 64;

pub(super) struct Map<L: Locks> {
    stripes: Vec<L::Long>,
    shards: Vec<L::Short<HashTable<Entry>>>,
}

/// What a writer wants published.
#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    Put(Entry),
    Remove,
}

/// A stripe of the table, held by one writer.
pub(super) struct Stripe<'a, L: Locks> {
    map: &'a Map<L>,
}

/// A place in the table between two steps of a walk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    shard: usize,
    bucket: usize,
}

/// What one step of a walk went over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    pub(super) examined: usize,
    /// Whether the step ended at the end of the table; the next begins at its start.
    pub(super) is_last: bool,
}

impl<L: Locks> Map<L> {
    pub(super) fn new() -> Self {
        Self::sized(SHARDS)
    }

    /// A table with fewer shards, for the model checker.
    pub(super) fn sized(shards: usize) -> Self {
        Self {
            stripes: (0..shards.div_ceil(SHARDS_PER_STRIPE)).map(|_| L::long()).collect(),
            shards: (0..shards).map(|_| L::short(HashTable::new())).collect(),
        }
    }

    /// The record of `key`, expired or not.
    pub(super) fn get(&self, key: &StoreKey) -> Option<Entry> {
        self.in_shard(shard_of(key), |shard| {
            shard.find(hash(key), |entry| entry.key == *key).cloned()
        })?
    }

    /// Changes the record of `key`: `decide` sees the one that is there and writes the journal;
    /// what it returns is published before another writer of this key may look.
    ///
    /// Gives also by how much the table grew or shrank.
    pub(super) fn change<T>(
        &self,
        key: &StoreKey,
        decide: impl FnOnce(Option<Entry>) -> (Change, T),
    ) -> (T, Held) {
        self.hold(key, |stripe| {
            let (change, answer) = decide(self.get(key));
            (answer, stripe.publish(key, change))
        })
    }

    /// Runs `section` as the only writer of all keys in the shard of `key`.
    pub(super) fn hold<R>(&self, key: &StoreKey, section: impl FnOnce(Stripe<'_, L>) -> R) -> R {
        let run = || section(Stripe { map: self });
        match self.stripes.get(shard_of(key) % self.shards.len() / SHARDS_PER_STRIPE) {
            Some(stripe) => L::hold(stripe, run),
            None => run(),
        }
    }

    /// Copies the whole table, shard by shard, for a snapshot that replaces what `rotate` put an
    /// end to.
    ///
    /// `rotate` makes all later changes go elsewhere. A writer may have written its change before
    /// that and not published it yet, so every stripe is passed once: then all that the snapshot
    /// must replace is in the table. Stops at the first error.
    pub(super) fn snapshot<B, E>(
        &self,
        rotate: impl FnOnce() -> Result<B, E>,
        mut each: impl FnMut(&B, Vec<Entry>) -> Result<(), E>,
    ) -> Result<B, E> {
        let boundary = rotate()?;
        for stripe in &self.stripes {
            L::hold(stripe, || ());
        }
        for shard in &self.shards {
            each(&boundary, L::with(shard, |shard| shard.iter().cloned().collect()))?;
        }
        Ok(boundary)
    }

    /// Puts a change of the journal into the table, without any writer's lock: only at start.
    pub(super) fn restore(&self, key: &StoreKey, change: Change) -> Held {
        Stripe { map: self }.publish(key, change)
    }

    /// Shows `look` up to `budget` records of one shard, going on at `place`.
    pub(super) fn walk(
        &self,
        place: &mut Place,
        budget: usize,
        mut look: impl FnMut(&Entry),
    ) -> Step {
        let mut step = Step::default();
        let finished = self.in_shard(place.shard, |shard| {
            // What a rush of visitors left is given back when they are gone; here, since it moves
            // the records of the shard to other places.
            let is_sparse = shard.capacity() > SMALL_SHARD && shard.len() < shard.capacity() / 8;
            if place.bucket == 0 && is_sparse {
                shard.shrink_to(shard.len() * 2, |entry| hash(&entry.key));
            }
            while place.bucket < shard.num_buckets() && step.examined < budget {
                if let Some(entry) = shard.get_bucket(place.bucket) {
                    step.examined += 1;
                    look(entry);
                }
                place.bucket += 1;
            }
            place.bucket >= shard.num_buckets()
        });
        if finished.unwrap_or(true) {
            *place = Place { shard: place.shard + 1, bucket: 0 };
            if place.shard >= self.shards.len() {
                *place = Place::default();
                step.is_last = true;
            }
        }
        step
    }

    /// The smallest `limit` keys of one shard that are greater than `after` and not expired at
    /// `now_ms`, ascending.
    pub(super) fn keys(
        &self,
        shard: usize,
        after: Option<&StoreKey>,
        limit: usize,
        now_ms: u64,
    ) -> Vec<StoreKey> {
        let mut keys = self
            .in_shard(shard, |shard| {
                let wanted = |entry: &&Entry| {
                    entry.deadline_ms > now_ms && after.is_none_or(|after| entry.key > *after)
                };
                shard.iter().filter(wanted).map(|entry| entry.key).collect::<Vec<_>>()
            })
            .unwrap_or_default();
        keys.sort_unstable();
        keys.truncate(limit);
        keys
    }

    fn in_shard<R>(&self, shard: usize, f: impl FnOnce(&mut HashTable<Entry>) -> R) -> Option<R> {
        self.shards.get(shard % self.shards.len()).map(|shard| L::with(shard, f))
    }
}

impl<L: Locks> Stripe<'_, L> {
    /// Makes a change visible; gives by how much the table grew or shrank.
    pub(super) fn publish(&self, key: &StoreKey, change: Change) -> Held {
        let new = match change {
            Change::Nothing => return Held::default(),
            Change::Put(entry) => Some(entry),
            Change::Remove => None,
        };
        let now_held = new.as_ref().map_or_else(Held::default, Held::of);
        // The old record is freed outside the lock.
        let old = self.map.in_shard(shard_of(key), |shard| replace(shard, key, new)).flatten();
        now_held - old.as_ref().map_or_else(Held::default, Held::of)
    }
}

fn replace(shard: &mut HashTable<Entry>, key: &StoreKey, new: Option<Entry>) -> Option<Entry> {
    let found = shard.entry(hash(key), |entry| entry.key == *key, |entry| hash(&entry.key));
    match (found, new) {
        (Slot::Occupied(mut slot), Some(new)) => Some(std::mem::replace(slot.get_mut(), new)),
        (Slot::Vacant(slot), Some(new)) => {
            slot.insert(new);
            None
        }
        (Slot::Occupied(slot), None) => {
            let (old, _) = slot.remove();
            Some(old)
        }
        (Slot::Vacant(_), None) => None,
    }
}

/// The shard of a key, by its first ten bits.
pub(super) fn shard_of(key: &StoreKey) -> usize {
    let [first, second, ..] = *key.as_bytes();
    usize::from(first) << 2 | usize::from(second) >> 6
}

/// Keys are hashes already.
fn hash(key: &StoreKey) -> u64 {
    super::frame::u64_at(key.as_bytes(), 8).unwrap_or_default()
}
