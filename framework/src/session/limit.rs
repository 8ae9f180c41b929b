//! How many sessions one client address may start per minute, in constant memory.
//!
//! Two rows of counters indexed by differently keyed hashes: an address is refused only when both
//! its counters are full, so others that share one of them are not.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const COUNTERS: usize = 4096;

pub(crate) struct CreationLimit {
    per_minute: u32,
    rows: [Row; 2],
}

struct Row {
    hash: RandomState,
    /// Minute in the upper half, count in the lower.
    counters: Box<[AtomicU64]>,
}

impl CreationLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        let row = || Row {
            hash: RandomState::new(),
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
        };
        Self { per_minute, rows: [row(), row()] }
    }

    /// Counts one new session of `addr`; false if it is one too many this minute.
    pub(crate) fn admit(&self, addr: Option<IpAddr>, now: SystemTime) -> bool {
        let (Some(addr), true) = (addr, self.per_minute > 0) else {
            return true;
        };
        let addr = network(addr);
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let minute = (since.as_secs() / 60) & u64::from(u32::MAX);
        // Both rows are counted, also when the first has room.
        let counts = self.rows.each_ref().map(|row| row.count(&addr, minute));
        counts.iter().any(|count| *count <= u64::from(self.per_minute))
    }
}

impl std::fmt::Debug for CreationLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CreationLimit({} per minute)", self.per_minute)
    }
}

impl Row {
    fn count(&self, addr: &IpAddr, minute: u64) -> u64 {
        let at = usize::try_from(self.hash.hash_one(addr) % COUNTERS as u64).unwrap_or(0);
        let Some(counter) = self.counters.get(at) else {
            return 0;
        };
        let next = |old: u64| {
            if old >> 32 == minute { old.saturating_add(1) } else { minute << 32 | 1 }
        };
        let old = counter.update(Ordering::Relaxed, Ordering::Relaxed, next);
        next(old) & u64::from(u32::MAX)
    }
}

/// An IPv6 client owns its whole /64.
pub(crate) fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}
