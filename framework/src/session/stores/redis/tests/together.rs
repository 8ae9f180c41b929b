//! Saves that travel in one command are as good as saves alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{HOUR, create, key, now, record, store};
use crate::redis::tests::server::Server;
use crate::runtime::spawn;
use crate::session::stores::RedisStore;
use crate::session::{Expected, SessionStore, StoreError, Swap};

const SAVERS: u32 = 64;

/// Runs `work` on as many coroutines as there are savers, at the same time.
fn at_once(store: &Arc<RedisStore>, work: impl Fn(&RedisStore, u32) + Clone + Send + 'static) {
    let start = |number| {
        let (store, work) = (Arc::clone(store), work.clone());
        spawn(move || work(&store, number)).unwrap()
    };
    let children: Vec<_> = (0..SAVERS).map(start).collect();
    children.into_iter().for_each(|child| child.join().unwrap());
}

#[test]
fn of_many_swaps_of_one_record_one_is_done() {
    let server = Server::start();
    let store = Arc::new(store(&server));
    create(&*store, &key(1), &record(1, "x"));
    for round in 1..50 {
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        at_once(&store, move |store, number| {
            let new = record(round + 1, number.to_string());
            match store.swap(&key(1), Expected::Version(round), &new, now()).unwrap() {
                Swap::Done => {
                    count.fetch_add(1, Ordering::Relaxed);
                    let found = store.load(&key(1), now()).unwrap().unwrap();
                    assert_eq!(found.bytes, new.bytes);
                }
                outcome => assert_eq!(outcome, Swap::Conflict),
            }
        });
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn each_gets_its_own_outcome() {
    let server = Server::start();
    let store = Arc::new(store(&server));
    at_once(&store, |store, number| {
        for round in 0..20 {
            let mine = key(number * 100 + round);
            let (one, two) = (record(1, "x"), record(2, "y"));
            let swap = |expected, new| store.swap(&mine, expected, new, now()).unwrap();
            assert_eq!(swap(Expected::Version(1), &two), Swap::Missing);
            assert_eq!(swap(Expected::Absent, &one), Swap::Done);
            assert_eq!(swap(Expected::Absent, &one), Swap::Conflict);
            assert_eq!(swap(Expected::Version(7), &two), Swap::Conflict);
            assert_eq!(swap(Expected::Version(1), &two), Swap::Done);
            assert_eq!(store.load(&mine, now()).unwrap(), Some(two.clone()));
            let late = now() + 2 * HOUR;
            let swap = |expected| store.swap(&mine, expected, &two, late).unwrap();
            assert_eq!(swap(Expected::Version(2)), Swap::Missing, "its time is over");
            assert_eq!(swap(Expected::Absent), Swap::Done);
        }
    });
}

#[test]
fn a_full_redis_refuses_the_new_ones_only() {
    // With the deadline kept, and moved.
    for first in [1, 2] {
        full_redis(first);
    }
}

fn full_redis(first: u64) {
    let server = Server::start();
    let store = Arc::new(store(&server));
    for number in 0..SAVERS {
        create(&*store, &key(number), &record(first, vec![b'x'; 500]));
    }
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    at_once(&store, move |store, number| {
        let (mine, expected) = (key(number), Expected::Version(first));
        // Neighbours run on different workers, and each of those makes a command of its own.
        let kind = number / 2 % 4;
        let outcome = match kind {
            0 | 2 => store.swap(&mine, expected, &record(first + 1, vec![b'y'; 400]), now()),
            1 => store.swap(&key(number + 1000), Expected::Absent, &record(1, "new"), now()),
            _ => store.swap(&mine, expected, &record(first + 1, vec![b'z'; 5000]), now()),
        };
        let found = store.load(&mine, now()).unwrap().unwrap();
        match kind {
            0 | 2 => assert_eq!(outcome.unwrap(), Swap::Done),
            1 => assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}"),
            _ => assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}"),
        }
        assert_eq!(found.version, if kind % 2 == 0 { first + 1 } else { first });
    });
}
