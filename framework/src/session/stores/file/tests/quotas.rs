//! Quotas, eviction, counting, and what fsync does.

use std::time::Duration;

use super::{FileStore, FileStoreOptions, NOW, Place, create, key, record, replace};
use crate::session::stores::file::sweep::{self, Looked};
use crate::session::stores::file::usage::{self, NO_VICTIM_TIME};
use crate::session::stores::file::{FileUsage, Fsync};
use crate::session::stores::quota_tests::{self, Counted, is_full, let_in, newcomer, quota_tests};
use crate::session::{Expected, SessionStore, StoreError, Stored};

const HOUR: Duration = Duration::from_secs(3600);

impl quota_tests::Place for Place {
    type Store = FileStore;
    const PAUSE: Duration = NO_VICTIM_TIME;
    /// A block.
    const BYTES_OF_ONE: u64 = 4096;

    fn empty() -> Self {
        Self::new()
    }

    fn small(&self, max_sessions: u64) -> FileStore {
        FileStore::open(FileStoreOptions { max_sessions, ..self.options() }).unwrap()
    }

    fn close(store: FileStore) {
        drop(store);
    }

    fn counted(store: &FileStore) -> Counted {
        let FileUsage { sessions, bytes, evicted } = store.usage();
        Counted { sessions, bytes, evicted }
    }
}

quota_tests! { Place }

#[test]
fn disk_space_is_a_quota_too() {
    let place = Place::new();
    let options = FileStoreOptions { max_total_bytes: 40_960, ..place.options() };
    let store = FileStore::open(options).unwrap();
    create(&store, &key(1), &record(1, "one block"));
    create(&store, &key(2), &record(1, vec![0; 9000]));
    assert_eq!(store.usage().bytes, 4096 + 2 * 12_288);
    assert!(is_full(&store, &key(3), &newcomer(vec![0; 9000])));
    let_in(&store, &key(3));
    replace(&store, &key(1), &record(2, vec![0; 9000]));
    assert!(store.usage().bytes > 40_960, "growth is never refused");
    assert!(is_full(&store, &key(4), &newcomer("one block")));
    create(&store, &key(4), &record(1, vec![0; 9000]));
}

/// What one process does, the other learns from its own sweep.
#[test]
fn a_sweep_sets_the_count_right() {
    let place = Place::new();
    let (ours, theirs) = (place.store(), place.store());
    for n in 0..30 {
        create(&theirs, &key(n), &record(1, vec![0; 5000]));
    }
    assert_eq!(ours.usage(), FileUsage::default());
    assert!(ours.sweep(NOW, 1000).unwrap().finished);
    let counted = FileUsage { sessions: 30, bytes: 30 * 16_384, evicted: 0 };
    assert_eq!(ours.usage(), counted);
    let swept = ours.sweep(NOW + HOUR, 1000).unwrap();
    assert_eq!((swept.removed, swept.finished), (30, true));
    assert_eq!(ours.usage(), FileUsage::default());
    assert!(theirs.sweep(NOW, 1000).unwrap().finished);
    assert_eq!(theirs.usage(), FileUsage::default());
}

#[test]
fn a_pass_syncs_each_dirty_file_once() {
    let place = Place::new();
    let store = place.store();
    assert_eq!(store.sync_interval(), Some(Duration::from_millis(100)));
    create(&store, &key(1), &record(1, "x"));
    for version in 2..10 {
        replace(&store, &key(1), &record(version, vec![0; 9000]));
    }
    create(&store, &key(2), &record(1, "x"));
    create(&store, &key(3), &record(1, "x"));
    assert!(store.remove(&key(3)).unwrap());
    assert_eq!(store.sync_pass().unwrap(), 3);
    assert_eq!(store.sync_pass().unwrap(), 0);
    replace(&store, &key(2), &record(2, "x"));
    assert_eq!(store.sync_pass().unwrap(), 1);
}

#[test]
fn fsync_always_saves_as_well_and_leaves_nothing_to_a_pass() {
    let place = Place::new();
    for (fsync, first) in [(Fsync::Always, 1), (Fsync::Never, 2)] {
        let store = FileStore::open(FileStoreOptions { fsync, ..place.options() }).unwrap();
        create(&store, &key(first), &record(1, "x"));
        replace(&store, &key(first), &record(2, vec![0; 9000]));
        assert_eq!(store.load(&key(first), NOW).unwrap(), Some(record(2, vec![0; 9000])));
        assert_eq!((store.sync_interval(), store.sync_pass().unwrap()), (None, 0));
    }
}

#[test]
fn a_record_beyond_the_largest_slot_is_too_large() {
    let place = Place::new();
    let store = place.store();
    let large = record(1, vec![1; 16 << 20]);
    create(&store, &key(1), &large);
    assert!(store.load(&key(1), NOW).unwrap() == Some(large));
    let larger = record(2, vec![1; (16 << 20) + 1]);
    let refused = store.swap(&key(1), Expected::Version(1), &larger, NOW);
    assert!(matches!(refused, Err(StoreError::TooLarge)), "{refused:?}");
}

/// Between the look without the lock and the lock, its user may have come back.
#[test]
fn what_was_renewed_since_it_was_looked_at_is_neither_swept_nor_evicted() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "renewed"));
    let size = 1024;
    let swept = |now| sweep::remove_expired(&store.directory, &key(1), now).unwrap();
    let evicted = |now| usage::evict_one(&store.directory, &key(1), now).unwrap();
    assert_eq!(swept(NOW), Looked::Kept(size));
    assert_eq!(evicted(NOW), None);
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1, "renewed")));
    assert_eq!(swept(NOW + HOUR), Looked::Removed(size));
    assert_eq!(swept(NOW + HOUR), Looked::Nothing);
    create(&store, &key(1), &Stored { evictable: true, ..record(1, "seen once") });
    assert_eq!(evicted(NOW), Some((size, false)));
    assert_eq!(evicted(NOW), None);
}
