//! The same on real files: two stores on one directory are two processes.

use std::path::PathBuf;
use std::sync::Arc;

use super::after;
use crate::ErrorKind;
use crate::clock::Clock;
use crate::session::events::Event;
use crate::session::stores::{FileStore, FileStoreOptions};
use crate::session::{Blocking, CookiePolicy, Manager, Outcome, Session, SessionSettings};

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("maypole-sessions-{:016x}", getrandom::u64().unwrap());
        Self(std::env::temp_dir().join(name))
    }

    fn node(&self) -> Arc<Manager> {
        node_with(FileStoreOptions::new(&self.0))
    }
}

fn node_with(options: FileStoreOptions) -> Arc<Manager> {
    let store = Blocking::new(FileStore::open(options).unwrap());
    let (settings, policy) = (SessionSettings::default(), CookiePolicy::default());
    Arc::new(Manager::new("t", Arc::new(store), settings, policy, Clock::system()).unwrap())
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn user(node: &Arc<Manager>, cookie: &str) -> Option<String> {
    let session = node.open([cookie], None);
    let user = session.user().unwrap();
    node.commit(&session, Outcome::Keep).unwrap();
    user
}

fn request(node: &Arc<Manager>, cookie: &str, handler: impl FnOnce(&Session)) -> String {
    let session = node.open((!cookie.is_empty()).then_some(cookie), None);
    handler(&session);
    after(cookie, &node.commit(&session, Outcome::Keep).unwrap().cookie)
}

#[test]
fn what_two_processes_increment_in_parallel_is_all_there_after_a_restart() {
    let directory = Directory::new();
    let nodes = [directory.node(), directory.node()];
    let cookie: Arc<str> = request(&nodes[0], "", |session| session.set("n", 0).unwrap()).into();
    let workers: Vec<_> = (0..20)
        .map(|n| {
            let (node, cookie) = (Arc::clone(&nodes[n % 2]), Arc::clone(&cookie));
            crate::runtime::spawn(move || {
                for _ in 0..20 {
                    request(&node, &cookie, |session| {
                        session.increment("n", 1).unwrap();
                    });
                }
            })
            .unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    request(&directory.node(), &cookie, |session| {
        assert_eq!(session.get("n").unwrap(), Some(400));
    });
}

/// Nothing was written, so nobody has to look whether it was.
#[test]
#[expect(clippy::disallowed_methods, reason = "a plain thread, which may wait for the disk")]
fn a_session_file_that_cannot_be_opened_is_no_unknown_outcome() {
    let directory = Directory::new();
    let cookie = request(&directory.node(), "", |session| session.set("n", 1).unwrap());
    let by_name = FileStoreOptions { max_open_files: 0, ..FileStoreOptions::new(&directory.0) };
    let node = node_with(by_name);
    let session = node.open([&*cookie], None);
    session.increment("n", 1).unwrap();
    let shard = std::fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().path());
    let shard = shard.into_iter().find(|path| path.file_name().unwrap().len() == 2).unwrap();
    let away = directory.0.join("away");
    std::fs::rename(&shard, &away).unwrap();
    std::fs::write(&shard, "no directory").unwrap();
    let error = node.commit(&session, Outcome::Keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    let said = error.chain();
    assert!(said.contains("cannot open a session file: Not a directory"), "{said}");
    assert_eq!(node.events().count(Event::UnknownOutcome), 0);
    std::fs::remove_file(&shard).unwrap();
    std::fs::rename(&away, &shard).unwrap();
    request(&node, &cookie, |session| assert_eq!(session.get("n").unwrap(), Some(1)));
}

#[test]
fn a_login_is_a_change_of_id_on_files_too() {
    let directory = Directory::new();
    let node = directory.node();
    let old = request(&node, "", |session| session.set("cart", "tea").unwrap());
    let new = request(&node, &old, |session| session.login("ann").unwrap());
    request(&directory.node(), &new, |session| {
        assert_eq!(session.user().unwrap().as_deref(), Some("ann"));
        assert_eq!(session.get("cart").unwrap(), Some("tea".to_owned()));
        session.destroy().unwrap();
    });
    for dead in [&old, &new] {
        request(&directory.node(), dead, |session| {
            assert_eq!(session.get::<String>("cart").unwrap(), None);
        });
    }
}

#[test]
fn users_are_listed_and_revoked_over_two_processes_and_a_restart() {
    let directory = Directory::new();
    let nodes = [directory.node(), directory.node()];
    let login = |n: usize| request(&nodes[n], "", |session| session.login("ann").unwrap());
    let (phone, laptop) = (login(0), login(1));
    request(&directory.node(), &phone, |session| {
        let devices = session.sessions_of("ann").unwrap();
        assert_eq!(devices.len(), 2);
        let other = devices.iter().find(|device| !device.is_current).unwrap();
        assert!(session.revoke("ann", other.handle).unwrap());
    });
    assert_eq!(user(&nodes[1], &laptop), None);
    let laptop = login(1);
    request(&nodes[0], &phone, |session| session.revoke_others().unwrap());
    assert_eq!(user(&nodes[1], &laptop), None);
    assert_eq!(user(&nodes[1], &phone).as_deref(), Some("ann"));
    request(&nodes[0], "", |session| session.revoke_everybody().unwrap());
    assert_eq!(user(&directory.node(), &phone), None);
}
