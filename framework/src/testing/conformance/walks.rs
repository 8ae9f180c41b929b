//! The two calls that pass through the whole store: sweep and list.

use std::time::SystemTime;

use super::{HOUR, Subject, answer, assert_same, fresh_key};
use crate::session::{SessionStore, StoreError, StoreKey, Stored};

/// Passes one sweep may need before we call it endless.
const MAX_SLICES: usize = 10_000;

/// Half of them expire after an hour, the other half after three.
fn fill<S: SessionStore>(subject: &Subject<S>, count: u64) -> Vec<(StoreKey, Stored)> {
    let records = (0..count).map(|n| {
        let deadline = subject.now + HOUR * if n % 2 == 0 { 1 } else { 3 };
        (fresh_key(), Stored { deadline, ..subject.record(n, format!("record {n}")) })
    });
    let records: Vec<_> = records.collect();
    records.iter().for_each(|(key, record)| subject.create(key, record));
    records
}

/// Sweeps in slices until one says it has finished; gives the number of records removed.
fn sweep_all<S: SessionStore>(subject: &Subject<S>, now: SystemTime, budget: usize) -> usize {
    let mut removed = 0;
    for _ in 0..MAX_SLICES {
        let swept = answer(subject.store.sweep(now, budget), "sweep answers");
        assert!(
            swept.examined <= budget && swept.removed <= swept.examined,
            "contract: sweep looks at no more than its budget of {budget}; it says {swept:?}"
        );
        removed += swept.removed;
        if swept.finished {
            return removed;
        }
    }
    unfinished()
}

#[expect(clippy::panic, reason = "a conformance suite tells by panicking what does not hold")]
fn unfinished() -> usize {
    panic!("contract: sweep goes on where it stopped, so it finishes; {MAX_SLICES} calls did not")
}

pub(super) fn sweep_deletes_only_the_expired<S: SessionStore>(subject: &Subject<S>) {
    let empty = sweep_all(subject, subject.now, 100);
    assert_eq!(empty, 0, "contract: a sweep of an empty store removes nothing");
    let records = fill(subject, 60);
    assert_eq!(sweep_all(subject, subject.now, 1000), 0, "contract: a sweep spares live records");
    let later = subject.now + HOUR * 2;
    sweep_all(subject, later, 1000);
    for (key, record) in &records {
        let wanted = (record.deadline > later).then_some(record);
        assert_same(subject.load_at(key, later).as_ref(), wanted, "a sweep spares live records");
        // Asked with the earlier time, only a record that is really gone is absent.
        let found = subject.load(key);
        assert_same(found.as_ref(), wanted, "a finished sweep has deleted every expired record");
    }
}

pub(super) fn sweep_keeps_to_its_budget<S: SessionStore>(subject: &Subject<S>) {
    let records = fill(subject, 40);
    let later = subject.now + HOUR * 2;
    // Twice: the place where a sweep stands when it starts is not the caller's to know.
    sweep_all(subject, later, 3);
    sweep_all(subject, later, 3);
    for (key, record) in &records {
        let wanted = (record.deadline > later).then_some(record);
        let sentence = "a sweep in small slices reaches every record";
        assert_same(subject.load(key).as_ref(), wanted, sentence);
    }
    let swept = answer(subject.store.sweep(later, 0), "sweep answers");
    assert_eq!(swept.examined, 0, "contract: a sweep with budget 0 looks at nothing");
}

pub(super) fn list_is_ascending_and_limited<S: SessionStore>(subject: &Subject<S>) {
    let list = |after: Option<&StoreKey>, limit, now| subject.store.list(after, limit, now);
    if matches!(list(None, 1, subject.now), Err(StoreError::Unsupported)) {
        return;
    }
    let list =
        |after: Option<&StoreKey>, limit, now| answer(list(after, limit, now), "list answers");
    assert!(list(None, 10, subject.now).is_empty(), "contract: list of an empty store is empty");
    let mut records = fill(subject, 50);
    records.sort_by_key(|(key, _)| *key);
    let all = list(None, 1000, subject.now);
    assert!(all == records, "contract: list gives every key with its record, ascending");
    assert!(list(None, 0, subject.now).is_empty(), "contract: list gives at most limit records");
    let mut paged = Vec::new();
    loop {
        let page = list(paged.last().map(|(key, _)| key), 7, subject.now);
        assert!(page.len() <= 7, "contract: list gives at most limit records");
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert!(paged == records, "contract: list after the last key goes on behind it");
    let later = subject.now + HOUR * 2;
    records.retain(|(_, record)| record.deadline > later);
    assert!(list(None, 1000, later) == records, "contract: list leaves out what has expired");
    assert!(list(None, 5, later) == records[..5], "contract: expired records do not fill a page");
}
