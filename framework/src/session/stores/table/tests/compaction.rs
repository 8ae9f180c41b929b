//! Writing the journal anew, with crashes between its steps and saves meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::compact::{self, Step};
use super::{
    HOUR, NOW, Place, TableOptions, TableStore, all, copy, create, disk, key, record, replace,
};
use crate::session::{Expected, SessionStore, StoreKey, Stored, Swap};

pub(super) fn compact(store: &TableStore, step: &mut dyn FnMut(Step)) {
    let inner = &store.inner;
    compact::compact(&inner.map, &inner.journal, &inner.is_stopped, step).unwrap();
}

/// At each step some records are created, changed and removed, and the directory is copied as it
/// is; each copy is opened and must hold exactly what was acknowledged by then.
#[test]
fn a_crash_between_any_two_steps_leaves_what_was_acknowledged() {
    let place = Place::new();
    let options = TableOptions { segment_bytes: 4096, ..place.options() };
    let store = TableStore::open(options).unwrap();
    for n in 0..60 {
        create(&store, &key(n), &record(1, vec![b'a'; 100]));
    }
    for round in 0..3 {
        let (mut next, mut copies) = (1000 * (round + 1), Vec::new());
        let mut seen = Vec::new();
        compact(&store, &mut |step| {
            seen.push(step);
            create(&store, &key(next), &record(1, "new"));
            create(&store, &key(next + 1), &record(1, "short-lived"));
            assert!(store.remove(&key(next + 1)).unwrap());
            let old = next % 60;
            let version = store.load(&key(old), NOW).unwrap().map_or(0, |found| found.version);
            match version {
                0 => create(&store, &key(old), &record(1, "back")),
                _ if next % 3 == 0 => assert!(store.remove(&key(old)).unwrap()),
                _ => replace(&store, &key(old), &record(version + 1, vec![b'b'; 300])),
            }
            next += 7;
            let crashed = Place::new();
            copy(&place.dir(), &crashed);
            copies.push((step, crashed, all(&store)));
        });
        for step in [Step::Rotated, Step::Copied, Step::Synced, Step::Named, Step::Deleted] {
            assert!(seen.contains(&step), "{step:?}");
        }
        for (step, crashed, wanted) in copies {
            // Twice: the first start clears away what the crash left.
            for _ in 0..2 {
                let store = crashed.store();
                assert!(all(&store) == wanted, "round {round}, crashed behind {step:?}");
                assert!(!store.inner.journal.needs_rewrite(), "{step:?}");
                store.close().unwrap();
            }
            let left = crashed.files();
            let has_unfinished = left.iter().any(|path| path.extension().unwrap() == "tmp");
            assert!(!has_unfinished, "{left:?}");
        }
    }
}

/// Everything removed stays removed when the segment with its creation outlives the one with its
/// removal for a while, and when a snapshot that knew it is still there.
#[test]
fn what_was_removed_does_not_come_back() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    compact(&store, &mut |_| ());
    let with_record = Place::new();
    copy(&place.dir(), &with_record);
    assert!(store.remove(&key(1)).unwrap());
    compact(&store, &mut |_| ());
    store.close().unwrap();
    // As if the files that the second snapshot replaced had not been deleted.
    for file in with_record.files() {
        let name = file.file_name().unwrap();
        super::write_file(&place.dir().join(name), &super::bytes_of(&file));
    }
    let store = place.store();
    assert_eq!(all(&store), []);
    assert_eq!(place.files().len(), 2, "one snapshot and one segment");
}

#[test]
fn a_stopped_compaction_leaves_nothing() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    let stop = AtomicBool::new(true);
    compact::compact(&store.inner.map, &store.inner.journal, &stop, &mut |_| ()).unwrap();
    assert!(place.files().iter().all(|path| path.extension().unwrap() == "seg"));
    store.close().unwrap();
    assert_eq!(all(&place.store()), [(key(1), record(1, "x"))]);
}

/// Maintenance finds by itself that a journal is mostly out of date.
#[test]
fn the_journal_of_a_few_sessions_stays_short() {
    let place = Place::new();
    let segment_bytes = 65_536;
    let store = TableStore::open(TableOptions { segment_bytes, ..place.options() }).unwrap();
    create(&store, &key(1), &record(0, ""));
    for version in 1..20_000 {
        replace(&store, &key(1), &record(version, vec![b'x'; 300]));
        if version % 50 == 0 {
            store.maintain().unwrap();
        }
    }
    while store.usage().journal_bytes > 2 * segment_bytes {
        store.maintain().unwrap();
        thread::yield_now();
    }
    store.close().unwrap();
    let bytes: u64 = place.files().iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert_eq!(bytes, store.usage().journal_bytes, "the count of its bytes is right");
    assert_eq!(place.store().load(&key(1), NOW).unwrap().unwrap().version, 19_999);
}

/// Four threads save while a fifth compacts without a pause; at the end, and in every copy taken
/// meanwhile, is at least what had been acknowledged before the copy began.
#[test]
fn saves_and_compactions_at_once_lose_nothing() {
    let place = Place::new();
    let options = TableOptions { segment_bytes: 16_384, ..place.options() };
    let store = TableStore::open(options).unwrap();
    let done = AtomicBool::new(false);
    let work = |thread: u32| {
        let mut wanted = BTreeMap::<StoreKey, Option<Stored>>::new();
        for n in 0..3000_u32 {
            let key = key(thread * 100 + n % 37);
            let old = wanted.get(&key).cloned().flatten();
            let version = old.as_ref().map_or(u64::from(n), |old| old.version + 1);
            if n % 11 == 0 {
                assert_eq!(store.remove(&key).unwrap(), old.is_some());
                wanted.insert(key, None);
                continue;
            }
            let expected = old.map_or(Expected::Absent, |old| Expected::Version(old.version));
            let new = Stored { deadline: NOW + HOUR, ..record(version, n.to_string()) };
            assert_eq!(store.swap(&key, expected, &new, NOW).unwrap(), Swap::Done);
            wanted.insert(key, Some(new));
        }
        wanted
    };
    let wanted: Vec<_> = thread::scope(|scope| {
        let compactor = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                compact(&store, &mut |_| ());
            }
        });
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || work(thread))).collect();
        let wanted = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        compactor.join().unwrap();
        wanted
    });
    let mut wanted: Vec<_> =
        wanted.into_iter().filter_map(|(key, stored)| Some((key, stored?))).collect();
    wanted.sort_by_key(|(key, _)| *key);
    assert!(all(&store) == wanted);
    store.close().unwrap();
    assert!(all(&place.store()) == wanted);
}

#[test]
fn an_unfinished_snapshot_is_cleared_away() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    store.close().unwrap();
    super::write_file(&place.dir().join("0000000000000009.snap.tmp"), b"half");
    let store = place.store();
    assert_eq!(all(&store), [(key(1), record(1, "x"))]);
    assert!(!disk::unlink(&place.dir().join("0000000000000009.snap.tmp")).unwrap());
}
