//! How many sessions there may be.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::{HOUR, PATIENCE, connect, create, key, now, record, replace};
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::spawn;
use crate::session::stores::{RedisStore, RedisStoreOptions, TieredOptions, TieredStore};
use crate::session::{Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Touch};
use crate::testing::store_quota_conformance;

const MIB: u64 = 1 << 20;

fn store_with(server: &Server, max_sessions: u64, max_total_bytes: u64) -> RedisStore {
    let options = RedisStoreOptions {
        prefix: "test:".to_owned(),
        max_sessions,
        max_total_bytes,
        ..Default::default()
    };
    RedisStore::new(connect(server), options).unwrap()
}

fn is_full(store: &dyn SessionStore, key: &StoreKey, new: &Stored) -> bool {
    match store.swap(key, Expected::Absent, new, now()) {
        Ok(Swap::Done) => false,
        Err(StoreError::Full) => true,
        other => panic!("{other:?}"),
    }
}

/// A new anonymous session.
fn newcomer(bytes: impl Into<Vec<u8>>) -> Stored {
    Stored { evictable: true, ..record(1, bytes) }
}

fn seen_once(age: Duration) -> Stored {
    Stored { last_seen: now() - age, ..newcomer("x") }
}

/// A server for each store: all keys of a database count.
#[test]
fn both_stores_keep_the_contract_of_quotas() {
    let servers = RefCell::new(Vec::new());
    let fresh = || {
        let server = Server::start();
        let store = store_with(&server, 64, 64 * MIB);
        servers.borrow_mut().push(server);
        store
    };
    store_quota_conformance(64, fresh);
    store_quota_conformance(64, || {
        let store = TieredStore::new(fresh(), &TieredOptions::default()).unwrap();
        eventually("it has a lease", PATIENCE, || store.trusts_memory());
        store
    });
}

#[test]
fn a_full_store_refuses_new_sessions_and_serves_the_others() {
    let server = Server::start();
    let store = store_with(&server, 3, 64 * MIB);
    (1..=3).for_each(|number| create(&store, &key(number), &record(1, "x")));
    assert!(is_full(&store, &key(4), &newcomer("x")));
    assert_eq!(store.load(&key(4), now()).unwrap(), None);
    replace(&store, &key(1), &record(2, vec![b'y'; 5000]));
    assert_eq!(
        store.swap(&key(2), Expected::Absent, &newcomer("x"), now()).unwrap(),
        Swap::Conflict
    );
    assert!(store.remove(&key(1)).unwrap());
    assert!(!is_full(&store, &key(4), &newcomer("x")));
}

#[test]
fn only_those_seen_once_make_room_the_longest_unused_first() {
    let server = Server::start();
    let store = store_with(&server, 64, 64 * MIB);
    create(&store, &key(0), &record(1, "x"));
    (1..64).for_each(|number| create(&store, &key(number), &seen_once(HOUR / number)));
    // Seen again since: the oldest one stays.
    let renewed = Renewed { deadline: now() + 2 * HOUR, last_seen: now(), evictable: false };
    assert_eq!(store.touch(&key(1), 1, renewed, now()).unwrap(), Touch::Done);
    assert!(!is_full(&store, &key(100), &newcomer("x")));
    let is_there = |number| store.load(&key(number), now()).unwrap().is_some();
    assert!(is_there(0) && is_there(1) && is_there(100));
    let gone: Vec<_> = (2..64).filter(|number| !is_there(*number)).collect();
    assert_eq!(gone, [2], "one makes room for one");
}

#[test]
fn an_evicted_session_is_in_no_memory_any_more() {
    let server = Server::start();
    let node = || {
        let store = TieredStore::new(store_with(&server, 2, 64 * MIB), &TieredOptions::default());
        let store = store.unwrap();
        eventually("it has a lease", PATIENCE, || store.trusts_memory());
        store
    };
    // The list of nodes is a key as well.
    let (one, two) = (node(), node());
    create(&one, &key(1), &seen_once(HOUR));
    assert!(two.load(&key(1), now()).unwrap().is_some());
    assert!(!is_full(&two, &key(2), &newcomer("x")));
    for node in [&one, &two] {
        eventually("the copy is gone", PATIENCE, || node.load(&key(1), now()).unwrap().is_none());
    }
}

#[test]
fn parallel_newcomers_on_two_servers_take_as_many_places_as_they_need() {
    let server = Server::start();
    let stores = [0, 1].map(|_| Arc::new(store_with(&server, 1000, 64 * MIB)));
    (0..400).for_each(|number| create(&*stores[0], &key(number), &record(1, "regular")));
    (400..1000).for_each(|number| create(&*stores[0], &key(number), &seen_once(HOUR)));
    let newcomers: Vec<_> = (1000..1100)
        .map(|number| {
            let store = Arc::clone(&stores[number as usize / 2 % 2]);
            spawn(move || is_full(&*store, &key(number), &newcomer("x"))).unwrap()
        })
        .collect();
    for newcomer in newcomers {
        assert!(!newcomer.join().unwrap(), "there is somebody to make room");
    }
    assert_eq!(server.cli(&["DBSIZE"]), "1000");
    let left = |numbers: std::ops::Range<u32>| {
        numbers.filter(|number| stores[0].load(&key(*number), now()).unwrap().is_some()).count()
    };
    assert_eq!((left(0..400), left(400..1000), left(1000..1100)), (400, 500, 100));
}

#[test]
fn a_database_that_others_fill_costs_few_sessions() {
    let server = Server::start();
    let store = Arc::new(store_with(&server, 1000, 64 * MIB));
    (0..500).for_each(|number| create(&*store, &key(number), &seen_once(HOUR)));
    server.cli(&["DEBUG", "POPULATE", "2000"]);
    let newcomers: Vec<_> = (1000..1064)
        .map(|number| {
            let store = Arc::clone(&store);
            spawn(move || is_full(&*store, &key(number), &newcomer("x"))).unwrap()
        })
        .collect();
    assert!(newcomers.into_iter().all(|newcomer| newcomer.join().unwrap()));
    let left: usize = server.cli(&["DBSIZE"]).parse().unwrap();
    assert!(left > 2000 + 500 / 3, "{left}");
}

#[test]
fn who_has_a_session_goes_on_in_a_full_store() {
    let server = Server::start();
    let store = store_with(&server, 2, 64 * MIB);
    // A change of id, the epoch of a user, a lock: none of them is an anonymous newcomer.
    (1..=5).for_each(|number| create(&store, &key(number), &record(1, "x")));
    assert!(is_full(&store, &key(6), &newcomer("x")));
}

#[test]
fn memory_is_a_quota_too() {
    let server = Server::start();
    let store = store_with(&server, 1_000_000, 4 * MIB);
    let large = record(1, vec![b'x'; 64 << 10]);
    assert!(!is_full(&store, &key(1000), &newcomer("x")));
    (0..80).for_each(|number| create(&store, &key(number), &large));
    let mut number = 1000;
    eventually("it is full", PATIENCE, || {
        number += 1;
        is_full(&store, &key(number), &newcomer("x"))
    });
    replace(&store, &key(1), &record(2, "smaller"));
    assert_eq!(store.load(&key(2), now()).unwrap().unwrap().bytes, large.bytes);
    (0..40).for_each(|number| assert!(store.remove(&key(number)).unwrap()));
    eventually("there is room", PATIENCE, || {
        number += 1;
        !is_full(&store, &key(number), &newcomer("x"))
    });
}
