//! A coarse monotonic clock: one relaxed load per reading, moved on by the sweeper thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static NOW_MS: AtomicU64 = AtomicU64::new(1);
static UNIX_SECS: AtomicU64 = AtomicU64::new(0);
static START: OnceLock<Instant> = OnceLock::new();

/// Milliseconds since the first tick, never 0; as fresh as the last [`tick`].
pub(crate) fn now_ms() -> u64 {
    NOW_MS.load(Ordering::Relaxed)
}

/// As [`now_ms`], but read from the clock itself: right also where nobody ticks.
pub(crate) fn exact_ms() -> u64 {
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

/// Whole seconds since 1970, as fresh as the last [`tick`]; for the `Date` header.
pub(crate) fn unix_secs() -> u64 {
    let secs = UNIX_SECS.load(Ordering::Relaxed);
    if secs == 0 { read_unix_secs() } else { secs }
}

/// Reads the real clocks; called by the sweeper some times a second.
pub(super) fn tick() -> u64 {
    let now_ms = exact_ms();
    NOW_MS.store(now_ms, Ordering::Relaxed);
    UNIX_SECS.store(read_unix_secs(), Ordering::Relaxed);
    now_ms
}

/// A length of time in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

fn read_unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
