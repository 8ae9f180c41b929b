//! Quotas, eviction, counting, and what fsync does.

use std::thread;
use std::time::{Duration, Instant};

use super::{FileStore, FileStoreOptions, NOW, Place, create, key, record, replace};
use crate::session::stores::file::sweep::{self, Looked};
use crate::session::stores::file::{FileUsage, Fsync, usage};
use crate::session::{Expected, SessionStore, StoreError, StoreKey, Stored, Swap};

const HOUR: Duration = Duration::from_secs(3600);

fn small(place: &Place, max_sessions: u64) -> FileStore {
    FileStore::open(FileStoreOptions { max_sessions, ..place.options() }).unwrap()
}

fn is_full(store: &FileStore, key: &StoreKey, new: &Stored) -> bool {
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
fn let_in(store: &FileStore, key: &StoreKey) {
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
    replace(&store, &key(1), &record(3, vec![0; 5000]));
    assert!(store.remove(&key(2)).unwrap());
    let_in(&store, &key(50));
    assert!(is_full(&store, &key(51), &newcomer("x")), "a removal makes room for one");
    drop(store);
    assert!(is_full(&small(&place, 5), &key(51), &newcomer("x")), "counted again at start");
    assert!(!is_full(&small(&place, 6), &key(51), &newcomer("x")));
}

/// What others than newcomers took is given back as well.
#[test]
fn who_has_a_session_goes_on_in_a_full_store_and_is_counted() {
    let place = Place::new();
    let store = small(&place, 3);
    // A change of id, the epoch of a user, a lock: none of them is an anonymous newcomer.
    for n in 0..8 {
        create(&store, &key(n), &record(1, "x"));
    }
    assert_eq!(store.usage(), FileUsage { sessions: 8, bytes: 8 * 4096, evicted: 0 });
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
    let store = small(&place, 60);
    for n in 0..60 {
        assert!(!is_full(&store, &key(n), &newcomer("x")));
    }
    for n in 100..200 {
        create(&store, &key(n), &record(1, "x"));
    }
    let begun = Instant::now();
    for n in 0..20 {
        assert!(is_full(&store, &key(200 + n), &newcomer("x")));
    }
    // Five, and then a pause of 50 ms.
    let most = 5 * (1 + begun.elapsed().as_millis() / 50);
    let evicted = store.usage().evicted;
    assert!((1..=most).contains(&evicted.into()), "{evicted} evicted");
}

#[test]
fn only_evictable_records_make_room_the_longest_unused_first() {
    let place = Place::new();
    let store = small(&place, 6);
    for n in 0..6 {
        let last_seen = NOW + HOUR * u32::from(10 - n);
        create(&store, &key(n), &Stored { evictable: n % 2 == 1, last_seen, ..record(1, "x") });
    }
    for (round, victim) in [5, 3, 1].into_iter().enumerate() {
        let new = key(100 + u8::try_from(round).unwrap());
        let_in(&store, &new);
        assert_eq!(store.load(&key(victim), NOW).unwrap(), None, "{victim} was evicted");
    }
    assert!(is_full(&store, &key(120), &newcomer("new")), "nobody else may be");
    for kept in [0, 2, 4, 100, 101, 102] {
        assert!(store.load(&key(kept), NOW).unwrap().is_some(), "{kept} is kept");
    }
    assert_eq!(store.usage().evicted, 3);
}

#[test]
fn expired_records_make_room_before_the_sweep() {
    let place = Place::new();
    let store = small(&place, 2);
    create(&store, &key(1), &Stored { deadline: NOW + HOUR / 2, ..record(1, "x") });
    create(&store, &key(2), &record(1, "x"));
    let swapped = store.swap(
        &key(3),
        Expected::Absent,
        &Stored { deadline: NOW + HOUR * 9, ..newcomer("x") },
        NOW + HOUR / 2,
    );
    assert_eq!(swapped.unwrap(), Swap::Done);
    assert_eq!(store.usage().evicted, 0, "an expired record is not evicted, only gone");
    assert!(store.load(&key(2), NOW).unwrap().is_some());
}

#[test]
fn disk_space_is_a_quota_too() {
    let place = Place::new();
    let options = FileStoreOptions { max_total_bytes: 40_960, ..place.options() };
    let store = FileStore::open(options).unwrap();
    create(&store, &key(1), &record(1, "one block"));
    create(&store, &key(2), &record(1, vec![0; 9000]));
    assert_eq!(store.usage().bytes, 4096 + 2 * 12_288);
    assert!(is_full(&store, &key(3), &newcomer(vec![0; 9000])));
    let_in(&store, &key(3));
    replace(&store, &key(1), &record(2, vec![0; 9000]));
    assert!(store.usage().bytes > 40_960, "growth is never refused");
    assert!(is_full(&store, &key(4), &newcomer("one block")));
    create(&store, &key(4), &record(1, vec![0; 9000]));
}

#[test]
fn parallel_creations_do_not_pass_the_quota() {
    let place = Place::new();
    let store = small(&place, 20);
    let done: usize = thread::scope(|scope| {
        let workers = (0..4_u8).map(|worker| {
            let store = &store;
            let create = move |n| !is_full(store, &key(worker * 60 + n), &newcomer("x"));
            scope.spawn(move || (0..20).filter(|n| create(*n)).count())
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let usage = store.usage();
    assert_eq!((done as u64, usage.sessions), (20 + usage.evicted, 20));
}

/// What one process does, the other learns from its own sweep.
#[test]
fn a_sweep_sets_the_count_right() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    for n in 0..30 {
        create(&theirs, &key(n), &record(1, vec![0; 5000]));
    }
    assert_eq!(ours.usage(), FileUsage::default());
    assert!(ours.sweep(NOW, 1000).unwrap().finished);
    let counted = FileUsage { sessions: 30, bytes: 30 * 16_384, evicted: 0 };
    assert_eq!(ours.usage(), counted);
    let swept = ours.sweep(NOW + HOUR, 1000).unwrap();
    assert_eq!((swept.removed, swept.finished), (30, true));
    assert_eq!(ours.usage(), FileUsage::default());
    assert!(theirs.sweep(NOW, 1000).unwrap().finished);
    assert_eq!(theirs.usage(), FileUsage::default());
}

#[test]
fn a_pass_syncs_each_dirty_file_once() {
    let place = Place::new();
    let store = place.store();
    assert_eq!(store.sync_interval(), Some(Duration::from_millis(100)));
    create(&store, &key(1), &record(1, "x"));
    for version in 2..10 {
        replace(&store, &key(1), &record(version, vec![0; 9000]));
    }
    create(&store, &key(2), &record(1, "x"));
    create(&store, &key(3), &record(1, "x"));
    assert!(store.remove(&key(3)).unwrap());
    assert_eq!(store.sync_pass().unwrap(), 3);
    assert_eq!(store.sync_pass().unwrap(), 0);
    replace(&store, &key(2), &record(2, "x"));
    assert_eq!(store.sync_pass().unwrap(), 1);
}

#[test]
fn fsync_always_saves_as_well_and_leaves_nothing_to_a_pass() {
    let place = Place::new();
    for (fsync, first) in [(Fsync::Always, 1), (Fsync::Never, 2)] {
        let store = FileStore::open(FileStoreOptions { fsync, ..place.options() }).unwrap();
        create(&store, &key(first), &record(1, "x"));
        replace(&store, &key(first), &record(2, vec![0; 9000]));
        assert_eq!(store.load(&key(first), NOW).unwrap(), Some(record(2, vec![0; 9000])));
        assert_eq!((store.sync_interval(), store.sync_pass().unwrap()), (None, 0));
    }
}

#[test]
fn a_record_beyond_the_largest_slot_is_too_large() {
    let place = Place::new();
    let store = place.store();
    let large = record(1, vec![1; 16 << 20]);
    create(&store, &key(1), &large);
    assert!(store.load(&key(1), NOW).unwrap() == Some(large));
    let larger = record(2, vec![1; (16 << 20) + 1]);
    let refused = store.swap(&key(1), Expected::Version(1), &larger, NOW);
    assert!(matches!(refused, Err(StoreError::TooLarge)), "{refused:?}");
}

/// Between the look without the lock and the lock, its user may have come back.
#[test]
fn what_was_renewed_since_it_was_looked_at_is_neither_swept_nor_evicted() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "renewed"));
    let size = 1024;
    let swept = |now| sweep::remove_expired(&store.directory, &key(1), now).unwrap();
    let evicted = |now| usage::evict_one(&store.directory, &key(1), now).unwrap();
    assert_eq!(swept(NOW), Looked::Kept(size));
    assert_eq!(evicted(NOW), None);
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1, "renewed")));
    assert_eq!(swept(NOW + HOUR), Looked::Removed(size));
    assert_eq!(swept(NOW + HOUR), Looked::Nothing);
    create(&store, &key(1), &Stored { evictable: true, ..record(1, "seen once") });
    assert_eq!(evicted(NOW), Some((size, false)));
    assert_eq!(evicted(NOW), None);
}
