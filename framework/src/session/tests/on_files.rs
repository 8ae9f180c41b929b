//! The same on real files: two stores on one directory are two processes.

use std::path::PathBuf;
use std::sync::Arc;

use super::after;
use crate::clock::Clock;
use crate::session::stores::{FileStore, FileStoreOptions};
use crate::session::{Blocking, CookiePolicy, Manager, Outcome, Session, SessionSettings};

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("maypole-sessions-{:016x}", getrandom::u64().unwrap());
        Self(std::env::temp_dir().join(name))
    }

    fn node(&self) -> Arc<Manager> {
        let store = Blocking::new(FileStore::open(FileStoreOptions::new(&self.0)).unwrap());
        let (settings, policy) = (SessionSettings::default(), CookiePolicy::default());
        Arc::new(Manager::new("t", Arc::new(store), settings, policy, Clock::system()).unwrap())
    }
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
