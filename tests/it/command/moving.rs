//! Sessions on their way between stores: every cookie goes on working, and nothing comes back that
//! has ended.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Place, stop, visitor};
use crate::support::{PATIENCE, TempDir, wait_until};

/// Exports from one place into another.
fn carry(from: &Place, to: &Place, file: &Path, more: &[&str]) -> String {
    std::fs::remove_file(file).ok();
    let file = file.to_str().expect("UTF-8");
    let said = from.session(&["export", file]);
    assert!(said.err.contains("as private as the store"), "{}", said.err);
    to.session(&[&["import", file], more].concat()).out
}

fn scratch() -> (TempDir, PathBuf) {
    let directory = TempDir::new();
    let file = directory.path().join("sessions.export");
    (directory, file)
}

#[test]
fn cookies_go_on_from_file_to_table_and_back() {
    let (first, second, third) = (Place::new("file"), Place::new("table"), Place::new("file"));
    let (_scratch, file) = scratch();
    let server = first.server();
    let (mut guest, mut ada) = (visitor(&server, 5, None), visitor(&server, 3, Some("ada")));
    let mut late = ada.clone();
    assert_eq!(ada.get("/rotate").status, 204);
    assert_ne!(ada.session(), late.session());
    stop(server);
    assert_eq!(carry(&first, &second, &file, &[]), "5 added\n");
    let mode = std::fs::metadata(&file).expect("the export").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(&file).expect("the export");
    for id in [guest.session(), ada.session(), late.session()].into_iter().flatten() {
        assert!(!bytes.windows(id.len()).any(|window| window == id.as_bytes()), "an id");
    }

    let server = second.server();
    (guest, ada, late) = (guest.at(server.addr), ada.at(server.addr), late.at(server.addr));
    assert_eq!(guest.get("/count").text(), "6");
    assert_eq!(ada.get("/user").text(), "ada");
    assert_eq!(late.get("/count").text(), "4", "the rotated id leads on within its grace time");
    assert_eq!(late.session(), ada.session());
    // Onward while the server runs, into a place where another one runs.
    let other = third.server();
    assert_eq!(carry(&second, &third, &file, &[]), "5 added\n");
    (guest, ada) = (guest.at(other.addr), ada.at(other.addr));
    assert_eq!(guest.get("/count").text(), "7");
    assert_eq!([ada.get("/user").text(), ada.get("/count").text()], ["ada", "5"]);
    let said = third.session(&["revoke", "--user", "ada"]).out;
    assert!(said.contains("(1 were listed)"), "the index came along: {said}");
    assert_eq!(ada.get("/user").text(), "nobody");
    drop(server);
}

#[test]
fn deadlines_stay_and_the_expired_stay_behind() {
    let (first, second) = (Place::new("file"), Place::new("table"));
    let first = first.with("MAYPOLE_SESSION_IDLE_TIMEOUT", "8s");
    let (_scratch, file) = scratch();
    let server = first.server();
    visitor(&server, 1, None);
    let deadline = first.list(&[])[0]["deadline_secs"].clone();
    assert_eq!(carry(&first, &second, &file, &[]), "1 added\n");
    assert_eq!(second.list(&[])[0]["deadline_secs"], deadline);
    wait_until("it has expired", PATIENCE, || second.list(&[]).is_empty());
    let said = second.session(&["import", file.to_str().expect("UTF-8")]).out;
    assert_eq!(said, "1 have expired\n");
    assert_eq!(second.list(&[]).len(), 0);
}

/// Into a full store come those whom no quota would send away.
#[test]
fn a_full_store_leaves_only_newcomers_out() {
    for backend in ["file", "table"] {
        let from = Place::new("file");
        let full = Place::new(backend).with("MAYPOLE_SESSION_MAX_SESSIONS", "2");
        let (_scratch, file) = scratch();
        let server = from.server();
        let newcomers = [(); 3].map(|()| visitor(&server, 1, None));
        let (mut regular, mut ada) = (visitor(&server, 2, None), visitor(&server, 1, Some("ada")));
        stop(server);
        let server = full.server();
        let mut there = [(); 2].map(|()| visitor(&server, 2, None));
        // Ada's session, the id before her login, her index.
        let expected = "4 added\n3 left out: anonymous, seen once, and the store is full\n";
        assert_eq!(carry(&from, &full, &file, &[]), expected, "{backend}");
        (regular, ada) = (regular.at(server.addr), ada.at(server.addr));
        assert_eq!(regular.get("/count").text(), "3");
        assert_eq!([ada.get("/user").text(), ada.get("/count").text()], ["ada", "2"]);
        for newcomer in newcomers {
            assert_eq!(newcomer.at(server.addr).get("/read").text(), "0");
        }
        for there in &mut there {
            assert_eq!(there.get("/count").text(), "3", "nobody made room");
        }
    }
}

#[test]
fn an_import_never_undoes_what_came_after_the_export() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        let (_scratch, file) = scratch();
        let path = file.to_str().expect("UTF-8");
        let server = place.server();
        let mut goes_on = visitor(&server, 1, None);
        let mut ends = visitor(&server, 2, None);
        let mut bob = visitor(&server, 3, Some("bob"));
        place.session(&["export", path]);
        goes_on.get("/count");
        let key = key_of(&place, &mut ends);
        place.session(&["revoke", &key]);
        place.session(&["revoke", "--user", "bob"]);
        for more in [&[][..], &["--replace"]] {
            let said = place.session(&[&["import", path], more].concat()).out;
            assert!(said.contains("1 have ended here"), "{said}");
            assert_eq!(ends.get("/read").text(), "0", "{backend} {more:?}");
            assert_eq!(bob.get("/user").text(), "nobody", "{backend} {more:?}");
            let expected = if more.is_empty() { "2" } else { "1" };
            assert_eq!(goes_on.get("/read").text(), expected, "{backend} {more:?}: {said}");
        }
    }
}

/// The key of a visitor's session: the one that changes when the visitor counts.
fn key_of(place: &Place, browser: &mut crate::support::Browser) -> String {
    let before = place.list(&[]);
    browser.get("/count");
    let after = place.list(&[]);
    let changed = after.iter().find(|record| !before.contains(record));
    changed.and_then(|record| record["key"].as_str()).expect("a record that changed").to_owned()
}

#[test]
fn a_later_state_is_brought_forward_and_revocations_travel() {
    let (first, second) = (Place::new("file"), Place::new("table"));
    let (_scratch, file) = scratch();
    let server = first.server();
    let (mut guest, bob) = (visitor(&server, 1, None), visitor(&server, 1, Some("bob")));
    carry(&first, &second, &file, &[]);
    guest.get("/count");
    first.session(&["revoke", "--user", "bob"]);
    let said = carry(&first, &second, &file, &[]);
    assert!(said.contains("1 updated") && said.contains("1 added"), "{said}");
    let server = second.server();
    assert_eq!(guest.at(server.addr).get("/read").text(), "2");
    assert_eq!(bob.at(server.addr).get("/user").text(), "nobody");
}

#[test]
fn a_file_that_is_not_whole_or_not_ours_changes_nothing() {
    let (first, second) = (Place::new("file"), Place::new("file"));
    let (scratch, file) = scratch();
    let path = file.to_str().expect("UTF-8");
    let server = first.server();
    for _ in 0..3 {
        visitor(&server, 1, None);
    }
    first.session(&["export", path]);
    let again = first.run(&["session", "export", path]);
    assert_eq!(again.code, Some(1), "it is never written over: {}", again.err);
    let whole = std::fs::read(&file).expect("the export");
    let odd = scratch.path().join("odd");
    let odd_path = odd.to_str().expect("UTF-8");
    let mut files = vec![b"no CBOR".to_vec(), [&whole[..], b"x"].concat(), whole[60..].to_vec()];
    // One bit of a key would make a session look like another one's later id.
    files.extend((0..whole.len()).step_by(29).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    }));
    files.extend((0..whole.len()).step_by(23).map(|end| whole[..end].to_vec()));
    for bytes in files {
        std::fs::write(&odd, &bytes).expect("a file");
        let said = second.run(&["session", "import", odd_path]);
        assert_eq!(said.code, Some(1), "{} bytes: {said:?}", bytes.len());
    }
    let stranger = Place::new("file").with("MAYPOLE_APP_NAME", "shop");
    let said = stranger.run(&["session", "import", path]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("[app] name is \"shop\""), "{}", said.err);
    assert_eq!((second.list(&[]).len(), stranger.list(&[]).len()), (0, 0));
    assert_eq!(second.session(&["import", path]).out, "3 added\n");
    assert_eq!(second.session(&["import", path]).out, "3 were there already\n");
}

/// Forgets what the old id of a session left, as a minute would.
fn forget_rotated(place: &Place) {
    use maypole::session::stores::{FileStore, FileStoreOptions};
    use maypole::session::{SessionStore, StoreKey};

    let store = FileStore::open(FileStoreOptions::new(place.store())).expect("the store");
    let mut forgotten = 0;
    for record in place.list(&[]) {
        if record["kind"] == "rotated id" {
            let key = record["key"].as_str().and_then(StoreKey::from_hex).expect("a key");
            assert!(store.remove(&key).expect("an answer"));
            forgotten += 1;
        }
    }
    assert_eq!(forgotten, 1);
}

#[test]
fn an_old_id_never_lives_beside_the_new_one() {
    let (first, second) = (Place::new("file"), Place::new("file"));
    let (_scratch, file) = scratch();
    let (_other_scratch, later) = scratch();
    let server = first.server();
    let mut ada = visitor(&server, 3, None);
    let mut old = ada.clone();
    carry(&first, &second, &file, &[]);
    ada.get("/rotate");
    forget_rotated(&first);

    // The old id comes back to where the session has a new one.
    for more in [&[][..], &["--replace"]] {
        let words = [&["import", file.to_str().expect("UTF-8")], more].concat();
        let said = first.session(&words).out;
        assert!(said.starts_with("1 old ids") && !said.contains("added"), "{said}");
        assert_eq!([old.get("/read").text(), ada.get("/read").text()], ["0", "3"]);
    }

    // The new id comes to where the session lives under the old one.
    let said = carry(&first, &second, &later, &[]);
    assert!(said.contains("1 added") && said.contains("1 old ids"), "{said}");
    let server = second.server();
    (old, ada) = (old.at(server.addr), ada.at(server.addr));
    assert_eq!([old.get("/read").text(), ada.get("/read").text()], ["0", "3"]);
}
