//! Times as stores keep them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whole milliseconds since 1970, rounded down: a record never lives longer than it was told.
pub(super) fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().saturating_mul(1000).saturating_add(since.subsec_millis().into())
}

/// The time of so many milliseconds; `None` if this system cannot name it.
pub(super) fn from_ms(ms: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms))
}
