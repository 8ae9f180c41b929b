//! Session files that somebody broke: one visitor loses one session, and no request fails.

use std::path::{Path, PathBuf};

use super::shop;
use crate::support::TestServer;

type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 9] = [
    ("emptied", |path| std::fs::write(path, b"").unwrap()),
    ("a byte", |path| std::fs::write(path, b"x").unwrap()),
    ("foreign text", |path| std::fs::write(path, b"name|s:3:\"ada\";").unwrap()),
    ("zeros", |path| overwrite(path, |bytes| bytes.fill(0))),
    ("ones", |path| overwrite(path, |bytes| bytes.fill(0xff))),
    ("every byte turned", |path| {
        overwrite(path, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x55));
    }),
    ("the second half gone", |path| truncate(path, |length| length / 2)),
    ("all but 20 bytes gone", |path| truncate(path, |_| 20)),
    ("a directory in its place", |path| {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    }),
];

fn overwrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path, length: impl FnOnce(u64) -> u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let now = file.metadata().unwrap().len();
    file.set_len(length(now)).unwrap();
}

/// The files of sessions: named by a hash, in one of 256 directories.
fn records(server: &TestServer) -> Vec<PathBuf> {
    let mut files = server.sessions().files();
    files.retain(|path| path.file_name().is_some_and(|name| name.len() >= 60));
    files
}

#[test]
fn a_broken_file_costs_one_session_and_no_request() {
    for (what, damage) in DAMAGES {
        let server = shop();
        let (mut ada, mut bob) = (server.browser(), server.browser());
        ada.get("/count");
        let of_ada = records(&server);
        assert_eq!(of_ada.len(), 1, "one session, one file");
        bob.get("/count");
        damage(&of_ada[0]);
        let answer = ada.get("/read");
        assert_eq!((answer.status, answer.text().as_str()), (200, "0"), "{what}");
        let answer = ada.get("/count");
        assert_eq!((answer.status, answer.text().as_str()), (200, "1"), "{what}");
        assert_eq!(ada.get("/count").text(), "2", "{what}");
        assert_eq!(bob.get("/count").text(), "2", "{what}");
    }
}

#[test]
fn one_byte_turned_anywhere_never_fails_a_request() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/count");
    browser.get("/count");
    let file = records(&server).remove(0);
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        std::fs::write(&file, &bytes).unwrap();
        let answer = browser.clone().get("/read");
        assert_eq!(answer.status, 200, "byte {at}");
        assert!(matches!(answer.text().as_str(), "0" | "1" | "2"), "byte {at}: {}", answer.text());
    }
}

#[test]
fn a_file_of_another_session_is_not_taken_for_ones_own() {
    let server = shop();
    let (mut ada, mut bob) = (server.browser(), server.browser());
    ada.get("/count");
    let of_ada = records(&server).remove(0);
    bob.get("/login/bob");
    let of_bob = records(&server).into_iter().find(|path| *path != of_ada).expect("a second file");
    std::fs::copy(&of_bob, &of_ada).unwrap();
    let answer = ada.get("/user");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "nobody"),
        "a copied file is a login"
    );
}

#[test]
fn files_that_do_not_belong_there_are_left_alone() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/count");
    let record = records(&server).remove(0);
    let shard = record.parent().expect("a shard");
    for stray in [
        shard.join("README"),
        shard.join(".hidden"),
        server.session_path().join("sessions/notes.txt"),
    ] {
        std::fs::write(&stray, b"mine").unwrap();
    }
    assert_eq!(browser.get("/count").text(), "2");
    assert_eq!(std::fs::read(shard.join("README")).unwrap(), b"mine");
}

#[test]
fn the_whole_directory_gone_is_a_fresh_start() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/count");
    let record = records(&server).remove(0);
    std::fs::remove_dir_all(record.parent().expect("a shard")).unwrap();
    let answer = browser.get("/read");
    assert_eq!((answer.status, answer.text().as_str()), (200, "0"));
    let answer = browser.get("/count");
    assert!(matches!(answer.status, 200 | 503), "{}", answer.head);
}
