//! Waiting for replicas.

use std::time::{Duration, Instant};

use super::{PATIENCE, connect, create, key, now, record, replace};
use crate::redis::tests::server::{Server, eventually};
use crate::session::stores::{RedisStore, RedisStoreOptions};
use crate::session::{Expected, SessionStore, StoreError};

fn follow(replica: &Server, master: &Server) {
    replica.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    eventually("the replica is in step", PATIENCE, || {
        master.cli(&["INFO", "replication"]).contains("state=online")
    });
}

#[test]
fn an_end_waits_for_the_replicas_there_are() {
    let (master, replica) = (Server::start(), Server::start());
    let patient = RedisStoreOptions { wait_timeout: PATIENCE, ..Default::default() };
    let store = RedisStore::new(connect(&master), patient).unwrap();
    create(&store, &key(1), &record(1, "x"));
    store.settle(&key(1)).unwrap();
    follow(&replica, &master);
    let name = format!("maypole:{}", key(1));
    for version in 2..20 {
        replace(&store, &key(1), &record(version, version.to_string()));
        store.settle(&key(1)).unwrap();
        assert!(replica.cli(&["GET", &name]).ends_with(&version.to_string()));
    }
    replica.freeze();
    replace(&store, &key(1), &record(20, "late"));
    let impatient = RedisStoreOptions::default();
    let limit = impatient.wait_timeout;
    let impatient = RedisStore::new(connect(&master), impatient).unwrap();
    let begun = Instant::now();
    let unknown = impatient.settle(&key(1));
    assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
    assert!(begun.elapsed() >= limit, "{:?}", begun.elapsed());
    replica.thaw();
    eventually("the replica is back", PATIENCE, || store.settle(&key(1)).is_ok());
}

#[test]
fn saves_wait_for_as_many_replicas_as_they_are_told() {
    let (master, replica) = (Server::start(), Server::start());
    let options = RedisStoreOptions {
        wait_replicas: 1,
        wait_timeout: Duration::from_millis(100),
        ..Default::default()
    };
    let store = RedisStore::new(connect(&master), options).unwrap();
    let alone = store.swap(&key(1), Expected::Absent, &record(1, "x"), now());
    assert!(matches!(alone, Err(StoreError::Unavailable(_))), "{alone:?}");
    assert!(store.load(&key(1), now()).unwrap().is_some(), "redis has it, the replica does not");
    follow(&replica, &master);
    eventually("an answer in time", PATIENCE, || {
        let found = store.load(&key(1), now()).unwrap().unwrap();
        let next = record(found.version + 1, "y");
        store.swap(&key(1), Expected::Version(found.version), &next, now()).is_ok()
    });
    assert!(replica.cli(&["GET", &format!("maypole:{}", key(1))]).ends_with('y'));
}

#[test]
fn a_full_redis_waits_for_its_replicas_all_the_same() {
    let master = Server::start_with(&["--maxmemory-policy", "noeviction"]);
    let replica = Server::start();
    let options =
        RedisStoreOptions { wait_replicas: 1, wait_timeout: PATIENCE, ..Default::default() };
    let store = RedisStore::new(connect(&master), options).unwrap();
    follow(&replica, &master);
    create(&store, &key(1), &record(1, "x"));
    master.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    for version in 2..10 {
        replace(&store, &key(1), &record(version, version.to_string()));
        store.settle(&key(1)).unwrap();
        let there = replica.cli(&["GET", &format!("maypole:{}", key(1))]);
        assert!(there.ends_with(&version.to_string()));
    }
}
