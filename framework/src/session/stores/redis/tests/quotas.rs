//! How many sessions there may be.

use std::sync::Arc;
use std::time::Duration;

use super::{HOUR, PATIENCE, connect, create, key, now, record, replace};
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::spawn;
use crate::session::stores::{RedisStore, RedisStoreOptions, TieredOptions, TieredStore};
use crate::session::{Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Touch};

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

fn seen_once(age: Duration) -> Stored {
    Stored { last_seen: now() - age, evictable: true, ..record(1, "x") }
}

#[test]
fn a_full_store_refuses_new_sessions_and_serves_the_others() {
    let server = Server::start();
    let store = store_with(&server, 3, 64 * MIB);
    (1..=3).for_each(|number| create(&store, &key(number), &record(1, "x")));
    assert!(is_full(&store, &key(4), &record(1, "x")));
    assert_eq!(store.load(&key(4), now()).unwrap(), None);
    replace(&store, &key(1), &record(2, vec![b'y'; 5000]));
    assert_eq!(
        store.swap(&key(2), Expected::Absent, &record(1, "x"), now()).unwrap(),
        Swap::Conflict
    );
    assert!(store.remove(&key(1)).unwrap());
    assert!(!is_full(&store, &key(4), &record(1, "x")));
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
    assert!(!is_full(&store, &key(100), &record(1, "x")));
    let is_there = |number| store.load(&key(number), now()).unwrap().is_some();
    assert!(is_there(0) && is_there(1) && is_there(100));
    let gone: Vec<_> = (2..64).filter(|number| !is_there(*number)).collect();
    assert!(gone.first() == Some(&2) && gone.iter().zip(2..).all(|(gone, next)| *gone == next));
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
    assert!(!is_full(&two, &key(2), &record(1, "x")));
    for node in [&one, &two] {
        eventually("the copy is gone", PATIENCE, || node.load(&key(1), now()).unwrap().is_none());
    }
}

#[test]
fn parallel_creations_on_two_servers_do_not_pass_the_quota() {
    let server = Server::start();
    let stores = [0, 1].map(|_| Arc::new(store_with(&server, 50, 64 * MIB)));
    let creators: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&stores[number as usize % 2]);
            spawn(move || is_full(&*store, &key(number), &record(1, "x"))).unwrap()
        })
        .collect();
    let refused = creators.into_iter().map(|one| one.join().unwrap());
    assert_eq!(refused.filter(|is_refused| *is_refused).count(), 150);
    assert_eq!(server.cli(&["DBSIZE"]), "50");
}

#[test]
fn memory_is_a_quota_too() {
    let server = Server::start();
    let store = store_with(&server, 1_000_000, 4 * MIB);
    let large = record(1, vec![b'x'; 64 << 10]);
    let mut count = 0;
    let is_refused = |count: &mut u32| {
        *count += 1;
        is_full(&store, &key(*count), &large)
    };
    eventually("it is full", PATIENCE, || is_refused(&mut count));
    assert!(count > 32, "{count}");
    replace(&store, &key(1), &record(2, "smaller"));
    let found = store.load(&key(2), now()).unwrap().unwrap();
    assert_eq!(found.bytes, large.bytes);
}
