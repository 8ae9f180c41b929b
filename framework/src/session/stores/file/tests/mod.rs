//! The file store against the contract, against crashes, and against what else may lie in its
//! directory.

mod descriptors;
mod directory;
mod foreign;
mod quotas;
mod refusals;
mod slots;
mod torn;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{FileStore, FileStoreOptions, disk};
use crate::session::{Expected, SessionStore, StoreKey, Stored, Swap};
use crate::testing::{store_conformance, store_quota_conformance};

/// A directory of its own for one test, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("maypole-file-store-{:016x}", getrandom::u64().unwrap());
        let path = std::env::temp_dir().join(name);
        disk::create_dir(&path, false).unwrap();
        Self(path)
    }

    fn dir(&self) -> PathBuf {
        self.0.join("sessions")
    }

    fn options(&self) -> FileStoreOptions {
        FileStoreOptions::new(self.dir())
    }

    fn store(&self) -> FileStore {
        FileStore::open(self.options()).unwrap()
    }

    /// The file of a key.
    fn file(&self, key: &StoreKey) -> PathBuf {
        let hex = key.to_string();
        self.dir().join(&hex[..2]).join(hex)
    }

    fn quarantined(&self) -> usize {
        disk::entries(&self.dir().join("quarantine")).unwrap().map_or(0, Iterator::count)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NOW: SystemTime = UNIX_EPOCH;

/// A key in the sub-directory `first`.
fn key(first: u8) -> StoreKey {
    let mut bytes = [0x5a; 32];
    bytes[0] = first;
    StoreKey::from_bytes(bytes)
}

fn record(version: u64, bytes: impl Into<Vec<u8>>) -> Stored {
    Stored {
        bytes: bytes.into(),
        version,
        deadline: NOW + Duration::from_secs(3600),
        last_seen: NOW,
        evictable: false,
    }
}

fn create(store: &FileStore, key: &StoreKey, record: &Stored) {
    assert_eq!(store.swap(key, Expected::Absent, record, NOW).unwrap(), Swap::Done);
}

fn replace(store: &FileStore, key: &StoreKey, record: &Stored) {
    let expected = Expected::Version(record.version - 1);
    assert_eq!(store.swap(key, expected, record, NOW).unwrap(), Swap::Done);
}

/// The names of everything below a directory, directories too.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for entry in disk::entries(dir).unwrap().into_iter().flatten() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            names.extend(self::names(&path));
        }
        names.push(path);
    }
    names
}

fn bytes_of(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn write_file(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

fn unlink(path: &Path) {
    assert!(disk::unlink(path).unwrap());
}

#[test]
fn keeps_the_contract_in_every_fsync_mode() {
    for fsync in [super::Fsync::Never, super::Fsync::Interval] {
        let place = Place::new();
        let count = std::sync::atomic::AtomicUsize::new(0);
        store_conformance(|| {
            let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let dir = place.0.join(n.to_string());
            FileStore::open(FileStoreOptions { fsync, ..FileStoreOptions::new(dir) }).unwrap()
        });
    }
}

#[test]
fn keeps_the_contract_of_quotas() {
    let place = Place::new();
    let count = std::sync::atomic::AtomicUsize::new(0);
    store_quota_conformance(64, || {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let options = FileStoreOptions::new(place.0.join(n.to_string()));
        FileStore::open(FileStoreOptions { max_sessions: 64, ..options }).unwrap()
    });
}
