//! Quotas, eviction, sweeping.

use std::thread;
use std::time::Instant;

use super::{HOUR, NOW, Place, TableOptions, TableStore, create, key, record, replace};
use crate::session::{Expected, SessionStore, StoreError, StoreKey, Stored, Swap};

fn small(place: &Place, max_sessions: u64) -> TableStore {
    TableStore::open(TableOptions { max_sessions, ..place.options() }).unwrap()
}

fn is_full(store: &TableStore, key: &StoreKey, new: &Stored) -> bool {
    match store.swap(key, Expected::Absent, new, NOW) {
        Ok(swapped) => {
            assert_eq!(swapped, Swap::Done);
            false
        }
        Err(StoreError::Full) => true,
        Err(other) => panic!("{other}"),
    }
}

/// A new anonymous session.
fn newcomer(bytes: impl Into<Vec<u8>>) -> Stored {
    Stored { evictable: true, ..record(1, bytes) }
}

/// A newcomer who has come back since.
fn let_in(store: &TableStore, key: &StoreKey) {
    assert!(!is_full(store, key, &newcomer("x")));
    replace(store, key, &record(2, "x"));
}

#[test]
fn a_full_store_refuses_new_sessions_and_serves_the_others() {
    let place = Place::new();
    let store = small(&place, 5);
    for n in 0..5 {
        let_in(&store, &key(n));
    }
    assert!(is_full(&store, &key(50), &newcomer("x")));
    assert_eq!(store.load(&key(50), NOW).unwrap(), None);
    let there = store.swap(&key(1), Expected::Absent, &newcomer("x"), NOW).unwrap();
    assert_eq!(there, Swap::Conflict, "also when full");
    replace(&store, &key(1), &record(3, vec![0; 5000]));
    assert!(store.remove(&key(2)).unwrap());
    let_in(&store, &key(50));
    assert!(is_full(&store, &key(51), &newcomer("x")), "a removal makes room for one");
    store.close().unwrap();
    let store = small(&place, 5);
    assert!(is_full(&store, &key(51), &newcomer("x")), "counted again at start");
    assert_eq!(store.usage().sessions, 5);
}

/// What others than newcomers took is given back as well, also what did not come about.
#[test]
fn who_has_a_session_goes_on_in_a_full_store_and_is_counted() {
    let place = Place::new();
    let store = small(&place, 3);
    // A change of id, the epoch of a user, a lock: none of them is an anonymous newcomer.
    for n in 0..8 {
        create(&store, &key(n), &record(1, "x"));
        let again = store.swap(&key(n), Expected::Absent, &record(1, "x"), NOW).unwrap();
        assert_eq!(again, Swap::Conflict);
    }
    assert_eq!((store.usage().sessions, store.usage().bytes), (8, 8 * 201));
    for n in 0..6 {
        assert!(is_full(&store, &key(50), &newcomer("x")), "{n} left");
        assert!(store.remove(&key(n)).unwrap());
    }
    assert!(!is_full(&store, &key(50), &newcomer("x")));
}

/// One who cannot be let in anyway costs few of those who may be evicted.
#[test]
fn more_than_there_may_be_costs_few_sessions() {
    let place = Place::new();
    let store = small(&place, 600);
    for n in 0..600 {
        assert!(!is_full(&store, &key(n), &newcomer("x")));
    }
    for n in 1000..2000 {
        create(&store, &key(n), &record(1, "x"));
    }
    let begun = Instant::now();
    for n in 0..200 {
        assert!(is_full(&store, &key(2000 + n), &newcomer("x")));
    }
    // Five, and then a pause of 20 ms.
    let most = 5 * (1 + begun.elapsed().as_millis() / 20);
    let evicted = store.usage().evicted;
    assert!((1..=most).contains(&evicted.into()), "{evicted} evicted");
}

#[test]
fn only_evictable_records_make_room_the_longest_unused_first() {
    let place = Place::new();
    let store = small(&place, 6);
    for n in 0..6 {
        let last_seen = NOW + HOUR * (10 - n);
        create(&store, &key(n), &Stored { evictable: n % 2 == 1, last_seen, ..record(1, "x") });
    }
    for (round, victim) in (0..).zip([5, 3, 1]) {
        let_in(&store, &key(100 + round));
        assert_eq!(store.load(&key(victim), NOW).unwrap(), None, "{victim} was evicted");
    }
    assert!(is_full(&store, &key(120), &newcomer("new")), "nobody else may be");
    for kept in [0, 2, 4, 100, 101, 102] {
        assert!(store.load(&key(kept), NOW).unwrap().is_some(), "{kept} is kept");
    }
    assert_eq!(store.usage().evicted, 3);
    store.close().unwrap();
    let store = place.store();
    assert_eq!(store.usage().sessions, 6);
    assert_eq!(store.load(&key(5), NOW).unwrap(), None, "the evicted do not come back");
}

/// However few may be evicted among however many, they are found in the end.
#[test]
fn one_evictable_among_thousands_is_found() {
    let place = Place::new();
    let store = small(&place, 5000);
    for n in 0..5000 {
        create(&store, &key(n), &Stored { evictable: n == 3210, ..record(1, "x") });
    }
    while is_full(&store, &key(9000), &newcomer("x")) {
        thread::yield_now();
    }
    assert_eq!(store.load(&key(3210), NOW).unwrap(), None);
    assert_eq!(store.usage().sessions, 5000);
}

#[test]
fn expired_records_make_room_before_the_sweep() {
    let place = Place::new();
    let store = small(&place, 2);
    create(&store, &key(1), &Stored { deadline: NOW + HOUR / 2, ..record(1, "x") });
    create(&store, &key(2), &record(1, "x"));
    let new = Stored { deadline: NOW + HOUR * 9, ..newcomer("x") };
    let swapped = store.swap(&key(3), Expected::Absent, &new, NOW + HOUR / 2);
    assert_eq!(swapped.unwrap(), Swap::Done);
    assert_eq!(store.usage().evicted, 0, "an expired record is not evicted, only gone");
    assert!(store.load(&key(2), NOW).unwrap().is_some());
}

#[test]
fn memory_is_a_quota_too() {
    let place = Place::new();
    let options = TableOptions { max_total_bytes: 10_000, ..place.options() };
    let store = TableStore::open(options).unwrap();
    create(&store, &key(1), &record(1, vec![0; 4000]));
    create(&store, &key(2), &record(1, vec![0; 4000]));
    assert_eq!(store.usage().bytes, 8400);
    assert!(is_full(&store, &key(3), &newcomer(vec![0; 1401])));
    assert_eq!(store.usage().bytes, 8400, "what was refused is not counted");
    assert!(!is_full(&store, &key(3), &newcomer(vec![0; 1400])));
    replace(&store, &key(3), &record(2, vec![0; 1400]));
    replace(&store, &key(1), &record(2, vec![0; 9000]));
    assert!(store.usage().bytes > 10_000, "growth is never refused");
    assert!(is_full(&store, &key(4), &newcomer("")));
    create(&store, &key(4), &record(1, vec![0; 1400]));
}

#[test]
fn parallel_creations_do_not_pass_the_quota() {
    let place = Place::new();
    let store = small(&place, 50);
    let done: usize = thread::scope(|scope| {
        let workers = (0..4_u32).map(|worker| {
            let store = &store;
            let create = move |n| !is_full(store, &key(worker * 60 + n), &newcomer("x"));
            scope.spawn(move || (0..40).filter(|n| create(*n)).count())
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let usage = store.usage();
    assert_eq!((done as u64, usage.sessions), (50 + usage.evicted, 50));
}

#[test]
fn a_sweep_gives_memory_back_and_survives_a_restart() {
    let place = Place::new();
    let store = place.store();
    for n in 0..2000 {
        let deadline = NOW + HOUR * if n < 1990 { 1 } else { 3 };
        create(&store, &key(n), &Stored { deadline, ..record(1, "x") });
    }
    let mut removed = 0;
    loop {
        let swept = store.sweep(NOW + HOUR, 256).unwrap();
        removed += swept.removed;
        if swept.finished {
            break;
        }
    }
    assert_eq!((removed, store.usage().sessions), (1990, 10));
    store.close().unwrap();
    let store = place.store();
    assert_eq!(store.usage().sessions, 10);
    assert_eq!(super::all(&store).len(), 10);
}

#[test]
fn a_record_beyond_the_largest_frame_is_too_large() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, vec![1; 16 << 20]));
    let larger = record(2, vec![1; (16 << 20) + 1]);
    let refused = store.swap(&key(1), Expected::Version(1), &larger, NOW);
    assert!(matches!(refused, Err(StoreError::TooLarge)), "{refused:?}");
    store.close().unwrap();
    assert_eq!(place.store().load(&key(1), NOW).unwrap().unwrap().bytes.len(), 16 << 20);
}
