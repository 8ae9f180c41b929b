//! A process killed at any point of a write leaves the old record or the new one.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::thread;
use std::time::Duration;

use super::super::access::Then;
use super::{NOW, Place, bytes_of, create, key, names, record, replace, write_file};
use crate::session::{Expected, Renewed, SessionStore, Stored, Swap, Touch};

/// Overwrites the file with every prefix of what a write changed, in steps, and looks at each.
fn check_every_cut(old: &Stored, new: &Stored, write: impl Fn(&super::FileStore)) {
    let place = Place::new();
    let store = place.store();
    let key = key(3);
    create(&store, &key, &Stored { version: old.version - 1, ..old.clone() });
    replace(&store, &key, old);
    let file = place.file(&key);
    let before = bytes_of(&file);
    write(&store);
    let after = bytes_of(&file);
    assert_eq!(before.len(), after.len(), "a save in place");
    let changed: Vec<_> = (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
    let (first, last) = (changed[0], changed[changed.len() - 1]);
    let step = ((last - first) / 700).max(1);
    for cut in (first..=last).step_by(step).chain([last, last + 1]) {
        write_file(&file, &[&after[..cut], &before[cut..]].concat());
        let found = store.load(&key, NOW).unwrap();
        let wanted = if cut > last { new } else { old };
        assert!(found.as_ref() == Some(wanted), "cut at {cut} of {first}..={last}");
        // And the next save goes over the torn slot, not over the valid one.
        if cut % (step * 50) == first % (step * 50) {
            let next = record(wanted.version + 1, "after the crash");
            replace(&store, &key, &next);
            assert!(store.load(&key, NOW).unwrap() == Some(next), "saved after cut at {cut}");
        }
    }
    assert_eq!(place.quarantined(), 0, "a torn slot is no damaged file");
}

#[test]
fn a_save_cut_anywhere_leaves_the_old_record() {
    for size in [0, 1, 300, 424, 3000, 9000, 40_000] {
        let old = record(5, vec![0xaa; size]);
        let new = record(6, vec![0x55; size]);
        check_every_cut(&old, &new, |store| replace(store, &key(3), &new));
    }
}

#[test]
fn a_touch_cut_anywhere_leaves_the_old_times() {
    for size in [10, 3000, 9000] {
        let old = record(5, vec![0xaa; size]);
        let new = Stored { deadline: old.deadline + Duration::from_secs(1), ..old.clone() };
        let Stored { deadline, last_seen, .. } = new;
        let renewed = Renewed { deadline, last_seen, evictable: true };
        check_every_cut(&old, &new, |store| {
            assert_eq!(store.touch(&key(3), 5, renewed, NOW).unwrap(), Touch::Done);
        });
    }
}

/// A creation is one write of the whole file; the kernel may cut it at any page, and a power loss
/// may leave the name without the bytes.
#[test]
fn a_creation_cut_anywhere_is_no_record_and_blocks_no_other() {
    for size in [10, 3000, 20_000] {
        let place = Place::new();
        let store = place.store();
        let key = key(4);
        create(&store, &key, &record(1, vec![1; size]));
        let whole = bytes_of(&place.file(&key));
        for cut in (0..whole.len()).step_by(4096) {
            for act in 0..4 {
                write_file(&place.file(&key), &whole[..cut]);
                match act {
                    0 => assert_eq!(store.load(&key, NOW).unwrap(), None, "cut at {cut}"),
                    1 => assert!(!store.remove(&key).unwrap(), "cut at {cut}"),
                    2 => {
                        let next = store.swap(&key, Expected::Version(1), &record(2, "x"), NOW);
                        assert_eq!(next.unwrap(), Swap::Missing, "cut at {cut}");
                    }
                    _ => {
                        let swept = store.sweep(NOW, 1000).unwrap();
                        assert!(swept.finished && swept.removed == 0);
                    }
                }
                assert!(!place.file(&key).exists(), "cut at {cut}: nothing is left");
                create(&store, &key, &record(9, "again"));
                assert!(store.remove(&key).unwrap());
            }
        }
        assert_eq!(place.quarantined(), 0, "an unfinished creation is no damage");
    }
}

#[test]
fn a_growth_that_stopped_before_its_rename_changes_nothing_and_is_swept() {
    let place = Place::new();
    let store = place.store();
    let key = key(5);
    let old = record(1, "small");
    create(&store, &key, &old);
    let left = place.file(&key).with_file_name(".tmp-00000000deadbeef");
    write_file(&left, &vec![7; 9000]);
    assert_eq!(store.load(&key, NOW).unwrap(), Some(old.clone()));
    let _ = store.sweep(NOW, 1000).unwrap();
    assert!(left.exists(), "it may be at work still");
    let old_time = std::time::SystemTime::now() - Duration::from_secs(61);
    OpenOptions::new().write(true).open(&left).unwrap().set_modified(old_time).unwrap();
    let _ = store.sweep(NOW, 1000).unwrap();
    assert!(!left.exists(), "left by a crash");
    assert_eq!(store.load(&key, NOW).unwrap(), Some(old));
}

#[test]
fn a_file_grows_by_a_new_one_and_never_shrinks() {
    let place = Place::new();
    let store = place.store();
    let key = key(6);
    let size = |place: &Place| fs::metadata(place.file(&key)).unwrap().size();
    create(&store, &key, &record(1, "x"));
    assert_eq!(size(&place), 1024);
    replace(&store, &key, &record(2, vec![2; 5000]));
    assert_eq!(size(&place), 16_384);
    replace(&store, &key, &record(3, vec![3; 8105]));
    assert_eq!(size(&place), 32_768, "doubled, with room for the next");
    replace(&store, &key, &record(4, "y"));
    assert_eq!(size(&place), 32_768);
    assert_eq!(store.load(&key, NOW).unwrap(), Some(record(4, "y")));
    let files = names(&place.dir()).into_iter().filter(|path| path.is_file()).count();
    assert_eq!(files, 1, "no temporary file is left");
}

/// Another process is played by a second store: each call opens its own file and lock.
#[test]
fn two_stores_on_one_directory_lose_no_increment_while_records_grow() {
    let place = Place::new();
    let (first, second) = (place.store(), place.store());
    let key = key(7);
    create(&first, &key, &record(0, 0_u64.to_le_bytes()));
    let bump = |store: &super::FileStore| {
        loop {
            let found = store.load(&key, NOW).unwrap().unwrap();
            let count = u64::from_le_bytes(*found.bytes.first_chunk().unwrap()) + 1;
            let mut bytes = vec![0; 8 + usize::try_from(count).unwrap() * 40];
            bytes[..8].copy_from_slice(&count.to_le_bytes());
            let next = record(found.version + 1, bytes);
            let swapped = store.swap(&key, Expected::Version(found.version), &next, NOW).unwrap();
            match swapped {
                Swap::Done => break,
                Swap::Conflict => {}
                Swap::Missing => panic!("a growing record is never missing"),
            }
        }
    };
    thread::scope(|scope| {
        for store in [&first, &second, &first, &second] {
            scope.spawn(move || (0..100).for_each(|_| bump(store)));
        }
    });
    let found = first.load(&key, NOW).unwrap().unwrap();
    assert_eq!((found.version, &found.bytes[..8]), (400, &400_u64.to_le_bytes()[..]));
}

/// What only a reader without the lock can see: an invalid slot that a writer is just filling,
/// while the other one, already copied, has been written anew.
#[test]
fn a_torn_slot_is_believed_only_when_it_is_seen_twice() {
    let place = Place::new();
    let store = place.store();
    let key = key(8);
    create(&store, &key, &record(1, "one"));
    replace(&store, &key, &record(2, "two"));
    let file = OpenOptions::new().write(true).open(place.file(&key)).unwrap();
    file.write_all_at(b"torn", 512 + 8).unwrap();
    let seen = store.read_unlocked(&key, Then::Close).unwrap().unwrap();
    let super::super::contents::Read::Record(seen) = seen else { panic!("one slot is valid") };
    assert!(!seen.is_settled(), "an invalid slot may be a write under way");
    assert_eq!(store.load(&key, NOW).unwrap(), Some(record(1, "one")), "or an old crash");
}
