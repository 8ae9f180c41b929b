//! What a watching store hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{PATIENCE, create, key, record, replace, store};
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::sync::ShortLock;
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
