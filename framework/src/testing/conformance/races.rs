//! What holds when several threads use one store at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{HOUR, Subject, answer, assert_same, fresh_key};
use crate::session::{Expected, Renewed, SessionStore, StoreKey, Stored, Swap, Touch};

const THREADS: usize = 4;
const ROUNDS: usize = 50;

/// Runs `work` in several threads that start together.
fn together(threads: usize, work: impl Fn(usize) + Sync) {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(thread);
            });
        }
    });
}

/// Says at its end that a thread is done, also if the store failed it: the others wait for that.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One increment by load and swap, tried again until it is done; `None` if the record is gone.
fn increment<S: SessionStore>(subject: &Subject<S>, key: &StoreKey) -> Option<()> {
    loop {
        let found = subject.load(key)?;
        let next = Stored { version: found.version + 1, ..found.clone() };
        let next = Stored { bytes: counter(number(&next.bytes) + 1), ..next };
        match subject.swap(key, Expected::Version(found.version), &next) {
            Swap::Done => return Some(()),
            Swap::Conflict => {}
            Swap::Missing => return None,
        }
    }
}

/// A number as the bytes of a record: repeated, so that a mixture of two records shows.
fn counter(number: usize) -> Vec<u8> {
    // The length changes, so records move between sizes as they count.
    let repeats = 30 + (number % 7) * 90;
    (number as u64).to_le_bytes().repeat(repeats)
}

fn number(bytes: &[u8]) -> usize {
    let (numbers, rest) = bytes.as_chunks();
    let first = numbers.first().map(|number| u64::from_le_bytes(*number));
    let is_whole = rest.is_empty() && numbers.iter().all(|n| Some(u64::from_le_bytes(*n)) == first);
    assert!(is_whole, "contract: a reader sees the old record or the new one, never a mixture");
    let number = first.and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
    assert!(
        bytes == counter(number),
        "contract: a reader sees the old record or the new one, whole"
    );
    number
}

pub(super) fn parallel_increments_are_all_there<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    subject.create(&key, &subject.record(100, counter(0)));
    together(THREADS, |_| {
        for _ in 0..ROUNDS {
            let done = increment(subject, &key);
            assert!(done.is_some(), "contract: a record nobody removed is never Missing");
        }
    });
    let found = subject.load(&key).map(|found| (number(&found.bytes), found.version));
    let total = THREADS * ROUNDS;
    assert_eq!(
        found,
        Some((total, 100 + total as u64)),
        "contract: of two swaps that expect the same version exactly one is Done"
    );
}

pub(super) fn one_of_many_creators_wins<S: SessionStore>(subject: &Subject<S>) {
    for round in 0..ROUNDS {
        let key = fresh_key();
        // Sizes of one page and of several, since a store may create them in different ways.
        let size = if round % 2 == 0 { 100 } else { 20_000 };
        let winners = AtomicUsize::new(0);
        let mark = |thread: usize| u8::try_from(thread).unwrap_or_default();
        together(THREADS, |thread| {
            let record = subject.record(thread as u64, vec![mark(thread); size]);
            match subject.swap(&key, Expected::Absent, &record) {
                Swap::Done => {
                    winners.fetch_add(1, Ordering::Relaxed);
                    assert_same(
                        subject.load(&key).as_ref(),
                        Some(&record),
                        "who created the record finds it",
                    );
                }
                swapped => assert_eq!(
                    swapped,
                    Swap::Conflict,
                    "contract: swap(Absent) is Done or Conflict"
                ),
            }
        });
        let winners = winners.into_inner();
        assert_eq!(winners, 1, "contract: of several creators of one key exactly one is Done");
    }
}

pub(super) fn a_removed_record_stays_removed<S: SessionStore>(subject: &Subject<S>) {
    for _ in 0..ROUNDS {
        let key = fresh_key();
        subject.create(&key, &subject.record(1, counter(0)));
        let over = AtomicBool::new(false);
        together(THREADS, |thread| {
            if thread == 0 {
                let _end = Over(&over);
                let removed = answer(subject.store.remove(&key), "remove answers");
                assert!(removed, "contract: remove of a record is true, whoever else writes it");
            } else {
                while increment(subject, &key).is_some() && !over.load(Ordering::Acquire) {}
            }
        });
        let sentence = "no swap that was under way brings a removed record back";
        assert_same(subject.load(&key).as_ref(), None, sentence);
    }
}

pub(super) fn touches_do_not_undo_swaps<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    subject.create(&key, &subject.record(1, counter(0)));
    let over = AtomicBool::new(false);
    together(2, |thread| {
        if thread == 0 {
            let _end = Over(&over);
            for _ in 0..ROUNDS * 4 {
                let done = increment(subject, &key);
                assert!(done.is_some(), "contract: a touch does not remove the record");
            }
            return;
        }
        while !over.load(Ordering::Acquire) {
            let Some(found) = subject.load(&key) else { continue };
            let (deadline, last_seen) = (subject.now + HOUR * 2, subject.now);
            let renewed = Renewed { deadline, last_seen, evictable: true };
            let touched = subject.store.touch(&key, found.version, renewed, subject.now);
            let _ = answer(touched, "touch answers");
        }
    });
    let found = subject.load(&key).map(|found| number(&found.bytes));
    assert_eq!(found, Some(ROUNDS * 4), "contract: a touch never undoes a swap");
}

pub(super) fn a_sweep_spares_a_renewed_record<S: SessionStore>(subject: &Subject<S>) {
    let sweep_at = subject.now + HOUR;
    for _ in 0..ROUNDS {
        let key = fresh_key();
        subject.create(&key, &subject.record(1, "about to expire"));
        let was_renewed = AtomicBool::new(false);
        together(2, |thread| {
            if thread == 0 {
                let swept = answer(subject.store.sweep(sweep_at, 1000), "sweep answers");
                assert!(swept.removed <= swept.examined, "contract: only examined records go");
                return;
            }
            // In time by its own clock, while the sweeper's is already past the deadline.
            let (deadline, last_seen) = (sweep_at + HOUR, subject.now);
            let renewed = Renewed { deadline, last_seen, evictable: true };
            let touched = subject.store.touch(&key, 1, renewed, subject.now);
            let done = answer(touched, "touch answers") == Touch::Done;
            was_renewed.store(done, Ordering::Release);
        });
        if was_renewed.into_inner() {
            let found = subject.load_at(&key, sweep_at).map(|found| found.version);
            assert_eq!(found, Some(1), "contract: a sweep spares a record that was renewed");
        }
    }
}

pub(super) fn readers_see_whole_records<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    subject.create(&key, &subject.record(1, counter(0)));
    let over = AtomicBool::new(false);
    together(3, |thread| {
        if thread == 0 {
            let _end = Over(&over);
            for _ in 0..ROUNDS * 8 {
                let done = increment(subject, &key);
                assert!(done.is_some(), "contract: a record nobody removed is never Missing");
            }
            return;
        }
        let mut last = 0;
        while !over.load(Ordering::Acquire) {
            let found = subject.load(&key).map(|found| number(&found.bytes));
            let sentence = "contract: a reader never finds an older record than it found before";
            assert!(found.is_some_and(|found| found >= last), "{sentence}: {last}, then {found:?}");
            last = found.unwrap_or(last);
        }
    });
}
