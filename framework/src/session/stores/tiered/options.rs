//! How a tiered store is set up.

use std::time::Duration;

/// How a [`TieredStore`](super::TieredStore) uses its memory.
#[derive(Debug, Clone)]
pub struct TieredOptions {
    /// Memory is used only while the way by which changes are told answered within this; default
    /// 250 ms, 20 ms to 2 s. So late at most another server's change may be seen, and so long an
    /// end waits for a server that does not answer.
    pub lease: Duration,
    /// Records kept in memory; default 100,000.
    pub max_records: usize,
    /// Memory for them, each counted as its bytes and 200 more; default 64 MiB.
    pub max_bytes: usize,
}

impl Default for TieredOptions {
    fn default() -> Self {
        Self { lease: Duration::from_millis(250), max_records: 100_000, max_bytes: 64 << 20 }
    }
}
