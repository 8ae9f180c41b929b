//! What is there again after a start, whatever the journal looks like.

use std::time::Duration;

use super::super::frame::{Frames, HEADER_BYTES};
use super::super::{TableUsage, segment};
use super::{
    HOUR, NOW, Place, TableOptions, all, bytes_of, compaction, create, disk, key, record, replace,
    write_file,
};
use crate::session::{Renewed, SessionStore, Stored, Touch};

#[test]
fn everything_is_there_again() {
    let place = Place::new();
    let store = place.store();
    let (deadline, last_seen) = (NOW + HOUR * 2, NOW + Duration::from_millis(7));
    for n in 0..200 {
        create(
            &store,
            &key(n),
            &Stored { evictable: n % 3 == 0, ..record(1, vec![7; n as usize]) },
        );
        let renewed = Renewed { deadline, last_seen, evictable: n % 4 == 0 };
        if n % 9 == 0 {
            let _ = store.touch(&key(n), 1, renewed, NOW).unwrap();
        }
        if n % 2 == 0 {
            replace(&store, &key(n), &record(2, "second"));
            assert_eq!(store.touch(&key(n), 2, renewed, NOW).unwrap(), Touch::Done);
            assert_eq!(store.touch(&key(n), 1, renewed, NOW).unwrap(), Touch::Stale);
        }
        if n % 5 == 0 {
            assert!(store.remove(&key(n)).unwrap());
        }
        if n % 10 == 0 {
            create(&store, &key(n), &record(9, "again"));
        }
    }
    let (before, usage) = (all(&store), store.usage());
    store.close().unwrap();
    let store = place.store();
    assert!(all(&store) == before);
    let stalls = 0;
    assert_eq!(TableUsage { stalls, ..store.usage() }, TableUsage { stalls, ..usage });
    assert_eq!(place.files().len(), 1, "the segment is continued");
}

/// The last save, cut at every byte: the saves before it are there, it is there only when whole,
/// and the journal goes on behind the cut.
#[test]
fn a_torn_tail_is_cut_wherever_it_was_torn() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "kept"));
    create(&store, &key(2), &record(1, "old"));
    let whole_before = bytes_of(&place.files()[0]).len();
    // It holds bytes that look like frames of the journal.
    let mut inside = Frames::default();
    inside.remove(&key(1));
    inside.remove(&key(1));
    replace(&store, &key(2), &record(2, inside.0));
    store.close().unwrap();
    let bytes = bytes_of(&place.files()[0]);
    for end in segment::HEADER_BYTES..=bytes.len() {
        let torn = Place::new();
        disk::create_dir(&torn.dir(), false).unwrap();
        write_file(&torn.dir().join("0000000000000001.seg"), &bytes[..end]);
        if end < whole_before {
            drop(torn.store());
            continue;
        }
        let store = torn.store();
        assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1, "kept")), "{end}");
        let second = store.load(&key(2), NOW).unwrap().unwrap().version;
        assert_eq!(second, if end == bytes.len() { 2 } else { 1 }, "{end}");
        replace(&store, &key(2), &record(second + 1, "on"));
        store.close().unwrap();
        let store = torn.store();
        assert_eq!(store.load(&key(2), NOW).unwrap(), Some(record(second + 1, "on")), "{end}");
        assert!(!store.inner.journal.needs_rewrite(), "a torn tail is no damage");
    }
}

#[test]
fn a_segment_cut_in_its_header_never_was() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "kept"));
    store.close().unwrap();
    let header = bytes_of(&place.files()[0])[..segment::HEADER_BYTES].to_vec();
    for end in 0..segment::HEADER_BYTES {
        write_file(&place.dir().join("0000000000000002.seg"), &header[..end]);
        let store = place.store();
        assert_eq!(all(&store), [(key(1), record(1, "kept"))]);
        assert!(!store.inner.journal.needs_rewrite());
        store.close().unwrap();
        let store = place.store();
        assert!(!store.inner.journal.needs_rewrite(), "no segment is missed");
        store.close().unwrap();
    }
}

fn several_segments(place: &Place) -> Vec<std::path::PathBuf> {
    let options = TableOptions { segment_bytes: 2048, ..place.options() };
    let store = super::TableStore::open(options).unwrap();
    for n in 0..40 {
        create(&store, &key(n), &record(1, vec![b'a'; 200]));
    }
    store.close().unwrap();
    let files = place.files();
    assert!(files.len() > 4);
    files
}

/// Whatever byte of an older segment the disk spoils: one save is lost, no other, and the journal
/// is written anew.
#[test]
fn damage_in_the_middle_costs_what_is_damaged_and_nothing_behind_it() {
    let place = Place::new();
    let files = several_segments(&place);
    for (file, lost_at_most) in [(0, 1), (files.len() - 1, 1)] {
        let bytes = bytes_of(&files[file]);
        let frames = (bytes.len() - segment::HEADER_BYTES) / (HEADER_BYTES + 200);
        for at in (segment::HEADER_BYTES..bytes.len() - HEADER_BYTES - 200).step_by(13) {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= 0x55;
            write_file(&files[file], &spoilt);
            let copied = Place::new();
            super::copy(&place.dir(), &copied);
            let store = copied.store();
            let found = all(&store).len();
            assert_eq!(found, 40 - lost_at_most, "of {frames} frames, byte {at} of file {file}");
            assert!(store.inner.journal.needs_rewrite());
            create(&store, &key(100), &record(1, "new"));
            compaction::compact(&store, &mut |_| ());
            let before = all(&store);
            store.close().unwrap();
            let store = copied.store();
            assert!(all(&store) == before);
            assert!(!store.inner.journal.needs_rewrite(), "the damage is gone");
        }
        write_file(&files[file], &bytes);
    }
}

#[test]
fn a_damaged_header_or_a_missing_segment_costs_that_segment() {
    let place = Place::new();
    let files = several_segments(&place);
    let bytes = bytes_of(&files[1]);
    let frames = (bytes.len() - segment::HEADER_BYTES) / (HEADER_BYTES + 200);
    for how in ["damaged", "missing"] {
        let copied = Place::new();
        super::copy(&place.dir(), &copied);
        let path = copied.files()[1].clone();
        if how == "damaged" {
            let mut spoilt = bytes.clone();
            spoilt[25] ^= 1;
            write_file(&path, &spoilt);
        } else {
            disk::unlink(&path).unwrap();
        }
        let store = copied.store();
        assert_eq!(all(&store).len(), 40 - frames, "{how}");
        assert!(store.inner.journal.needs_rewrite(), "{how}");
        create(&store, &key(100), &record(1, "new"));
        store.close().unwrap();
        let store = copied.store();
        assert_eq!(all(&store).len(), 41 - frames, "{how}");
    }
}

#[test]
fn a_zeroed_end_is_a_torn_tail() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "kept"));
    store.close().unwrap();
    let path = place.files()[0].clone();
    let mut bytes = bytes_of(&path);
    bytes.resize(bytes.len() + 9000, 0);
    write_file(&path, &bytes);
    let store = place.store();
    assert_eq!(all(&store), [(key(1), record(1, "kept"))]);
    assert!(!store.inner.journal.needs_rewrite());
    assert_eq!(bytes_of(&path).len(), bytes.len() - 9000);
}

#[test]
fn strangers_in_the_directory_are_left_alone() {
    let place = Place::new();
    drop(place.store());
    for name in ["notes.txt", "1.seg", "000000000000000G.seg", "0000000000000001.seg.bak"] {
        write_file(&place.dir().join(name), b"mine");
    }
    let wait = super::TableStore::open;
    let store = loop {
        // The store before has only just been dropped.
        if let Ok(store) = wait(place.options()) {
            break store;
        }
    };
    compaction::compact(&store, &mut |_| ());
    for name in ["notes.txt", "1.seg", "000000000000000G.seg", "0000000000000001.seg.bak"] {
        assert_eq!(bytes_of(&place.dir().join(name)), b"mine");
    }
}
