//! Quotas, eviction, sweeping.

use std::thread;
use std::time::Duration;

use super::{HOUR, NOW, Place, TableOptions, TableStore, create, key, record, replace};
use crate::session::stores::quota_tests::{
    self, Counted, Place as _, is_full, newcomer, quota_tests,
};
use crate::session::stores::table::TableUsage;
use crate::session::stores::table::access::NO_VICTIM_TIME;
use crate::session::{Expected, SessionStore, StoreError, Stored};

impl quota_tests::Place for Place {
    type Store = TableStore;
    const PAUSE: Duration = NO_VICTIM_TIME;
    /// A byte, and what it takes to keep it.
    const BYTES_OF_ONE: u64 = 201;

    fn empty() -> Self {
        Self::new()
    }

    fn small(&self, max_sessions: u64) -> TableStore {
        TableStore::open(TableOptions { max_sessions, ..self.options() }).unwrap()
    }

    fn close(store: TableStore) {
        store.close().unwrap();
    }

    fn counted(store: &TableStore) -> Counted {
        let TableUsage { sessions, bytes, evicted, .. } = store.usage();
        Counted { sessions, bytes, evicted }
    }
}

quota_tests! { Place }

/// However few may be evicted among however many, they are found in the end.
#[test]
fn one_evictable_among_thousands_is_found() {
    let place = Place::new();
    let store = place.small(5000);
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
