//! What is under the name of a session and is none never breaks a request, and warns once.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use super::{NOW, Place, bytes_of, create, key, record, write_file};
use crate::session::stores::file::slot::{self, Header};
use crate::session::{Expected, Renewed, SessionStore, Swap, Touch};

fn damage(path: &Path, how: &str) {
    let whole = bytes_of(path);
    match how {
        "garbage of the right size" => write_file(path, &[0x5a; 1024]),
        "garbage of another size" => write_file(path, b"not a session at all"),
        "zeros" => write_file(path, &[0; 1024]),
        "cut in the middle" => write_file(path, &whole[..512]),
        "longer" => write_file(path, &[&whole[..], &[0; 7]].concat()),
        "huge" => fs::File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap(),
        "the file of another session" => {
            let stored = record(6, "new");
            let header = Header::of(&stored, 2);
            write_file(path, &slot::encode_file(&key(77), &header, &stored.bytes, 512));
        }
        _ => {
            super::unlink(path);
            let target = path.parent().unwrap().join("target");
            match how {
                "a link to a file" => {
                    write_file(&target, &whole);
                    symlink(&target, path).unwrap();
                }
                "a dangling link" => symlink("nowhere", path).unwrap(),
                "a directory" => {
                    DirBuilder::new().mode(0o700).create(path).unwrap();
                    write_file(&path.join("inside"), b"kept");
                }
                "a pipe" => {
                    assert!(
                        std::process::Command::new("mkfifo").arg(path).status().unwrap().success()
                    );
                }
                other => panic!("unknown damage {other}"),
            }
        }
    }
}

const DAMAGES: [&str; 11] = [
    "garbage of the right size",
    "garbage of another size",
    "zeros",
    "cut in the middle",
    "longer",
    "huge",
    "the file of another session",
    "a link to a file",
    "a dangling link",
    "a directory",
    "a pipe",
];

#[test]
fn damage_is_absence_whatever_is_called_and_the_session_can_start_anew() {
    for how in DAMAGES {
        for act in ["load", "swap absent", "swap version", "touch", "remove"] {
            let place = Place::new();
            let store = place.store();
            let key = key(9);
            let (old, new) = (record(5, "old"), record(6, "new"));
            create(&store, &key, &old);
            super::replace(&store, &key, &new);
            damage(&place.file(&key), how);
            let context = format!("{how}, {act}");
            match act {
                "load" => assert_eq!(store.load(&key, NOW).unwrap(), None, "{context}"),
                "swap absent" => create(&store, &key, &record(8, "fresh")),
                "swap version" => {
                    let swapped = store.swap(&key, Expected::Version(6), &record(7, "x"), NOW);
                    assert_eq!(swapped.unwrap(), Swap::Missing, "{context}");
                }
                "touch" => {
                    let deadline = old.deadline;
                    let renewed = Renewed { deadline, last_seen: NOW, evictable: true };
                    let touched = store.touch(&key, 6, renewed, NOW).unwrap();
                    assert_eq!(touched, Touch::Stale, "{context}");
                }
                _ => assert!(!store.remove(&key).unwrap(), "{context}"),
            }
            assert_eq!(place.quarantined(), 1, "{context}: set aside once");
            let found = store.load(&key, NOW).unwrap();
            let wanted = (act == "swap absent").then(|| record(8, "fresh"));
            assert_eq!(found, wanted, "{context}: it does not come back");
            if found.is_none() {
                create(&store, &key, &record(9, "again"));
            }
            assert_eq!(place.quarantined(), 1, "{context}: and only once");
        }
    }
}

/// Several find the damage at once; one sets it aside, and none of them takes the fresh record,
/// created meanwhile, for the damage it saw.
#[test]
fn parallel_readers_of_damage_set_it_aside_once_and_nothing_else() {
    for how in ["zeros", "a directory", "a dangling link"] {
        for round in 1..=20 {
            let place = Place::new();
            let stores = [place.store(), place.store()];
            let key = key(9);
            create(&stores[0], &key, &record(1, "old"));
            damage(&place.file(&key), how);
            let fresh = record(100, "fresh");
            std::thread::scope(|scope| {
                for store in &stores {
                    let (fresh, key) = (&fresh, &key);
                    scope.spawn(move || {
                        let found = store.load(key, NOW).unwrap();
                        assert!(found.is_none() || found.as_ref() == Some(fresh), "{how}");
                    });
                    scope.spawn(move || {
                        let _ = store.swap(key, Expected::Absent, fresh, NOW).unwrap();
                        assert_eq!(store.load(key, NOW).unwrap().as_ref(), Some(fresh), "{how}");
                    });
                }
            });
            assert_eq!(stores[0].load(&key, NOW).unwrap(), Some(fresh), "{how}, round {round}");
            assert_eq!(place.quarantined(), 1, "{how}, round {round}");
        }
    }
}

#[test]
fn a_directory_in_place_of_a_file_keeps_what_is_in_it() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(9), &record(1, "x"));
    damage(&place.file(&key(9)), "a directory");
    assert_eq!(store.load(&key(9), NOW).unwrap(), None);
    let kept = super::names(&place.dir().join("quarantine"));
    assert!(kept.iter().any(|path| path.ends_with("inside")), "{kept:?}");
}

#[test]
fn sweep_and_list_pass_by_what_is_not_theirs() {
    let place = Place::new();
    let store = place.store();
    for first in [1, 2] {
        create(&store, &key(first), &record(1, "x"));
    }
    let shard = place.file(&key(1)).parent().unwrap().to_owned();
    write_file(&shard.join("README"), b"hello");
    write_file(&shard.join(key(2).to_string()), b"in the wrong directory");
    write_file(&place.dir().join("lost+found"), b"");
    damage(&place.file(&key(2)), "zeros");
    let listed = store.list(None, 10, NOW).unwrap();
    assert_eq!(listed, vec![(key(1), record(1, "x"))]);
    let swept = store.sweep(NOW, 1000).unwrap();
    assert!(swept.finished && swept.removed == 0, "{swept:?}");
    assert!(shard.join("README").exists() && shard.join(key(2).to_string()).exists());
    assert_eq!(place.quarantined(), 1);
}

#[test]
fn the_sweep_sets_damaged_files_aside() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(2), &record(1, "x"));
    damage(&place.file(&key(2)), "garbage of the right size");
    let _ = store.sweep(NOW, 1000).unwrap();
    assert_eq!(place.quarantined(), 1);
    assert!(!place.file(&key(2)).exists());
}

#[test]
fn the_quarantine_is_bounded() {
    let place = Place::new();
    let store = place.store();
    for n in 0..80 {
        create(&store, &key(n), &record(1, "x"));
        damage(&place.file(&key(n)), "zeros");
        assert_eq!(store.load(&key(n), NOW).unwrap(), None);
    }
    assert_eq!(place.quarantined(), 64);
}

#[test]
fn a_file_that_stays_locked_is_unavailable_in_bounded_time_and_others_are_not() {
    let place = Place::new();
    let mut store = place.store();
    store.patience = std::time::Duration::from_millis(5);
    create(&store, &key(1), &record(1, "held"));
    create(&store, &key(2), &record(1, "free"));
    let stopped = fs::File::open(place.file(&key(1))).unwrap();
    stopped.try_lock().unwrap();
    let refused = store.swap(&key(1), Expected::Version(1), &record(2, "x"), NOW);
    assert!(matches!(refused, Err(crate::session::StoreError::Refused(_))), "{refused:?}");
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1, "held")), "readers do not wait");
    super::replace(&store, &key(2), &record(2, "saved"));
    drop(stopped);
    super::replace(&store, &key(1), &record(2, "saved"));
}
