//! Files that are kept open: they save work and change nothing, whatever others do to the files.

use std::fs;
use std::thread;
use std::time::Duration;

use super::{
    FileStore, FileStoreOptions, NOW, Place, bytes_of, create, disk, key, record, replace, unlink,
    write_file,
};
use crate::session::{Blocking, Expected, SessionStore, StoreKey, Swap};
use crate::testing::store_conformance;

/// What a worker reads without the pool.
#[track_caller]
fn now(store: &FileStore, key: &StoreKey) -> Option<u64> {
    let found = store.load_now(key, NOW)?;
    Some(found.unwrap().expect("the record is not expired").version)
}

#[track_caller]
fn load(store: &FileStore, key: &StoreKey) -> Option<u64> {
    store.load(key, NOW).unwrap().map(|found| found.version)
}

#[test]
fn a_file_used_before_is_read_at_once() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    create(&ours, &key(1), &record(1, "x"));
    assert_eq!(now(&ours, &key(1)), None, "nobody has opened it yet");
    assert_eq!(load(&ours, &key(1)), Some(1));
    assert_eq!(now(&ours, &key(1)), Some(1));
    replace(&theirs, &key(1), &record(2, "y"));
    assert_eq!(now(&ours, &key(1)), Some(2), "what others saved is seen");
    assert_eq!(now(&theirs, &key(1)), Some(2), "a save keeps the file open too");
    let late = NOW + Duration::from_secs(3600);
    assert!(matches!(ours.load_now(&key(1), late), Some(Ok(None))), "the deadline counts");
}

#[test]
fn a_removed_session_is_gone_at_once() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    create(&ours, &key(1), &record(1, "x"));
    assert_eq!(load(&ours, &key(1)), Some(1));
    assert!(theirs.remove(&key(1)).unwrap());
    assert_eq!((now(&ours, &key(1)), load(&ours, &key(1))), (None, None));
    assert_eq!(ours.descriptors.open(), 0, "its blocks are free");
    create(&theirs, &key(1), &record(7, "again"));
    assert_eq!(load(&ours, &key(1)), Some(7));
}

#[test]
fn a_save_to_a_removed_session_creates_nothing() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    create(&ours, &key(1), &record(1, "x"));
    assert_eq!(load(&ours, &key(1)), Some(1));
    assert!(theirs.remove(&key(1)).unwrap());
    let swapped = ours.swap(&key(1), Expected::Version(1), &record(2, "y"), NOW);
    assert_eq!(swapped.unwrap(), Swap::Missing);
    assert!(!place.file(&key(1)).exists());
}

#[test]
fn a_session_that_another_store_grew_is_read_and_saved_in_its_new_file() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    create(&ours, &key(1), &record(1, "x"));
    assert_eq!(load(&ours, &key(1)), Some(1));
    replace(&theirs, &key(1), &record(2, vec![1; 9000]));
    assert_eq!((now(&ours, &key(1)), load(&ours, &key(1))), (None, Some(2)));
    replace(&theirs, &key(1), &record(3, vec![2; 90_000]));
    replace(&ours, &key(1), &record(4, "y"));
    assert_eq!(load(&theirs, &key(1)), Some(4));
    replace(&ours, &key(1), &record(5, vec![3; 300_000]));
    replace(&ours, &key(1), &record(6, "z"));
    assert_eq!(load(&theirs, &key(1)), Some(6));
}

#[test]
fn a_file_moved_away_by_hand_is_let_go_at_the_next_check() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    create(&store, &key(2), &record(1, "x"));
    assert_eq!((load(&store, &key(1)), load(&store, &key(2))), (Some(1), Some(1)));
    disk::rename(&place.file(&key(1)), &place.0.join("elsewhere")).unwrap();
    store.descriptors.check_now(&store.directory);
    assert_eq!((now(&store, &key(1)), load(&store, &key(1))), (None, None));
    assert_eq!(now(&store, &key(2)), Some(1), "the other one is where it was");
}

#[test]
fn a_file_with_a_second_name_is_not_believed() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    create(&ours, &key(1), &record(1, "x"));
    assert_eq!(load(&ours, &key(1)), Some(1));
    fs::hard_link(place.file(&key(1)), place.0.join("backup")).unwrap();
    let backup = bytes_of(&place.0.join("backup"));
    assert!(theirs.remove(&key(1)).unwrap());
    assert_eq!(load(&ours, &key(1)), None);
    fs::hard_link(place.0.join("backup"), place.file(&key(1))).unwrap();
    assert_eq!((now(&ours, &key(1)), load(&ours, &key(1))), (None, Some(1)));
    assert_eq!(now(&ours, &key(1)), None, "which of its names it still has nobody knows");
    unlink(&place.file(&key(1)));
    let swapped = ours.swap(&key(1), Expected::Version(1), &record(2, "y"), NOW);
    assert_eq!(swapped.unwrap(), Swap::Missing);
    assert_eq!(bytes_of(&place.0.join("backup")), backup, "the backup was left alone");
}

/// Its count of links is 1 again when a backup has the last one.
#[test]
fn a_file_that_lives_on_in_a_backup_is_not_believed() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    for n in [1, 2] {
        create(&ours, &key(n), &record(1, "x"));
        assert_eq!(load(&ours, &key(n)), Some(1));
        fs::hard_link(place.file(&key(n)), place.0.join(format!("backup{n}"))).unwrap();
    }
    replace(&theirs, &key(1), &record(2, vec![1; 9000]));
    assert!(theirs.remove(&key(2)).unwrap());
    assert_eq!((now(&ours, &key(1)), load(&ours, &key(1))), (None, Some(2)));
    assert_eq!((now(&ours, &key(2)), load(&ours, &key(2))), (None, None));
}

#[test]
fn a_damaged_slot_is_left_to_the_pool() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    replace(&store, &key(1), &record(2, "y"));
    assert_eq!(now(&store, &key(1)), Some(2));
    let mut bytes = bytes_of(&place.file(&key(1)));
    bytes[600] ^= 1;
    // The same file with other bytes, not another file.
    write_file(&place.file(&key(1)), &bytes);
    assert_eq!((now(&store, &key(1)), load(&store, &key(1))), (None, Some(1)));
}

#[test]
fn no_more_files_are_open_than_allowed() {
    for (max, most) in [(0, 0), (5, 5), (200, 200)] {
        let place = Place::new();
        let options = FileStoreOptions { max_open_files: max, ..place.options() };
        let store = FileStore::open(options).unwrap();
        for n in 0..=u8::MAX {
            let key = StoreKey::from_bytes([n; 32]);
            create(&store, &key, &record(1, "x"));
            assert_eq!(load(&store, &key), Some(1));
            replace(&store, &key, &record(2, "y"));
            assert!(store.descriptors.open() <= most);
        }
        for n in 0..=u8::MAX {
            assert_eq!(load(&store, &StoreKey::from_bytes([n; 32])), Some(2));
        }
        assert!(store.descriptors.open() >= most / 2, "{max}: it keeps some");
    }
}

/// The lock of a file is the descriptor's: two threads with one descriptor would both have it.
#[test]
fn one_descriptor_is_one_holder() {
    let place = Place::new();
    let mut store = place.store();
    store.patience = Duration::ZERO;
    create(&store, &key(1), &record(1, "x"));
    assert_eq!(load(&store, &key(1)), Some(1));
    let held = store.hold(&key(1), disk::Access::Write).unwrap();
    assert!(held.is_some());
    assert!(store.hold(&key(1), disk::Access::Write).is_err(), "it is locked");
    drop(held);
    assert!(store.hold(&key(1), disk::Access::Write).unwrap().is_some());
}

#[test]
fn saves_of_many_threads_and_two_stores_all_count() {
    const EACH: u64 = 300;
    let place = Place::new();
    let stores = [place.store(), place.store()];
    create(&stores[0], &key(1), &record(1, "x"));
    thread::scope(|scope| {
        for store in stores.iter().cycle().take(6) {
            scope.spawn(move || {
                let mut done = 0;
                while done < EACH {
                    let seen = now(store, &key(1)).or_else(|| load(store, &key(1))).unwrap();
                    let expected = Expected::Version(seen);
                    let new = record(seen + 1, format!("{seen}"));
                    done +=
                        u64::from(store.swap(&key(1), expected, &new, NOW).unwrap() == Swap::Done);
                }
            });
        }
    });
    assert_eq!(load(&stores[0], &key(1)), Some(1 + 6 * EACH));
}

#[test]
fn the_store_keeps_its_contract_behind_the_pool() {
    let place = Place::new();
    let count = std::sync::atomic::AtomicUsize::new(0);
    store_conformance(|| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let options = FileStoreOptions::new(place.0.join(n.to_string()));
        Blocking::new(FileStore::open(FileStoreOptions { max_open_files: 3, ..options }).unwrap())
    });
}
