//! How a redis store is set up.

use std::time::Duration;

/// How a [`RedisStore`](super::RedisStore) uses its redis.
#[derive(Debug, Clone)]
pub struct RedisStoreOptions {
    /// What all keys and channels begin with; default `maypole:`. Letters, digits and `.:_-/`.
    pub prefix: String,
    /// How many replicas must have a save before it is acknowledged; default 0. A save that is not
    /// there in time is reported as unknown. The end of a session waits for the replicas there are
    /// in any case.
    pub wait_replicas: u32,
    /// How long to wait for replicas; default 500 ms, and at least 1 ms.
    pub wait_timeout: Duration,
    /// How many keys there may be for a new anonymous session to be let in; default a million. Redis
    /// counts those of its whole database, in a cluster those of each master, which has its share
    /// of them.
    pub max_sessions: u64,
    /// How many bytes of memory redis may use for a new anonymous session to be let in, beside what
    /// it uses when empty; default 8 GiB. It is asked once a second, so some more may get in.
    pub max_total_bytes: u64,
}

impl Default for RedisStoreOptions {
    fn default() -> Self {
        Self {
            prefix: "maypole:".to_owned(),
            wait_replicas: 0,
            wait_timeout: Duration::from_millis(500),
            max_sessions: 1_000_000,
            max_total_bytes: 8 << 30,
        }
    }
}
