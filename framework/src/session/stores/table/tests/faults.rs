//! A disk that is full, fails or tears a write.

use super::super::journal::Fault;
use super::{
    Fsync, NOW, Place, TableOptions, TableStore, all, bytes_of, compaction, create, disk, key,
    record, replace,
};
use crate::session::{Expected, SessionStore, StoreError, StoreKey, Stored};

fn refused(store: &TableStore, key: &StoreKey, new: &Stored) {
    let result = store.swap(key, Expected::Absent, new, NOW);
    assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    assert_eq!(store.load(key, NOW).unwrap(), None, "memory was not changed");
}

fn in_doubt(store: &TableStore, key: &StoreKey, new: &Stored) {
    let result = store.swap(key, Expected::Absent, new, NOW);
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert_eq!(store.load(key, NOW).unwrap(), None, "memory was not changed");
}

#[test]
fn a_short_write_is_refused_and_leaves_nothing() {
    for stall_bound in [std::time::Duration::ZERO, std::time::Duration::from_secs(60)] {
        let place = Place::new();
        let options = TableOptions { stall_bound, ..place.options() };
        let store = TableStore::open(options).unwrap();
        create(&store, &key(1), &record(1, "kept"));
        create(&store, &key(2), &record(1, "kept"));
        let before = bytes_of(&place.files()[0]);
        let usage = store.inner.usage.held();
        for bytes in [0, 1, 71, 72, 75] {
            store.inner.journal.fail_next(Fault::ShortWrite(bytes));
            refused(&store, &key(3), &record(1, "refused"));
            assert!(bytes_of(&place.files()[0]) == before, "what was written is cut off again");
            assert_eq!(store.inner.usage.held(), usage);
        }
        store.inner.journal.fail_next(Fault::ShortWrite(30));
        assert!(store.remove(&key(1)).is_err());
        assert!(store.load(&key(1), NOW).unwrap().is_some());
        create(&store, &key(3), &record(1, "saved"));
        store.close().unwrap();
        assert_eq!(all(&place.store()).len(), 3);
    }
}

/// What cannot be cut off ends its segment, and the next one says where it counts to.
#[test]
fn a_torn_write_that_stays_harms_no_later_save() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "kept"));
    store.inner.journal.fail_next(Fault::TornWrite(80));
    in_doubt(&store, &key(2), &record(1, vec![b'x'; 100]));
    create(&store, &key(3), &record(1, "saved"));
    replace(&store, &key(1), &record(2, "changed"));
    assert_eq!(place.files().len(), 2);
    store.close().unwrap();
    let store = place.store();
    assert_eq!(all(&store).len(), 2);
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(2, "changed")));
    assert!(!store.inner.journal.needs_rewrite(), "it was known, so it is no damage");
}

/// Written as a whole, called a failure by the disk, and killed before it could be cut off: it is
/// there after a restart, so nobody may say that it was refused.
#[test]
fn a_save_that_could_not_be_cut_off_is_in_doubt() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "kept"));
    store.inner.journal.fail_next(Fault::TornWrite(usize::MAX));
    in_doubt(&store, &key(2), &record(1, "perhaps"));
    store.close().unwrap();
    assert_eq!(place.store().load(&key(2), NOW).unwrap(), Some(record(1, "perhaps")));
}

/// After a failed sync nobody knows what the disk holds: all is written anew from memory.
#[test]
fn a_failed_sync_is_told_and_everything_written_anew() {
    let place = Place::new();
    let fsync = Fsync::Always;
    let store = TableStore::open(TableOptions { fsync, ..place.options() }).unwrap();
    create(&store, &key(1), &record(1, "one"));
    store.inner.journal.fail_next(Fault::Sync);
    let result = store.swap(&key(2), Expected::Absent, &record(1, "two"), NOW);
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    // Unknown to the caller; what memory says and what a restart would say agree.
    assert_eq!(store.load(&key(2), NOW).unwrap(), Some(record(1, "two")));
    assert!(store.inner.journal.needs_rewrite());
    create(&store, &key(3), &record(1, "three"));
    while place.files().iter().all(|path| path.extension().unwrap() != "snap") {
        store.maintain().unwrap();
        std::thread::yield_now();
    }
    store.close().unwrap();
    let left = place.files();
    assert_eq!(left.len(), 2, "the doubtful segment is gone: {left:?}");
    assert_eq!(all(&place.store()).len(), 3);
}

/// A mount needs rights that a test seldom has; without them this test shows nothing.
struct SmallDisk<'a>(&'a Place);

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Place) -> Option<Self> {
        disk::create_dir(&place.dir(), false).unwrap();
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"])
            .arg(place.dir())
            .stderr(std::process::Stdio::null())
            .status();
        done.is_ok_and(|status| status.success()).then_some(Self(place))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.dir())
            .stderr(std::process::Stdio::null())
            .status();
    }
}

#[test]
fn a_full_disk_refuses_saves_and_keeps_what_is_there() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(&place) else { return };
    let options = TableOptions { segment_bytes: 32_768, ..place.options() };
    let store = TableStore::open(options.clone()).unwrap();
    let mut created = 0;
    let full = loop {
        match store.swap(&key(created), Expected::Absent, &record(1, vec![3; 5000]), NOW) {
            Ok(_) => created += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Refused(_)), "{full:?}");
    assert!(created > 20);
    for n in 0..20 {
        refused(&store, &key(1000 + n), &record(1, vec![3; 20_000]));
    }
    assert_eq!(all(&store).len(), created as usize, "what is there is served");
    let is_whole = |store: &TableStore| all(store).iter().all(|(_, found)| found.version >= 1);
    assert!(is_whole(&store));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let compacted =
        super::super::compact::compact(&store.inner.map, &store.inner.journal, &stop, &mut |_| ());
    assert!(compacted.is_err(), "no room for a snapshot");
    assert!(place.files().iter().all(|path| path.extension().unwrap() == "seg"));
    store.close().unwrap();
    let store = TableStore::open(options).unwrap();
    assert_eq!(all(&store).len(), created as usize);
    assert!(!store.inner.journal.needs_rewrite());
    let done = std::process::Command::new("mount")
        .args(["-o", "remount,size=4m"])
        .arg(place.dir())
        .status();
    assert!(done.unwrap().success());
    create(&store, &key(5000), &record(1, "room again"));
    compaction::compact(&store, &mut |_| ());
    assert_eq!(all(&store).len(), created as usize + 1);
}
