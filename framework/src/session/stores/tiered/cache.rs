//! Copies of records in memory, bounded, and never older than what this node has been told.
//!
//! What is loaded from redis may be outdated before it arrives here: the news of a change comes by
//! another connection. So whoever asks redis takes a [`Ticket`] first, and what comes back is kept
//! only if nothing was dropped under that ticket meanwhile. This room knows no connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::shard::{Copy, Shard};
use crate::runtime::sync::ShortLock;
use crate::session::{Renewed, StoreKey, Stored};

const SHARDS: usize = 64;

/// A copy is compared with redis so often: whoever deletes a key by hand, or a cluster that loses a
/// message between two of its nodes, tells nobody.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What was known of a key's changes when redis was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// What a look into memory gave.
#[derive(Debug)]
pub(super) enum Look {
    /// The record, or that there is none.
    Here(Option<Stored>),
    /// Redis has to be asked.
    Unknown(Ticket),
}

#[derive(Debug)]
pub(super) struct Cache {
    shards: Vec<ShortLock<Shard>>,
    begun: Instant,
    /// Seconds since then, as of the last beat: exact enough to tell the age of a copy, and cheaper
    /// than a look at a clock at every load and save.
    age_secs: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a [`TieredStore`](super::TieredStore) holds in memory, and what that was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TieredUsage {
    /// Records in memory, remembered absences included.
    pub records: usize,
    /// Their memory, as [`TieredOptions::max_bytes`](super::TieredOptions::max_bytes) counts it.
    pub bytes: usize,
    /// Loads that memory answered.
    pub hits: u64,
    /// Loads that redis had to answer.
    pub misses: u64,
}

impl Cache {
    pub(super) fn new(max_records: usize, max_bytes: usize) -> Self {
        let shard = || Shard::new(max_records.div_ceil(SHARDS).max(2), max_bytes.div_ceil(SHARDS));
        Self {
            shards: (0..SHARDS).map(|_| ShortLock::new(shard())).collect(),
            begun: Instant::now(),
            age_secs: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// What memory says of `key`, if it may be asked (`is_trusted`). The bytes are copied outside
    /// the lock.
    pub(super) fn look(
        &self,
        key: &StoreKey,
        now: SystemTime,
        is_trusted: impl FnOnce() -> bool,
    ) -> Look {
        let oldest = self.age_secs().saturating_sub(MAX_AGE.as_secs());
        let (copy, ticket) = self.shard(key, |shard| (shard.get(key, oldest), shard.ticket(key)));
        match copy {
            Some(copy) if copy.is_live(now) && is_trusted() => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                Look::Here(copy.stored())
            }
            _ => {
                self.misses.fetch_add(1, Ordering::Relaxed);
                Look::Unknown(Ticket(ticket))
            }
        }
    }

    /// To be taken before redis is asked to change `key`.
    pub(super) fn ticket(&self, key: &StoreKey) -> Ticket {
        Ticket(self.shard(key, |shard| shard.ticket(key)))
    }

    /// Keeps what a load gave.
    pub(super) fn fill(&self, key: &StoreKey, ticket: Ticket, loaded: &Stored) {
        let copy = Copy::of(loaded);
        let since = self.age_secs();
        self.shard(key, |shard| {
            let held = shard.version(key);
            if shard.ticket(key) == ticket.0 && held.is_none_or(|held| held <= loaded.version) {
                shard.put(key, copy, since);
            } else if held.is_some_and(|held| held < loaded.version) {
                // Who has seen the newer one must not find the older one here next time.
                shard.drop(key);
            }
        });
    }

    /// Keeps that a load gave nothing, unless something came there meanwhile.
    pub(super) fn fill_absent(&self, key: &StoreKey, ticket: Ticket) {
        let since = self.age_secs();
        self.shard(key, |shard| {
            if shard.ticket(key) == ticket.0 && shard.version(key).is_none() {
                shard.put(key, Copy::Absent, since);
            }
        });
    }

    /// Keeps what a swap of ours put into redis.
    pub(super) fn replace(&self, key: &StoreKey, ticket: Ticket, new: &Stored, is_created: bool) {
        let since = self.age_secs();
        let is_done = self
            .shard(key, |shard| shard.ticket(key) == ticket.0 && shard.overwrite(key, new, since));
        if is_done {
            return;
        }
        let copy = Copy::of(new);
        self.shard(key, |shard| {
            let held = shard.version(key);
            if shard.ticket(key) == ticket.0 && (is_created || held.is_none_or(|v| v < new.version))
            {
                shard.put(key, copy, since);
            } else if held.is_none_or(|held| held < new.version) || is_created {
                // Also what is on its way here: a load that another worker sent may be older.
                shard.drop(key);
            }
        });
    }

    /// Writes the times of a touch into the copy.
    pub(super) fn renew(&self, key: &StoreKey, version: u64, renewed: Renewed) {
        self.shard(key, |shard| shard.renew(key, version, renewed));
    }

    /// Forgets `key`, and what is on its way here.
    pub(super) fn drop(&self, key: &StoreKey) {
        self.shard(key, |shard| shard.drop(key));
    }

    /// Forgets what redis does not have any more. Most keys nobody has were never here: asking for
    /// them costs others nothing.
    pub(super) fn drop_held(&self, key: &StoreKey) {
        self.shard(key, |shard| {
            if shard.holds(key) {
                shard.drop(key);
            }
        });
    }

    /// As [`drop`](Self::drop), if the copy is older than `version`.
    pub(super) fn outdate(&self, key: &StoreKey, version: u64) {
        self.shard(key, |shard| {
            if shard.version(key).is_none_or(|held| held < version) {
                shard.drop(key);
            }
        });
    }

    /// Forgets everything, and what is on its way here.
    pub(super) fn flush(&self) {
        for shard in &self.shards {
            // Freed outside the lock.
            let old = shard.with(Shard::flush);
            drop(old);
        }
    }

    pub(super) fn usage(&self) -> TieredUsage {
        let mut usage = TieredUsage {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            ..TieredUsage::default()
        };
        for shard in &self.shards {
            let (records, bytes) = shard.with(|shard| shard.held());
            usage.records += records;
            usage.bytes += bytes;
        }
        usage
    }

    /// Lets copies age. To be called at every beat: memory is trusted only for a moment after one,
    /// so no copy is used whose age stands still.
    pub(super) fn pass_time(&self, now: Instant) {
        let age = now.saturating_duration_since(self.begun);
        self.age_secs.store(age.as_secs(), Ordering::Relaxed);
    }

    /// Seconds from when this cache was made to the last beat.
    fn age_secs(&self) -> u64 {
        self.age_secs.load(Ordering::Relaxed)
    }

    fn shard<R>(&self, key: &StoreKey, section: impl FnOnce(&mut Shard) -> R) -> R {
        let [first, ..] = *key.as_bytes();
        let place = usize::from(first) % SHARDS;
        // There are SHARDS of them.
        match self.shards.get(place) {
            Some(shard) => shard.with(section),
            None => section(&mut Shard::new(0, 0)),
        }
    }
}

impl Copy {
    fn of(stored: &Stored) -> Self {
        Self::Record {
            bytes: Arc::from(stored.bytes.as_slice()),
            version: stored.version,
            deadline: stored.deadline,
            last_seen: stored.last_seen,
            evictable: stored.evictable,
        }
    }
}
