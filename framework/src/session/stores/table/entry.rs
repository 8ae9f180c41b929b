//! A record as the table holds it in memory.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::millis::{from_ms, to_ms};
use crate::session::{Renewed, StoreKey, Stored};

/// Bytes of version and last-seen before the payload.
pub(super) const PACKED_HEADER_BYTES: usize = 16;

/// The largest time that fits beside the flag.
pub(super) const MAX_MS: u64 = u64::MAX >> 1;

/// 56 bytes in the table and one allocation.
///
/// The allocation is shared: a reader or a snapshot takes a reference inside the lock and copies
/// the bytes outside. What is scanned for (key, deadline) stays in the table itself.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: StoreKey,
    pub(super) deadline_ms: u64,
    /// Version (8 bytes), last seen in ms, doubled, plus 1 if evictable (8 bytes), payload.
    pub(super) packed: Arc<[u8]>,
}

impl Entry {
    #[cfg(test)]
    pub(super) fn of(key: &StoreKey, stored: &Stored) -> Self {
        super::frame::Frames::with_capacity(stored.bytes.len()).record(key, stored)
    }

    /// The same record after a touch, which may clear the flag and never sets it.
    pub(super) fn touched(&self, renewed: Renewed) -> Self {
        let Renewed { deadline, last_seen, evictable } = renewed;
        let evictable = self.is_evictable() && evictable;
        self.with_times(to_ms(deadline).min(MAX_MS), seen(last_seen, evictable))
    }

    /// The same record with the times as the journal keeps them.
    pub(super) fn with_times(&self, deadline_ms: u64, seen: u64) -> Self {
        let mut packed = self.packed.to_vec();
        if let Some(field) = packed.get_mut(8..PACKED_HEADER_BYTES) {
            field.copy_from_slice(&seen.to_le_bytes());
        }
        Self { key: self.key, deadline_ms, packed: packed.into() }
    }

    pub(super) fn version(&self) -> u64 {
        self.field(0)
    }

    pub(super) fn is_evictable(&self) -> bool {
        self.field(8) & 1 == 1
    }

    pub(super) fn last_seen_ms(&self) -> u64 {
        self.field(8) >> 1
    }

    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        self.deadline_ms <= to_ms(now)
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.packed.get(PACKED_HEADER_BYTES..).unwrap_or_default()
    }

    pub(super) fn to_stored(&self) -> Stored {
        let time = |ms| from_ms(ms).unwrap_or(SystemTime::UNIX_EPOCH);
        Stored {
            bytes: self.payload().to_vec(),
            version: self.version(),
            deadline: time(self.deadline_ms),
            last_seen: time(self.last_seen_ms()),
            evictable: self.is_evictable(),
        }
    }

    fn field(&self, at: usize) -> u64 {
        super::frame::u64_at(&self.packed, at).unwrap_or_default()
    }
}

/// Last seen and the evictable flag, packed.
pub(super) fn seen(last_seen: SystemTime, evictable: bool) -> u64 {
    (to_ms(last_seen).min(MAX_MS) << 1) | u64::from(evictable)
}
