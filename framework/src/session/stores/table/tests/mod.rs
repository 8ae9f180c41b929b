//! The table store against the contract, against crashes of every kind, and against a model
//! checker.

mod compaction;
mod faults;
mod frames;
mod kill;
mod model;
mod order;
mod quotas;
mod replay;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::{Fsync, disk};
use super::{TableOptions, TableStore};
use crate::ErrorKind;
use crate::session::{Expected, SessionStore, StoreKey, Stored, Swap};
use crate::testing::{store_conformance, store_quota_conformance};

/// A directory of its own for one test, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> Self {
        let name = format!("maypole-table-store-{:016x}", getrandom::u64().unwrap());
        let path = parent.join(name);
        disk::create_dir(&path, false).unwrap();
        Self(path)
    }

    fn dir(&self) -> PathBuf {
        self.0.join("table")
    }

    fn options(&self) -> TableOptions {
        TableOptions::new(self.dir())
    }

    fn store(&self) -> TableStore {
        TableStore::open(self.options()).unwrap()
    }

    /// The files of the journal, by name.
    fn files(&self) -> Vec<PathBuf> {
        files(&self.dir())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NOW: SystemTime = UNIX_EPOCH;
const HOUR: Duration = Duration::from_secs(3600);

fn files(dir: &Path) -> Vec<PathBuf> {
    let paths = disk::entries(dir).unwrap().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some()).collect();
    files.sort();
    files
}

fn key(number: u32) -> StoreKey {
    let mut bytes = [0x5a; 32];
    // In all shards, and with hashes of their own.
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    bytes[8..12].copy_from_slice(&number.wrapping_mul(0x85eb_ca6b).to_le_bytes());
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

fn record(version: u64, bytes: impl Into<Vec<u8>>) -> Stored {
    Stored { bytes: bytes.into(), version, deadline: NOW + HOUR, last_seen: NOW, evictable: false }
}

fn create(store: &TableStore, key: &StoreKey, record: &Stored) {
    assert_eq!(store.swap(key, Expected::Absent, record, NOW).unwrap(), Swap::Done);
}

fn replace(store: &TableStore, key: &StoreKey, record: &Stored) {
    let expected = Expected::Version(record.version - 1);
    assert_eq!(store.swap(key, expected, record, NOW).unwrap(), Swap::Done);
}

fn bytes_of(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn write_file(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// The files of a journal in another directory, as a crash at this moment would leave them.
fn copy(from: &Path, to: &Place) {
    disk::create_dir(&to.dir(), false).unwrap();
    for file in files(from) {
        write_file(&to.dir().join(file.file_name().unwrap()), &bytes_of(&file));
    }
}

fn all(store: &TableStore) -> Vec<(StoreKey, Stored)> {
    store.list(None, usize::MAX, NOW).unwrap()
}

fn conformance(place: &Place, options: impl Fn(TableOptions) -> TableOptions) {
    let count = AtomicUsize::new(0);
    store_conformance(|| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let dir = place.0.join(n.to_string());
        TableStore::open(options(TableOptions::new(dir))).unwrap()
    });
}

#[test]
fn keeps_the_contract() {
    for fsync in [Fsync::Never, Fsync::Interval] {
        conformance(&Place::new(), |options| TableOptions { fsync, ..options });
    }
}

/// Every save goes through the journal's thread, and through many segments.
#[test]
fn keeps_the_contract_on_a_disk_that_stalls() {
    let stall_bound = Duration::ZERO;
    conformance(&Place::new(), |options| TableOptions {
        stall_bound,
        segment_bytes: 4096,
        ..options
    });
}

#[test]
fn keeps_the_contract_when_each_save_is_synced() {
    // In memory where there is such a place: this is about the way of the calls, not the disk.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { Place::below(memory) } else { Place::new() };
    conformance(&place, |options| TableOptions { fsync: Fsync::Always, ..options });
}

#[test]
fn keeps_the_contract_of_quotas() {
    let (place, count) = (Place::new(), AtomicUsize::new(0));
    store_quota_conformance(64, || {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let options = TableOptions::new(place.0.join(n.to_string()));
        TableStore::open(TableOptions { max_sessions: 64, ..options }).unwrap()
    });
}

#[test]
fn coroutines_use_it_as_it_is() {
    let place = Place::new();
    let store = std::sync::Arc::new(place.store());
    create(&store, &key(1), &record(0, "0"));
    let count = |store: &TableStore| {
        for _ in 0..100 {
            loop {
                let found = store.load(&key(1), NOW).unwrap().unwrap();
                let next = record(found.version + 1, (found.version + 1).to_string());
                let expected = Expected::Version(found.version);
                if store.swap(&key(1), expected, &next, NOW).unwrap() == Swap::Done {
                    break;
                }
            }
        }
    };
    let spawn = |_| {
        let store = std::sync::Arc::clone(&store);
        crate::runtime::spawn(move || count(&store)).unwrap()
    };
    let children: Vec<_> = (0..16).map(spawn).collect();
    children.into_iter().for_each(|child| child.join().unwrap());
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1600, "1600")));
}

#[test]
fn everything_it_creates_is_ours_alone() {
    use std::os::unix::fs::MetadataExt;

    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    compaction::compact(&store, &mut |_| ());
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&place.dir()), 0o700);
    for entry in disk::entries(&place.dir()).unwrap().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_directory_that_is_not_private_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    drop(place.store());
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = TableStore::open(place.options()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Start);
    assert!(refused.chain().contains("open to other users"), "{refused:?}");
    let public_roots = vec![place.0.clone()];
    let public = TableOptions { public_roots, ..TableOptions::new(place.0.join("new")) };
    assert!(TableStore::open(public).unwrap_err().chain().contains("is public"));
}

#[test]
fn a_second_owner_is_refused_and_told_who_is_the_first() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    let refused = TableStore::open(place.options()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Start);
    let owner = format!("in use by process {};", std::process::id());
    assert!(refused.chain().contains(&owner), "{refused:?}");
    store.close().unwrap();
    let after = store.swap(&key(2), Expected::Absent, &record(1, "x"), NOW);
    assert!(after.is_err(), "a closed store saves nothing");
    let next = place.store();
    assert_eq!(next.load(&key(1), NOW).unwrap(), Some(record(1, "x")));
    assert_eq!(next.load(&key(2), NOW).unwrap(), None);
}

#[test]
fn its_threads_end_when_it_is_dropped() {
    let place = Place::new();
    let store = place.store();
    let journal = std::sync::Arc::downgrade(&store.inner.journal);
    drop(store);
    // Within no given time, so it is waited for; the test would hang otherwise.
    while journal.strong_count() > 0 {
        std::thread::yield_now();
    }
    drop(place.store());
}

#[test]
fn a_journal_deleted_while_in_use_is_written_again() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "before"));
    fs::remove_dir_all(place.dir()).unwrap();
    create(&store, &key(2), &record(1, "meanwhile"));
    store.maintain().unwrap();
    while place.files().iter().all(|path| path.extension().unwrap() != "snap") {
        store.maintain().unwrap();
        std::thread::yield_now();
    }
    assert!(TableStore::open(place.options()).is_err(), "it is still ours");
    store.close().unwrap();
    assert_eq!(all(&place.store()).len(), 2);
}
