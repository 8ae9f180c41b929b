//! The redis store against the contract and against what happens to a redis, on real servers.

mod cluster;
mod full;
mod outages;
mod quotas;
pub(in super::super) mod records;
mod refusals;
mod replicas;
mod requests;
mod start;
mod together;
pub(in super::super) mod watching;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{RedisStore, RedisStoreOptions};
use crate::redis::Redis;
use crate::redis::tests::server::Server;
use crate::session::{Expected, SessionStore, StoreKey, Stored, Swap};
use crate::testing::store_conformance;

pub(in super::super) const HOUR: Duration = Duration::from_secs(3600);

/// How long something may take on a machine where everything is late.
pub(in super::super) const PATIENCE: Duration = Duration::from_secs(20);

pub(in super::super) fn fresh_prefix() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}:", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(in super::super) fn connect(server: &Server) -> Redis {
    Redis::open(&server.settings()).unwrap()
}

pub(in super::super) fn store_at(redis: &Redis, prefix: &str) -> RedisStore {
    let options = RedisStoreOptions { prefix: prefix.to_owned(), ..Default::default() };
    RedisStore::new(redis.clone(), options).unwrap()
}

fn store(server: &Server) -> RedisStore {
    store_at(&connect(server), "test:")
}

/// Now, in whole milliseconds.
pub(in super::super) fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UNIX_EPOCH + Duration::from_millis(since.as_millis().try_into().unwrap())
}

pub(in super::super) fn key(number: u32) -> StoreKey {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

/// An even version has the deadline of the odd one before it, an odd one a later one: a swap goes
/// another way in redis when it moves the deadline.
pub(in super::super) fn record(version: u64, bytes: impl Into<Vec<u8>>) -> Stored {
    static BEGUN: LazyLock<SystemTime> = LazyLock::new(now);
    let steps = u32::try_from(version.div_ceil(2) % 1000).unwrap();
    let deadline = *BEGUN + HOUR + Duration::from_millis(7) * steps;
    Stored { bytes: bytes.into(), version, deadline, last_seen: now(), evictable: false }
}

pub(in super::super) fn create(store: &dyn SessionStore, key: &StoreKey, record: &Stored) {
    assert_eq!(store.swap(key, Expected::Absent, record, now()).unwrap(), Swap::Done);
}

pub(in super::super) fn replace(store: &dyn SessionStore, key: &StoreKey, record: &Stored) {
    let expected = Expected::Version(record.version - 1);
    assert_eq!(store.swap(key, expected, record, now()).unwrap(), Swap::Done);
}

#[test]
fn keeps_the_contract() {
    let server = Server::start();
    let redis = connect(&server);
    store_conformance(|| store_at(&redis, &fresh_prefix()));
}
