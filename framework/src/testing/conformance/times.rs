//! Deadlines: enforced by the caller's clock at every call, renewed by touch.

use std::time::Duration;

use super::{HOUR, Subject, answer, assert_same, fresh_key};
use crate::session::{Expected, Renewed, SessionStore, Stored, Swap, Touch};

const TICK: Duration = Duration::from_millis(1);

pub(super) fn a_passed_deadline_is_absence<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let record = subject.record(1, "short");
    subject.create(&key, &record);
    let before = subject.load_at(&key, record.deadline - TICK);
    assert_same(before.as_ref(), Some(&record), "before its deadline a record is there");
    for late in [Duration::ZERO, TICK, HOUR] {
        let found = subject.load_at(&key, record.deadline + late);
        assert_same(found.as_ref(), None, "a record whose deadline <= now does not exist");
    }
    let next = Stored { deadline: record.deadline + HOUR, ..subject.record(2, "late") };
    let late = answer(
        subject.store.swap(&key, Expected::Version(1), &next, record.deadline),
        "swap answers",
    );
    assert_eq!(late, Swap::Missing, "contract: swap(Version) of an expired record is Missing");
    assert_same(
        subject.load_at(&key, record.deadline).as_ref(),
        None,
        "a swap does not revive an expired record",
    );
}

pub(super) fn an_expired_record_is_replaced<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let old = subject.record(5, vec![b'x'; 700]);
    subject.create(&key, &old);
    let now = old.deadline;
    let new = Stored { deadline: now + HOUR, last_seen: now, ..subject.record(9, "new") };
    let swapped = answer(subject.store.swap(&key, Expected::Absent, &new, now), "swap answers");
    assert_eq!(swapped, Swap::Done, "contract: swap(Absent) creates in place of an expired record");
    let found = subject.load_at(&key, now);
    assert_same(found.as_ref(), Some(&new), "the new record is in place of the expired one");
    let stale = Expected::Version(5);
    let swapped = answer(subject.store.swap(&key, stale, &old, now), "swap answers");
    assert_eq!(swapped, Swap::Conflict, "contract: the version of the expired record is gone");
}

pub(super) fn touch_renews_and_changes_nothing_else<S: SessionStore>(subject: &Subject<S>) {
    for (size, evictable) in [(0, false), (300, true), (5000, false), (65_536, true)] {
        let key = fresh_key();
        let first = Stored { evictable, ..subject.record(3, vec![0xa5; size]) };
        subject.create(&key, &first);
        let mut wanted = first;
        // Later, earlier and later again: each touch counts, whatever the store writes over.
        for step in [2, 1, 3, 5] {
            wanted.deadline = subject.now + HOUR * step;
            wanted.last_seen = subject.now + TICK * step;
            let (deadline, last_seen) = (wanted.deadline, wanted.last_seen);
            let renewed = Renewed { deadline, last_seen, evictable: true };
            let touched =
                answer(subject.store.touch(&key, 3, renewed, subject.now), "touch answers");
            assert_eq!(
                touched,
                Touch::Done,
                "contract: touch of the version that is there is Done"
            );
            let sentence = "touch renews deadline and last_seen; bytes, version and flag stay";
            assert_same(subject.load(&key).as_ref(), Some(&wanted), sentence);
        }
        let next = subject.record(4, "next");
        let swapped = subject.swap(&key, Expected::Version(3), &next);
        assert_eq!(
            swapped,
            Swap::Done,
            "contract: touch keeps the version, so it is still swapped"
        );
        assert_same(subject.load(&key).as_ref(), Some(&next), "a swap after touches is the newest");
    }
}

pub(super) fn touch_takes_the_mark_off_and_never_sets_it<S: SessionStore>(subject: &Subject<S>) {
    for (before, told) in [(true, true), (true, false), (false, true), (false, false)] {
        let key = fresh_key();
        let mut wanted = Stored { evictable: before, ..subject.record(3, "seen again") };
        subject.create(&key, &wanted);
        wanted.deadline = subject.now + HOUR * 2;
        let renewed =
            Renewed { deadline: wanted.deadline, last_seen: wanted.last_seen, evictable: told };
        wanted.evictable = before && told;
        let touched = answer(subject.store.touch(&key, 3, renewed, subject.now), "touch answers");
        assert_eq!(touched, Touch::Done, "contract: touch of the version that is there is Done");
        let sentence = "touch clears the mark `evictable` if told so, and never sets it";
        assert_same(subject.load(&key).as_ref(), Some(&wanted), sentence);
    }
}

pub(super) fn a_stale_touch_changes_nothing<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let (deadline, last_seen) = (subject.now + HOUR * 9, subject.now + TICK);
    let renewed = Renewed { deadline, last_seen, evictable: false };
    let touch =
        |version, now| answer(subject.store.touch(&key, version, renewed, now), "touch answers");
    assert_eq!(touch(1, subject.now), Touch::Stale, "contract: touch of nothing is Stale");
    assert_same(subject.load(&key).as_ref(), None, "touch never creates");
    let record = subject.record(2, "live");
    subject.create(&key, &record);
    for version in [1, 3] {
        let touched = touch(version, subject.now);
        assert_eq!(touched, Touch::Stale, "contract: touch of another version is Stale");
        assert_same(subject.load(&key).as_ref(), Some(&record), "a stale touch changes nothing");
    }
    let touched = touch(2, record.deadline);
    assert_eq!(touched, Touch::Stale, "contract: touch of an expired record is Stale");
    let found = subject.load_at(&key, record.deadline);
    assert_same(found.as_ref(), None, "touch does not revive an expired record");
    answer(subject.store.remove(&key), "remove answers");
    assert_eq!(touch(2, subject.now), Touch::Stale, "contract: touch of a removed record is Stale");
    assert_same(subject.load(&key).as_ref(), None, "touch does not bring a removed record back");
}
