//! One part of the memory, under one short lock.
//!
//! Records lie in a vector, so that a victim can be drawn by its number: of five at random the
//! one unused for longest makes room.

use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashTable;

use crate::session::{Renewed, StoreKey, Stored};

/// Counters of what was dropped; keys share them, which only refuses a copy now and then.
const MARKS: usize = 64;

/// Copies looked at to find one to give up.
const SAMPLES: usize = 5;

/// What a record costs beside its bytes.
const OVERHEAD_BYTES: usize = 200;

/// What is known of a key.
#[derive(Debug, Clone)]
pub(super) enum Copy {
    Record {
        bytes: Arc<[u8]>,
        version: u64,
        deadline: SystemTime,
        last_seen: SystemTime,
        evictable: bool,
    },
    Absent,
}

impl Copy {
    /// Whether it still says something. A passed deadline does not: another server may have
    /// moved it.
    pub(super) fn is_live(&self, now: SystemTime) -> bool {
        match self {
            Self::Record { deadline, .. } => *deadline > now,
            Self::Absent => true,
        }
    }

    pub(super) fn stored(&self) -> Option<Stored> {
        let Self::Record { bytes, version, deadline, last_seen, evictable } = self else {
            return None;
        };
        Some(Stored {
            bytes: bytes.to_vec(),
            version: *version,
            deadline: *deadline,
            last_seen: *last_seen,
            evictable: *evictable,
        })
    }

    fn cost(&self) -> usize {
        OVERHEAD_BYTES
            + match self {
                Self::Record { bytes, .. } => bytes.len(),
                Self::Absent => 0,
            }
    }
}

#[derive(Debug)]
struct Slot {
    key: StoreKey,
    copy: Copy,
    /// In seconds of the cache's age.
    since: u64,
    used: u64,
}

#[derive(Debug)]
pub(super) struct Shard {
    index: HashTable<usize>,
    slots: Vec<Slot>,
    marks: [u64; MARKS],
    bytes: usize,
    max_slots: usize,
    max_bytes: usize,
    /// Counts uses; also what chance is made of.
    clock: u64,
}

impl Shard {
    pub(super) fn new(max_slots: usize, max_bytes: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            marks: [0; MARKS],
            bytes: 0,
            max_slots,
            max_bytes,
            clock: 0,
        }
    }

    /// The copy of `key`, if it was not made before `oldest`.
    pub(super) fn get(&mut self, key: &StoreKey, oldest: u64) -> Option<Copy> {
        self.clock += 1;
        let used = self.clock;
        let slot = self.slot_mut(key).filter(|slot| slot.since >= oldest)?;
        slot.used = used;
        Some(slot.copy.clone())
    }

    pub(super) fn holds(&self, key: &StoreKey) -> bool {
        self.place(key).is_some()
    }

    /// The version held of `key`.
    pub(super) fn version(&self, key: &StoreKey) -> Option<u64> {
        match self.place(key).and_then(|place| self.slots.get(place))?.copy {
            Copy::Record { version, .. } => Some(version),
            Copy::Absent => None,
        }
    }

    /// A number that changes whenever `key` is dropped.
    pub(super) fn ticket(&self, key: &StoreKey) -> u64 {
        self.marks.get(mark(key)).copied().unwrap_or_default()
    }

    pub(super) fn put(&mut self, key: &StoreKey, copy: Copy, since: u64) {
        let cost = copy.cost();
        if cost > self.max_bytes {
            return self.drop(key);
        }
        self.clock += 1;
        let used = self.clock;
        if let Some(slot) = self.slot_mut(key) {
            let before = slot.copy.cost();
            (slot.copy, slot.since, slot.used) = (copy, since, used);
            self.bytes = self.bytes - before + cost;
        } else {
            let slot = Slot { key: *key, copy, since, used };
            self.slots.push(slot);
            let (slots, last) = (&self.slots, self.slots.len() - 1);
            self.index.insert_unique(hash(key), last, |place| {
                slots.get(*place).map_or(0, |slot| hash(&slot.key))
            });
            self.bytes += cost;
        }
        while self.slots.len() > self.max_slots || self.bytes > self.max_bytes {
            self.evict(key);
        }
    }

    /// Writes `new` over an older copy that is as long and that nobody is reading, as after most
    /// saves: no block of memory is taken and none given back. False if there is no such copy.
    pub(super) fn overwrite(&mut self, key: &StoreKey, new: &Stored, since: u64) -> bool {
        self.clock += 1;
        let used = self.clock;
        let Some(slot) = self.slot_mut(key) else { return false };
        let Copy::Record { bytes, version, deadline, last_seen, evictable } = &mut slot.copy else {
            return false;
        };
        let is_older = *version < new.version && bytes.len() == new.bytes.len();
        let Some(bytes) = Arc::get_mut(bytes).filter(|_| is_older) else { return false };
        bytes.copy_from_slice(&new.bytes);
        (*version, *deadline) = (new.version, new.deadline);
        (*last_seen, *evictable) = (new.last_seen, new.evictable);
        (slot.since, slot.used) = (since, used);
        true
    }

    pub(super) fn renew(&mut self, key: &StoreKey, touched: u64, renewed: Renewed) {
        if let Some(Slot {
            copy: Copy::Record { version, deadline, last_seen, evictable, .. }, ..
        }) = self.slot_mut(key)
            && *version == touched
        {
            (*deadline, *last_seen) = (renewed.deadline, renewed.last_seen);
            *evictable &= renewed.evictable;
        }
    }

    pub(super) fn drop(&mut self, key: &StoreKey) {
        if let Some(mark) = self.marks.get_mut(mark(key)) {
            *mark = mark.wrapping_add(1);
        }
        if let Some(place) = self.place(key) {
            self.take(place);
        }
    }

    /// Gives what was held, to be freed elsewhere.
    #[must_use]
    pub(super) fn flush(&mut self) -> impl Drop + use<> {
        for mark in &mut self.marks {
            *mark = mark.wrapping_add(1);
        }
        self.index.clear();
        self.bytes = 0;
        std::mem::take(&mut self.slots)
    }

    pub(super) fn held(&self) -> (usize, usize) {
        (self.slots.len(), self.bytes)
    }

    /// Gives up one copy, but not that of `spared`.
    fn evict(&mut self, spared: &StoreKey) {
        let mut victim: Option<(u64, StoreKey)> = None;
        for sample in 0..SAMPLES {
            let Some(slot) = self.slots.get(self.chance(sample)) else { continue };
            if slot.key != *spared && victim.is_none_or(|(used, _)| slot.used < used) {
                victim = Some((slot.used, slot.key));
            }
        }
        let other = || self.slots.iter().map(|slot| slot.key).find(|key| key != spared);
        if let Some(key) = victim.map(|(_, key)| key).or_else(other) {
            self.drop(&key);
        } else {
            self.drop(&spared.to_owned());
        }
    }

    /// A place in the vector. Keys are hashes: the numbers of uses, mixed, spread well enough.
    fn chance(&self, sample: usize) -> usize {
        let mut mixed = self.clock.wrapping_add(sample as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 29;
        usize::try_from(mixed % self.slots.len().max(1) as u64).unwrap_or_default()
    }

    /// Removes what lies at `place`; the last one moves there.
    fn take(&mut self, place: usize) {
        let Some(slot) = self.slots.get(place) else { return };
        self.bytes = self.bytes.saturating_sub(slot.copy.cost());
        let key = slot.key;
        if let Ok(found) = self.index.find_entry(hash(&key), |held| *held == place) {
            found.remove();
        }
        self.slots.swap_remove(place);
        let from = self.slots.len();
        if let Some(moved) = self.slots.get(place)
            && let Some(held) = self.index.find_mut(hash(&moved.key), |held| *held == from)
        {
            *held = place;
        }
    }

    fn place(&self, key: &StoreKey) -> Option<usize> {
        let is_it = |place: &usize| self.slots.get(*place).is_some_and(|slot| slot.key == *key);
        self.index.find(hash(key), is_it).copied()
    }

    fn slot_mut(&mut self, key: &StoreKey) -> Option<&mut Slot> {
        let place = self.place(key)?;
        self.slots.get_mut(place)
    }
}

/// Keys are hashes already.
fn hash(key: &StoreKey) -> u64 {
    let [_, _, _, _, _, _, _, _, rest @ ..] = key.as_bytes();
    rest.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

fn mark(key: &StoreKey) -> usize {
    let [_, second, ..] = *key.as_bytes();
    usize::from(second) % MARKS
}
