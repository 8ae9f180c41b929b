//! Two and more nodes in one process, on a real redis-server.

mod memory;
mod nodes;

use super::{TieredOptions, TieredStore};
use crate::config::RedisSettings;
use crate::redis::Redis;
use crate::redis::tests::server::{Server, eventually};
use crate::session::SessionStore;
use crate::session::stores::redis::tests::{
    PATIENCE, connect, create, fresh_prefix, key, now, record, replace, store_at,
};
use crate::testing::store_conformance;

/// A node with connections of its own, as another process would have.
fn node_with(server: &Server, prefix: &str, options: &TieredOptions) -> TieredStore {
    leased(TieredStore::new(store_at(&connect(server), prefix), options).unwrap())
}

/// A node that reaches redis by these settings.
fn node_on(settings: &RedisSettings) -> TieredStore {
    let redis = Redis::open(settings).unwrap();
    leased(TieredStore::new(store_at(&redis, "test:"), &TieredOptions::default()).unwrap())
}

fn leased(node: TieredStore) -> TieredStore {
    eventually("it has a lease", PATIENCE, || node.trusts_memory());
    node
}

fn node(server: &Server) -> TieredStore {
    node_with(server, "test:", &TieredOptions::default())
}

/// The bytes that a node gives out, as text.
fn text(store: &TieredStore, number: u32) -> String {
    let found = store.load(&key(number), now()).unwrap().unwrap();
    String::from_utf8(found.bytes).unwrap()
}

/// How often redis was asked for a record.
fn gets(server: &Server) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[test]
fn keeps_the_contract() {
    let server = Server::start();
    let redis = connect(&server);
    store_conformance(|| {
        TieredStore::new(store_at(&redis, &fresh_prefix()), &TieredOptions::default()).unwrap()
    });
}

/// The suite with memory in use from the first call on.
#[test]
fn keeps_the_contract_with_its_memory_in_use() {
    let server = Server::start();
    store_conformance(|| node_with(&server, &fresh_prefix(), &TieredOptions::default()));
}

/// So little memory that copies come and go all the time.
#[test]
fn keeps_the_contract_when_memory_is_short() {
    let server = Server::start();
    let options = TieredOptions { max_records: 128, max_bytes: 64 << 10, ..Default::default() };
    store_conformance(|| node_with(&server, &fresh_prefix(), &options));
}
