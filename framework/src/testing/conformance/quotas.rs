//! Who is let into a full store, and who is never asked to leave it.

use std::time::{Duration, Instant};

use super::{HOUR, Subject, answer, assert_same, base, fresh_key};
use crate::session::{Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Touch};

/// With fewer there is no telling a quota from a store that refuses everybody.
const LEAST: u64 = 8;
/// Copies of what was evicted are given for no longer.
const COPIES_LAST: Duration = Duration::from_secs(5);

/// Runs what the [`SessionStore`] contract says of quotas against a store that has one: only an
/// anonymous newcomer ([`evictable`](Stored::evictable), created) is refused with
/// [`StoreError::Full`], and only such ones are evicted for others.
///
/// `make` gives an **empty** store each time it is called, once for each check, with room for
/// `max_sessions` records, of which the store may use some for itself; 8 at least, and 64 are
/// plenty. What was evicted may be read for five seconds more. Otherwise as [`store_conformance`](super::store_conformance).
///
/// # Panics
/// With the sentence that does not hold, if one does not; when `max_sessions` is below 8.
///
/// # Examples
/// ```
/// use maypole::session::stores::{TableOptions, TableStore};
///
/// # let dir = std::env::temp_dir().join(format!("maypole-quota-doc-{}", std::process::id()));
/// let count = std::cell::Cell::new(0);
/// maypole::testing::store_quota_conformance(64, || {
///     count.set(count.get() + 1);
///     let options = TableOptions::new(dir.join(count.get().to_string()));
///     TableStore::open(TableOptions { max_sessions: 64, ..options }).unwrap()
/// });
/// # std::fs::remove_dir_all(&dir).unwrap();
/// ```
pub fn store_quota_conformance<S: SessionStore>(max_sessions: u64, make: impl Fn() -> S) {
    assert!(max_sessions >= LEAST, "a quota of {max_sessions} is too small to be checked");
    let checks: &[fn(&Subject<S>, u64)] = &[
        newcomers_get_in_while_there_is_room,
        a_full_store_refuses_newcomers,
        whoever_has_a_session_goes_on,
        nobody_known_is_evicted,
        who_leaves_makes_room,
    ];
    for check in checks {
        check(&Subject { store: make(), now: base() }, max_sessions);
    }
}

impl<S: SessionStore> Subject<S> {
    /// An anonymous session that was just made.
    fn newcomer(&self, version: u64) -> Stored {
        Stored { evictable: true, ..self.record(version, "a newcomer") }
    }

    /// Whether a newcomer was let in. Who was refused has left nothing behind.
    fn lets_in(&self, key: &StoreKey) -> bool {
        match self.store.swap(key, Expected::Absent, &self.newcomer(1), self.now) {
            Err(StoreError::Full) => {
                assert_same(self.load(key).as_ref(), None, "what was refused is not stored");
                false
            }
            outcome => {
                let swap = answer(outcome, "a full store says Full, and nothing else is wrong");
                assert_eq!(swap, Swap::Done, "contract: swap(Absent) creates or refuses");
                true
            }
        }
    }

    /// So many sessions that are no newcomers, such as those of users who have logged in.
    fn regulars(&self, count: u64) -> Vec<(StoreKey, Stored)> {
        let regular = |number| (fresh_key(), self.record(1, format!("regular {number}")));
        let regulars: Vec<_> = (0..count).map(regular).collect();
        for (key, regular) in &regulars {
            let outcome = self.store.swap(key, Expected::Absent, regular, self.now);
            let swap = answer(outcome, "no quota refuses a record that is not evictable");
            assert_eq!(swap, Swap::Done, "contract: swap(Absent) creates where nothing is");
        }
        regulars
    }

    fn expect_all(&self, records: &[(StoreKey, Stored)]) {
        for (key, record) in records {
            let sentence = "only what is evictable is evicted";
            assert_same(self.load(key).as_ref(), Some(record), sentence);
        }
    }
}

fn newcomers_get_in_while_there_is_room<S: SessionStore>(subject: &Subject<S>, max: u64) {
    let first = fresh_key();
    assert!(subject.lets_in(&first), "contract: an empty store lets a newcomer in");
    let newcomers: Vec<_> = (0..max * 3).map(|_| fresh_key()).collect();
    for key in &newcomers {
        if subject.lets_in(key) {
            let sentence = "who was let in is stored";
            assert_same(subject.load(key).as_ref(), Some(&subject.newcomer(1)), sentence);
        }
    }
    let count = || {
        let all = newcomers.iter().chain([&first]);
        all.filter(|key| subject.load(key).is_some()).count() as u64
    };
    // A store with copies in memory may have one for a moment longer than the session.
    let until = Instant::now() + COPIES_LAST;
    while count() > max && Instant::now() < until {
        crate::sleep(Duration::from_millis(10));
    }
    let there = count();
    assert!(there <= max, "contract: {there} newcomers are there, and {max} may be");
    assert!(there >= max / 2, "contract: {there} newcomers are there, though {max} may be");
}

fn a_full_store_refuses_newcomers<S: SessionStore>(subject: &Subject<S>, max: u64) {
    let regulars = subject.regulars(max);
    for _ in 0..LEAST {
        let is_in = subject.lets_in(&fresh_key());
        assert!(!is_in, "contract: with {max} records and nobody to evict a newcomer is Full");
    }
    subject.expect_all(&regulars);
}

fn whoever_has_a_session_goes_on<S: SessionStore>(subject: &Subject<S>, max: u64) {
    let regulars = subject.regulars(max);
    // As a login, a change of id, a lock and the epoch of a user make them.
    let more = subject.regulars(max / 2);
    let (key, _) = &regulars[0];
    let larger = subject.record(2, vec![b'x'; 8000]);
    let swapped = subject.swap(key, Expected::Version(1), &larger);
    assert_eq!(swapped, Swap::Done, "contract: in a full store a record is replaced, and grows");
    let met = subject.swap(key, Expected::Absent, &subject.newcomer(3));
    assert_eq!(met, Swap::Conflict, "contract: swap(Absent) meets a record: Conflict, not Full");
    let renewed =
        Renewed { deadline: subject.now + HOUR * 2, last_seen: subject.now, evictable: false };
    let touched = answer(subject.store.touch(key, 2, renewed, subject.now), "touch answers");
    assert_eq!(touched, Touch::Done, "contract: in a full store a record is renewed");
    let renewed = Stored { deadline: renewed.deadline, ..larger };
    assert_same(subject.load(key).as_ref(), Some(&renewed), "what was renewed is there");
    subject.expect_all(&regulars[1..]);
    subject.expect_all(&more);
}

fn nobody_known_is_evicted<S: SessionStore>(subject: &Subject<S>, max: u64) {
    // One kind was touched, one was swapped: both were seen again.
    let mut known = Vec::new();
    for number in 0..max / 4 {
        let (key, mut record) = (fresh_key(), subject.newcomer(1));
        subject.create(&key, &record);
        record.evictable = false;
        if number % 2 == 0 {
            let Stored { deadline, last_seen, evictable, .. } = record;
            let renewed = Renewed { deadline, last_seen, evictable };
            let touched = subject.store.touch(&key, 1, renewed, subject.now);
            assert_eq!(answer(touched, "touch answers"), Touch::Done, "contract: touch renews");
        } else {
            record.version = 2;
            let swapped = subject.swap(&key, Expected::Version(1), &record);
            assert_eq!(swapped, Swap::Done, "contract: a record is replaced");
        }
        known.push((key, record));
    }
    known.extend(subject.regulars(max / 4));
    let let_in = |count| (0..count).filter(|_| subject.lets_in(&fresh_key())).count();
    assert!(let_in(max * 2) > 0, "contract: newcomers get in while there is room");
    known.extend(subject.regulars(max));
    assert_eq!(let_in(max), 0, "contract: {max} records that stay leave no room for a newcomer");
    subject.expect_all(&known);
}

fn who_leaves_makes_room<S: SessionStore>(subject: &Subject<S>, max: u64) {
    let regulars = subject.regulars(max + max / 4);
    assert!(!subject.lets_in(&fresh_key()), "contract: a full store refuses a newcomer");
    let (leaving, staying) = regulars.split_at(regulars.len() / 2);
    for (key, _) in leaving {
        assert!(answer(subject.store.remove(key), "remove answers"), "contract: it was there");
    }
    assert!(subject.lets_in(&fresh_key()), "contract: removals make room for newcomers");
    subject.expect_all(staying);
}
