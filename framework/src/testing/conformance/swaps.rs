//! What swap and remove do when nobody else is there.

use super::{Subject, answer, assert_same, fresh_key};
use crate::session::{Expected, SessionStore, Swap};

pub(super) fn absent_then_present<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    assert_same(subject.load(&key).as_ref(), None, "an unknown key is absent, not an error");
    let first = subject.record(41, "first");
    subject.create(&key, &first);
    assert_same(subject.load(&key).as_ref(), Some(&first), "what was created is loaded");
    let second = subject.record(42, "second");
    let swapped = subject.swap(&key, Expected::Version(41), &second);
    assert_eq!(swapped, Swap::Done, "contract: swap with the version that is there is Done");
    assert_same(subject.load(&key).as_ref(), Some(&second), "what was swapped in is loaded");
}

pub(super) fn conflict_changes_nothing<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let first = subject.record(10, "first");
    subject.create(&key, &first);
    let other = subject.record(11, "other");
    for expected in [Expected::Absent, Expected::Version(9), Expected::Version(11)] {
        let swapped = subject.swap(&key, expected, &other);
        assert_eq!(swapped, Swap::Conflict, "contract: {expected:?} meets version 10: Conflict");
        assert_same(subject.load(&key).as_ref(), Some(&first), "a Conflict changes nothing");
    }
}

pub(super) fn a_version_never_creates<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let record = subject.record(2, "revived");
    let missing = "contract: a swap that names a version and finds nothing is Missing";
    assert_eq!(subject.swap(&key, Expected::Version(1), &record), Swap::Missing, "{missing}");
    assert_eq!(subject.swap(&key, Expected::Version(0), &record), Swap::Missing, "{missing}");
    assert_same(subject.load(&key).as_ref(), None, "a swap that names a version never creates");
    subject.create(&key, &subject.record(1, "live"));
    answer(subject.store.remove(&key), "remove answers");
    assert_eq!(subject.swap(&key, Expected::Version(1), &record), Swap::Missing, "{missing}");
    assert_same(subject.load(&key).as_ref(), None, "a removed record is not revived by a swap");
}

pub(super) fn remove_deletes_whatever_is_there<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let removed = || answer(subject.store.remove(&key), "remove answers");
    assert!(!removed(), "contract: remove of an unknown key is false");
    subject.create(&key, &subject.record(1, "first"));
    assert!(removed(), "contract: remove of a record is true");
    assert_same(subject.load(&key).as_ref(), None, "a removed record is absent");
    assert!(!removed(), "contract: a second remove is false");
    let again = subject.record(7, "again");
    subject.create(&key, &again);
    assert_same(subject.load(&key).as_ref(), Some(&again), "a removed key can be created again");
}

pub(super) fn keys_do_not_touch_each_other<S: SessionStore>(subject: &Subject<S>) {
    let records: Vec<_> =
        (0..500_u64).map(|n| (fresh_key(), subject.record(n, format!("record {n}")))).collect();
    for (key, record) in &records {
        subject.create(key, record);
    }
    for (key, _) in records.iter().step_by(3) {
        answer(subject.store.remove(key), "remove answers");
    }
    for (n, (key, record)) in records.iter().enumerate() {
        let wanted = (n % 3 != 0).then_some(record);
        assert_same(
            subject.load(key).as_ref(),
            wanted,
            "what happens to a key leaves others alone",
        );
    }
}

pub(super) fn versions_are_the_callers<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let mut last = 0;
    subject.create(&key, &subject.record(last, "0"));
    for version in [1, 2, 1 << 31, (1 << 53) + 1, u64::MAX / 2 - 1, u64::MAX / 2] {
        let record = subject.record(version, version.to_string());
        let swapped = subject.swap(&key, Expected::Version(last), &record);
        assert_eq!(swapped, Swap::Done, "contract: version {last} is replaced by {version}");
        assert_same(subject.load(&key).as_ref(), Some(&record), "a version comes back exactly");
        let swapped = subject.swap(&key, Expected::Version(version - 1), &record);
        assert!(
            swapped == Swap::Conflict,
            "contract: version {} is not taken for {version}",
            version - 1
        );
        last = version;
    }
}
