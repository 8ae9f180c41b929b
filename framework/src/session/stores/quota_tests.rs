//! Quotas of the stores that count what they hold themselves: one list of tests for file and table.
//! What holds for every store is in [`store_quota_conformance`](crate::testing::store_quota_conformance);
//! this is about what they promise beyond it: exact counts, also after a restart, and who is evicted.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::session::{Expected, SessionStore, StoreError, StoreKey, Stored, Swap};

const NOW: SystemTime = UNIX_EPOCH;
const HOUR: Duration = Duration::from_secs(3600);

/// Where the stores of one test lie, one after another.
pub(super) trait Place {
    type Store: SessionStore;
    /// How long a search in vain for somebody to evict is believed.
    const PAUSE: Duration;
    /// What a record of one byte takes of `max_total_bytes`.
    const BYTES_OF_ONE: u64;

    fn empty() -> Self;
    /// Opens the store, with what the one before it left.
    fn small(&self, max_sessions: u64) -> Self::Store;
    fn close(store: Self::Store);
    fn counted(store: &Self::Store) -> Counted;
}

/// What a store says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) sessions: u64,
    pub(super) bytes: u64,
    pub(super) evicted: u64,
}

/// The tests of this list for the stores of one [`Place`].
macro_rules! quota_tests {
    ($place:ty) => {
        quota_tests! { $place;
            a_full_store_refuses_new_sessions_and_serves_the_others
            who_has_a_session_goes_on_in_a_full_store_and_is_counted
            more_than_there_may_be_costs_few_sessions
            only_evictable_records_make_room_the_longest_unused_first
            expired_records_make_room_before_the_sweep
            parallel_creations_do_not_pass_the_quota
        }
    };
    ($place:ty; $($test:ident)*) => {
        $(#[test]
        fn $test() {
            crate::session::stores::quota_tests::$test::<$place>();
        })*
    };
}
pub(super) use quota_tests;

/// All in the first sub-directory of files, which is counted at start however slow the disk is.
fn key(number: u32) -> StoreKey {
    let mut bytes = [0; 32];
    bytes[1..5].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    StoreKey::from_bytes(bytes)
}

fn record(version: u64, bytes: impl Into<Vec<u8>>) -> Stored {
    Stored { bytes: bytes.into(), version, deadline: NOW + HOUR, last_seen: NOW, evictable: false }
}

/// A new anonymous session.
pub(super) fn newcomer(bytes: impl Into<Vec<u8>>) -> Stored {
    Stored { evictable: true, ..record(1, bytes) }
}

fn create(store: &impl SessionStore, key: &StoreKey, record: &Stored) {
    assert_eq!(store.swap(key, Expected::Absent, record, NOW).unwrap(), Swap::Done);
}

fn replace(store: &impl SessionStore, key: &StoreKey, record: &Stored) {
    let expected = Expected::Version(record.version - 1);
    assert_eq!(store.swap(key, expected, record, NOW).unwrap(), Swap::Done);
}

/// Whether the creation was refused for want of room.
pub(super) fn is_full(store: &impl SessionStore, key: &StoreKey, new: &Stored) -> bool {
    match store.swap(key, Expected::Absent, new, NOW) {
        Ok(swapped) => {
            assert_eq!(swapped, Swap::Done);
            false
        }
        Err(StoreError::Full) => true,
        Err(other) => panic!("{other}"),
    }
}

/// A newcomer who has come back since.
pub(super) fn let_in(store: &impl SessionStore, key: &StoreKey) {
    assert!(!is_full(store, key, &newcomer("x")));
    replace(store, key, &record(2, "x"));
}

pub(super) fn a_full_store_refuses_new_sessions_and_serves_the_others<P: Place>() {
    let place = P::empty();
    let store = place.small(5);
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
    P::close(store);
    let store = place.small(5);
    assert!(is_full(&store, &key(51), &newcomer("x")), "counted again at start");
    assert_eq!(P::counted(&store).sessions, 5);
    P::close(store);
    assert!(!is_full(&place.small(6), &key(51), &newcomer("x")));
}

/// What others than newcomers took is given back as well, also what did not come about.
pub(super) fn who_has_a_session_goes_on_in_a_full_store_and_is_counted<P: Place>() {
    let place = P::empty();
    let store = place.small(3);
    // A change of id, the epoch of a user, a lock: none of them is an anonymous newcomer.
    for n in 0..8 {
        create(&store, &key(n), &record(1, "x"));
        let again = store.swap(&key(n), Expected::Absent, &record(1, "x"), NOW).unwrap();
        assert_eq!(again, Swap::Conflict);
    }
    let counted = Counted { sessions: 8, bytes: 8 * P::BYTES_OF_ONE, evicted: 0 };
    assert_eq!(P::counted(&store), counted);
    for n in 0..6 {
        assert!(is_full(&store, &key(50), &newcomer("x")), "{n} left");
        assert!(store.remove(&key(n)).unwrap());
    }
    assert!(!is_full(&store, &key(50), &newcomer("x")));
}

/// One who cannot be let in anyway costs few of those who may be evicted.
pub(super) fn more_than_there_may_be_costs_few_sessions<P: Place>() {
    let place = P::empty();
    let store = place.small(60);
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
    // Five, and then a pause.
    let most = 5 * (1 + begun.elapsed().as_millis() / P::PAUSE.as_millis());
    let evicted = P::counted(&store).evicted;
    assert!((1..=most).contains(&evicted.into()), "{evicted} evicted");
}

pub(super) fn only_evictable_records_make_room_the_longest_unused_first<P: Place>() {
    let place = P::empty();
    let store = place.small(6);
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
    assert_eq!(P::counted(&store).evicted, 3);
    P::close(store);
    let store = place.small(6);
    assert_eq!(P::counted(&store).sessions, 6);
    assert_eq!(store.load(&key(5), NOW).unwrap(), None, "the evicted do not come back");
}

pub(super) fn expired_records_make_room_before_the_sweep<P: Place>() {
    let place = P::empty();
    let store = place.small(2);
    create(&store, &key(1), &Stored { deadline: NOW + HOUR / 2, ..record(1, "x") });
    create(&store, &key(2), &record(1, "x"));
    let new = Stored { deadline: NOW + HOUR * 9, ..newcomer("x") };
    let swapped = store.swap(&key(3), Expected::Absent, &new, NOW + HOUR / 2);
    assert_eq!(swapped.unwrap(), Swap::Done);
    assert_eq!(P::counted(&store).evicted, 0, "an expired record is not evicted, only gone");
    assert!(store.load(&key(2), NOW).unwrap().is_some());
}

pub(super) fn parallel_creations_do_not_pass_the_quota<P: Place>() {
    let place = P::empty();
    let store = place.small(20);
    let done: usize = thread::scope(|scope| {
        let workers = (0..4_u32).map(|worker| {
            let store = &store;
            let create = move |n| !is_full(store, &key(worker * 60 + n), &newcomer("x"));
            scope.spawn(move || (0..20).filter(|n| create(*n)).count())
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let Counted { sessions, evicted, .. } = P::counted(&store);
    assert_eq!((done as u64, sessions), (20 + evicted, 20));
}
