//! What fails before anything is written is refused; what fails after it is unknown.

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use super::{FileStore, FileStoreOptions, NOW, Place, create, disk, key, record, write_file};
use crate::session::stores::Fsync;
use crate::session::{Expected, Renewed, SessionStore, StoreError, Swap};

/// Names the directory, and makes the test below become the process that has no descriptors left.
const STARVED: &str = "MAYPOLE_TEST_FILE_STARVED";

/// The name of the test, for the test binary that is started again.
const TEST: &str = "session::stores::file::tests::refusals::without_a_descriptor_nothing_is_done";

#[track_caller]
fn is_refused<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::Refused(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let place = Place::new();
    create(&place.store(), &key(1), &record(1, "x"));
    let store = place.store();
    let shard = place.file(&key(1)).parent().unwrap().to_owned();
    let away = place.dir().join("away");
    disk::rename(&shard, &away).unwrap();
    write_file(&shard, b"no directory");
    for expected in [Expected::Version(1), Expected::Absent] {
        is_refused(store.swap(&key(1), expected, &record(2, "y"), NOW));
    }
    let renewed = Renewed { deadline: record(1, "").deadline, last_seen: NOW, evictable: false };
    is_refused(store.touch(&key(1), 1, renewed, NOW));
    assert!(store.load(&key(1), NOW).is_err(), "not absent");
    super::unlink(&shard);
    disk::rename(&away, &shard).unwrap();
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1, "x")));
}

/// Opens files until there are no more descriptors.
fn fill(taken: &mut Vec<File>) {
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
}

fn starve(dir: &Path) {
    let options =
        FileStoreOptions { fsync: Fsync::Always, max_open_files: 0, ..FileStoreOptions::new(dir) };
    let store = FileStore::open(options).unwrap();
    create(&store, &key(1), &record(1, "x"));
    // So that the sub-directory is there.
    create(&store, &key(2), &record(1, "x"));
    store.remove(&key(2)).unwrap();
    let process = std::process::id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &process, "--nofile=64:64"]).status();
    assert!(limited.unwrap().success());

    let mut taken = Vec::new();
    fill(&mut taken);
    is_refused(store.swap(&key(1), Expected::Version(1), &record(2, "y"), NOW));
    is_refused(store.swap(&key(2), Expected::Absent, &record(1, "y"), NOW));
    // One for the file, none to sync the directory: the record is there, and nobody may deny it.
    taken.pop();
    let unknown = store.swap(&key(2), Expected::Absent, &record(1, "y"), NOW);
    assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
    // Growing needs two: of the new file nothing may be left.
    is_refused(store.swap(&key(1), Expected::Version(1), &record(2, vec![9; 9000]), NOW));
    drop(taken);
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1, "x")));
    assert_eq!(store.load(&key(2), NOW).unwrap(), Some(record(1, "y")));
    let saved = store.swap(&key(1), Expected::Version(1), &record(2, "y"), NOW);
    assert_eq!(saved.unwrap(), Swap::Done);
}

#[test]
fn without_a_descriptor_nothing_is_done() {
    if let Some(dir) = env::var_os(STARVED) {
        return starve(Path::new(&dir));
    }
    let place = Place::new();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(STARVED, place.dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}
