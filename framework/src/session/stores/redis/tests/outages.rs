//! A redis that dies, stalls, or is a replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{PATIENCE, create, key, now, record, replace, store};
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::spawn;
use crate::session::{Expected, SessionStore, StoreError, Swap};

/// kill -9 while 16 sessions are saved as fast as they can.
#[test]
fn with_its_append_only_file_redis_loses_nothing_acknowledged() {
    // With everysec redis answers before it has written while an fsync is under way.
    let mut server = Server::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = Arc::new(store(&server));
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..16).map(|_| AtomicU64::new(1)).collect());
    (0..16).for_each(|number| create(&*store, &key(number), &record(1, "x")));
    let children: Vec<_> = (0..16_u32)
        .map(|number| {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            spawn(move || {
                for version in 2.. {
                    let next = record(version, version.to_string());
                    let expected = Expected::Version(version - 1);
                    match store.swap(&key(number), expected, &next, now()) {
                        Ok(Swap::Done) => {
                            acknowledged[number as usize].store(version, Ordering::SeqCst);
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(StoreError::Unavailable(_) | StoreError::Refused(_)) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
            .unwrap()
        })
        .collect();
    let all = || acknowledged.iter().map(|version| version.load(Ordering::SeqCst)).sum::<u64>();
    eventually("some saves", PATIENCE, || all() > 2000);
    server.kill();
    children.into_iter().for_each(|child| child.join().unwrap());
    assert!(store.load(&key(0), now()).is_err(), "no answer is not absence");
    server.launch_and_wait();
    eventually("the store is back", PATIENCE, || store.load(&key(0), now()).is_ok());
    for number in 0..16 {
        let found = store.load(&key(number), now()).unwrap().unwrap().version;
        let last = acknowledged[number as usize].load(Ordering::SeqCst);
        assert!(found == last || found == last + 1, "acknowledged {last}, found {found}");
    }
}

/// The swap is carried out after its caller was told that nobody knows.
#[test]
fn a_swap_that_timed_out_is_applied_once_or_not_at_all() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = Duration::from_secs(1);
    let redis = crate::redis::Redis::open(&settings).unwrap();
    let store = super::store_at(&redis, "test:");
    create(&store, &key(1), &record(1, "one"));
    let writer = store.writer();
    server.cli(&["CLIENT", "PAUSE", "1500", "WRITE"]);
    let lost = store.swap(&key(1), Expected::Version(1), &record(2, "two"), now());
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert_ne!(store.writer(), writer, "what comes of it counts as somebody else's");
    eventually("the late swap", PATIENCE, || {
        store.load(&key(1), now()).is_ok_and(|found| found.unwrap().version == 2)
    });
    let again = store.swap(&key(1), Expected::Version(1), &record(2, "two"), now());
    assert_eq!(again.unwrap(), Swap::Conflict, "the same swap again is none");
    replace(&store, &key(1), &record(3, "three"));
}

#[test]
fn a_replica_is_unavailable_for_saves() {
    let (master, server) = (Server::start(), Server::start());
    let store = store(&server);
    create(&store, &key(1), &record(1, "x"));
    server.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    let refused = store.swap(&key(1), Expected::Version(1), &record(2, "y"), now());
    assert!(matches!(refused, Err(StoreError::Refused(_)) | Ok(Swap::Missing)), "{refused:?}");
    let refused = store.swap(&key(2), Expected::Absent, &record(1, "y"), now());
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    eventually("a master again", PATIENCE, || {
        store.swap(&key(2), Expected::Absent, &record(1, "y"), now()).is_ok()
    });
}

#[test]
fn a_store_can_be_made_before_its_redis_is_there() {
    let mut server = Server::prepare(&[]);
    let store = store(&server);
    store.look_at_server().unwrap();
    let begun = Instant::now();
    let answer = store.load(&key(1), now());
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    let (writer, swap) = (store.writer(), |expected, version| {
        store.swap(&key(1), expected, &record(version, "x"), now())
    });
    for answer in [swap(Expected::Absent, 1), swap(Expected::Version(1), 2)] {
        assert!(matches!(answer, Err(StoreError::Refused(_))), "nothing was sent: {answer:?}");
    }
    assert_eq!(store.writer(), writer);
    assert!(begun.elapsed() < PATIENCE / 4);
    server.launch_and_wait();
    eventually("redis is there", PATIENCE, || store.load(&key(1), now()).is_ok());
}

#[test]
fn a_wrong_password_stops_the_start() {
    let server = Server::start_with(&["--requirepass", "right"]);
    let mut settings = server.settings();
    settings.login.password = Some("wrong".to_owned());
    let wrong = super::store_at(&crate::redis::Redis::open(&settings).unwrap(), "test:");
    let error = wrong.look_at_server().unwrap_err();
    assert!(error.chain().contains("refuses this user or password"), "{}", error.chain());
    assert!(!error.chain().contains("wrong:"), "the password is not told");
    settings.login.password = Some("right".to_owned());
    let right = super::store_at(&crate::redis::Redis::open(&settings).unwrap(), "test:");
    right.look_at_server().unwrap();
}

#[test]
fn how_redis_syncs_its_file_is_asked_of_either_protocol() {
    let server = Server::start();
    for setting in ["everysec", "always"] {
        assert_eq!(server.cli(&["CONFIG", "SET", "appendfsync", setting]), "OK");
        assert!(store(&server).appendfsync().contains(setting));
    }
}
