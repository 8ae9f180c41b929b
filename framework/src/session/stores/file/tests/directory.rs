//! Which directories are refused, and what is created in one that is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::{FileStore, FileStoreOptions, NOW, Place, create, key, names, record, replace};
use crate::ErrorKind;
use crate::session::{SessionStore, StoreError};

#[track_caller]
fn check_refused(options: FileStoreOptions, reason: &str) {
    let error = FileStore::open(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Start);
    assert!(error.chain().contains(reason), "{error:?} does not say {reason:?}");
}

#[test]
fn everything_it_creates_is_ours_alone() {
    let place = Place::new();
    let deep = place.0.join("a/b/sessions");
    let store = FileStore::open(FileStoreOptions::new(&deep)).unwrap();
    assert_eq!(store.location(), fs::canonicalize(&deep).unwrap());
    assert_eq!(names(&deep), Vec::<std::path::PathBuf>::new(), "the probe is gone");
    create(&store, &key(1), &record(1, "x"));
    replace(&store, &key(1), &record(2, vec![0; 9000]));
    create(&store, &key(2), &record(1, "x"));
    super::write_file(&deep.join("02").join(key(2).to_string()), b"damaged");
    assert_eq!(store.load(&key(2), NOW).unwrap(), None);
    for path in names(&place.0) {
        let found = fs::symlink_metadata(&path).unwrap();
        let wanted = if found.is_dir() { 0o700 } else { 0o600 };
        if path.to_string_lossy().contains("quarantine/") {
            continue;
        }
        assert_eq!(found.mode() & 0o7777, wanted, "{}", path.display());
    }
}

#[test]
fn directories_others_could_reach_are_refused() {
    let place = Place::new();
    drop(place.store());
    for mode in [0o701, 0o710, 0o750, 0o755, 0o777, 0o1777] {
        fs::set_permissions(place.dir(), Permissions::from_mode(mode)).unwrap();
        check_refused(place.options(), "open to other users");
    }
    fs::set_permissions(place.dir(), Permissions::from_mode(0o700)).unwrap();
    drop(place.store());

    let link = place.0.join("link");
    symlink(place.dir(), &link).unwrap();
    check_refused(FileStoreOptions::new(&link), "symbolic link");
    check_refused(FileStoreOptions::new(place.0.join("link/")), "symbolic link");
    check_refused(FileStoreOptions::new(place.0.join("link/.")), "symbolic link");

    let file = place.0.join("file");
    super::write_file(&file, b"");
    check_refused(FileStoreOptions::new(&file), "is not a directory");
    check_refused(FileStoreOptions::new(file.join("below")), "the directory");
}

#[test]
fn directories_of_another_user_are_refused() {
    let place = Place::new();
    drop(place.store());
    // Only root may give a directory away; without it there is nothing to show here.
    if std::os::unix::fs::chown(place.dir(), Some(12_345), None).is_ok() {
        check_refused(place.options(), "belongs to user 12345");
        assert_eq!(names(&place.dir()), Vec::<std::path::PathBuf>::new(), "nothing is left in it");
    }
}

#[test]
fn directories_the_web_server_gives_out_are_refused() {
    let place = Place::new();
    let public = place.0.join("public");
    let options = |dir: &str| FileStoreOptions {
        public_roots: vec![place.0.join("missing"), public.clone()],
        ..FileStoreOptions::new(place.0.join(dir))
    };
    check_refused(options("public"), "is public");
    check_refused(options("public/deep/sessions"), "is public");
    assert!(!public.exists(), "refused before it is created");
    super::super::disk::create_dir(&public, false).unwrap();
    symlink(&public, place.0.join("alias")).unwrap();
    check_refused(options("alias/sessions"), "is public");
    check_refused(options("sessions/../public/sessions"), "is public");
    FileStore::open(options("public-not")).unwrap();
}

#[test]
fn a_directory_deleted_while_in_use_is_empty_and_comes_back() {
    let place = Place::new();
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    fs::remove_dir_all(place.dir()).unwrap();
    assert_eq!(store.load(&key(1), NOW).unwrap(), None);
    assert!(store.sweep(NOW, 10).unwrap().finished);
    create(&store, &key(1), &record(2, "y"));
    assert_eq!(fs::metadata(place.dir()).unwrap().mode() & 0o777, 0o700);
}

/// A mount needs rights that a test seldom has; without them this test shows nothing.
struct SmallDisk<'a>(&'a Place);

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Place) -> Option<Self> {
        super::super::disk::create_dir(&place.dir(), false).unwrap();
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"])
            .arg(place.dir())
            .stderr(std::process::Stdio::null())
            .status();
        done.is_ok_and(|status| status.success()).then_some(Self(place))
    }

    fn unmount(&self) {
        let _ = std::process::Command::new("umount")
            .arg(self.0.dir())
            .stderr(std::process::Stdio::null())
            .status();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_is_there() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(&place) else { return };
    let store = place.store();
    create(&store, &key(1), &record(1, "small"));
    create(&store, &key(2), &record(1, vec![2; 3000]));
    let filler = place.dir().join("filler");
    let mut created = 0;
    for n in 10.. {
        match store.swap(&key(n), super::Expected::Absent, &record(1, vec![3; 20_000]), NOW) {
            Ok(done) => assert_eq!(done, super::Swap::Done),
            Err(StoreError::Refused(_)) => break,
            Err(other) => panic!("{other}"),
        }
        created += 1;
    }
    let _ = std::process::Command::new("dd")
        .args(["if=/dev/zero", "bs=4096", &format!("of={}", filler.display())])
        .stderr(std::process::Stdio::null())
        .status();
    let refused = |result: Result<super::Swap, StoreError>| {
        assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    };
    let big = record(2, vec![9; 60_000]);
    refused(store.swap(&key(200), super::Expected::Absent, &big, NOW));
    assert_eq!(store.load(&key(200), NOW).unwrap(), None);
    assert!(!place.file(&key(200)).exists(), "no half-written file stays");
    refused(store.swap(&key(1), super::Expected::Version(1), &big, NOW));
    assert_eq!(store.load(&key(1), NOW).unwrap(), Some(record(1, "small")));
    let left = names(&place.dir()).iter().any(|path| path.to_string_lossy().contains(".tmp-"));
    assert!(!left, "no temporary file stays");
    replace(&store, &key(1), &record(2, "saved in place"));
    replace(&store, &key(2), &record(2, vec![4; 3000]));
    super::unlink(&filler);
    assert_eq!(store.usage().sessions, 2 + created, "what was refused is not counted");
    create(&store, &key(200), &record(1, "room again"));
}

#[test]
fn a_disk_that_is_gone_is_unavailable_and_not_empty() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place) else { return };
    let store = place.store();
    create(&store, &key(1), &record(1, "x"));
    disk.unmount();
    let found = store.load(&key(1), NOW);
    assert!(matches!(found, Err(StoreError::Refused(_))), "{found:?}");
    let created = store.swap(&key(1), super::Expected::Absent, &record(1, "x"), NOW);
    assert!(matches!(created, Err(StoreError::Refused(_))), "{created:?}");
    assert_eq!(names(&place.dir()), Vec::<std::path::PathBuf>::new(), "nothing is written beside");
}
