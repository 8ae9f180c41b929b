//! What the table holds, and the quotas against which that is held.

use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::entry::Entry;

/// What a session takes beside its bytes: slots of the table, half of which may be empty, the
/// allocation and its header. An upper bound, which is also the budget.
pub(super) const SESSION_OVERHEAD_BYTES: u64 = 200;

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableUsage {
    /// Sessions, expired ones that were not swept yet included.
    pub sessions: u64,
    /// Memory of these sessions: their bytes, and 200 more for each.
    pub bytes: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Records dropped since the start to make room.
    pub evicted: u64,
    /// How often since the start a save took longer than `stall_bound`, so that saves went to the
    /// journal's own thread for a while.
    pub stalls: u64,
}

/// A number of sessions and their bytes, or a difference of two such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) sessions: i64,
    pub(super) bytes: i64,
}

impl Held {
    pub(super) fn of(entry: &Entry) -> Self {
        Self::session(entry.payload().len())
    }

    /// One session with so many bytes.
    pub(super) fn session(bytes: usize) -> Self {
        Self { sessions: 1, bytes: i64::try_from(bytes).unwrap_or(i64::MAX) }
    }
}

impl Add for Held {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sessions: self.sessions + other.sessions, bytes: self.bytes + other.bytes }
    }
}

impl Sub for Held {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { sessions: self.sessions - other.sessions, bytes: self.bytes - other.bytes }
    }
}

/// The count of a store and its quotas.
#[derive(Debug)]
pub(super) struct Usage {
    sessions: AtomicI64,
    bytes: AtomicI64,
    max_sessions: i64,
    max_total_bytes: u64,
    pub(super) evicted: AtomicU64,
}

impl Usage {
    pub(super) fn new(max_sessions: u64, max_total_bytes: u64) -> Self {
        Self {
            sessions: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            max_sessions: i64::try_from(max_sessions).unwrap_or(i64::MAX),
            max_total_bytes,
            evicted: AtomicU64::new(0),
        }
    }

    /// Takes the room of a newcomer, if there is any.
    pub(super) fn reserve(&self, room: Held) -> bool {
        let below = |count: i64| (count < self.max_sessions).then_some(count + room.sessions);
        if self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_err() {
            return false;
        }
        let bytes = self.bytes.fetch_add(room.bytes, Ordering::Relaxed) + room.bytes;
        let sessions = self.sessions.load(Ordering::Relaxed);
        let has_room = total_bytes(Held { sessions, bytes }) <= self.max_total_bytes;
        if !has_room {
            self.count(Held::default() - room);
        }
        has_room
    }

    /// Whether more is there than a newcomer may make it.
    pub(super) fn is_exceeded(&self) -> bool {
        let held = self.held();
        held.sessions > self.max_sessions || total_bytes(held) > self.max_total_bytes
    }

    /// Counts what was published. What it took of the room reserved for it is taken off before.
    pub(super) fn count(&self, difference: Held) {
        if difference.sessions != 0 {
            self.sessions.fetch_add(difference.sessions, Ordering::Relaxed);
        }
        if difference.bytes != 0 {
            self.bytes.fetch_add(difference.bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn held(&self) -> Held {
        Held {
            sessions: self.sessions.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// The memory of sessions as the quota counts it.
pub(super) fn total_bytes(held: Held) -> u64 {
    let unsigned = |count: i64| u64::try_from(count).unwrap_or_default();
    unsigned(held.sessions)
        .saturating_mul(SESSION_OVERHEAD_BYTES)
        .saturating_add(unsigned(held.bytes))
}
