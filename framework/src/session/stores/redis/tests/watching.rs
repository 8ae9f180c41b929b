//! What a watching store hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{PATIENCE, create, key, record, replace, store};
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::sync::ShortLock;
use crate::runtime::{sleep, spawn};
use crate::session::{ChangeListener, SessionStore, StoreKey};

#[derive(Default)]
pub(in super::super::super) struct Heard {
    pub(in super::super::super) changes: ShortLock<Vec<(StoreKey, u64)>>,
    pub(in super::super::super) missed: AtomicU64,
}

impl ChangeListener for Heard {
    fn changed(&self, key: &StoreKey, version: u64) {
        self.changes.with(|changes| changes.push((*key, version)));
    }

    fn missed(&self) {
        self.missed.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_store_hears_of_the_keys_it_follows_and_of_no_others() {
    let server = Server::start();
    let (here, there) = (store(&server), store(&server));
    let heard = Arc::new(Heard::default());
    assert!(here.watch(heard.clone()));
    here.follow(&key(1), true);
    here.follow(&key(3), true);
    (1..=3).for_each(|number| create(&there, &key(number), &record(1, "x")));
    eventually("it is subscribed", PATIENCE, || {
        server.cli(&["PUBSUB", "CHANNELS"]).lines().count() == 1
    });
    heard.changes.with(Vec::clear);
    replace(&here, &key(1), &record(2, "our own"));
    replace(&there, &key(2), &record(2, "nobody follows it"));
    replace(&there, &key(3), &record(2, "y"));
    replace(&there, &key(1), &record(3, "y"));
    there.remove(&key(3)).unwrap();
    let wanted = [(key(3), 2), (key(1), 3), (key(3), u64::MAX)];
    eventually("three changes", PATIENCE, || heard.changes.with(|changes| changes.len() >= 3));
    heard.changes.with(|changes| assert_eq!(*changes, wanted));
    here.follow(&key(3), false);
    let before = heard.missed.load(Ordering::SeqCst);
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("it is told", PATIENCE, || heard.missed.load(Ordering::SeqCst) > before);
    replace(&there, &key(1), &record(4, "z"));
    eventually("it hears again", PATIENCE, || {
        heard.changes.with(|changes| changes.last() == Some(&(key(1), 4)))
    });
    here.follow(&key(1), false);
    eventually("it is unsubscribed", PATIENCE, || {
        server.cli(&["PUBSUB", "CHANNELS"]).trim().is_empty()
    });
}

/// The change comes before the subscription is in force, after `follow` came back.
#[test]
fn what_changes_while_the_subscription_begins_is_looked_up() {
    let server = Server::start();
    let (here, there) = (store(&server), Arc::new(store(&server)));
    let heard = Arc::new(Heard::default());
    assert!(here.watch(heard.clone()));
    create(&*there, &key(1), &record(1, "x"));
    let is_subscribed = || !server.cli(&["PUBSUB", "CHANNELS"]).is_empty();
    for version in 2..6 {
        here.follow(&key(1), true);
        eventually("it is subscribed", PATIENCE, is_subscribed);
        here.follow(&key(1), false);
        eventually("it is unsubscribed", PATIENCE, || !is_subscribed());
        let told =
            || heard.missed.load(Ordering::SeqCst) + heard.changes.with(|it| it.len() as u64);
        let before = told();
        server.freeze();
        let swapped = {
            let there = Arc::clone(&there);
            spawn(move || replace(&*there, &key(1), &record(version, "y"))).unwrap()
        };
        sleep(Duration::from_millis(100));
        here.follow(&key(1), true);
        server.thaw();
        swapped.join().unwrap();
        eventually("it is told", PATIENCE, || told() > before);
        here.follow(&key(1), false);
        eventually("it is unsubscribed", PATIENCE, || !is_subscribed());
    }
}
