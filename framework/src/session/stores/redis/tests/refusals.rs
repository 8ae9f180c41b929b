//! A redis that answers with refusals: no refusal is an answer about a record.

use std::sync::Arc;

use super::watching::Heard;
use super::{HOUR, PATIENCE, create, key, now, record, replace, store_at};
use crate::config::RedisSettings;
use crate::redis::Redis;
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::spawn;
use crate::session::stores::{RedisStore, RedisStoreOptions, TieredOptions, TieredStore};
use crate::session::{Expected, Renewed, SessionStore, StoreError, Swap, Touch};

/// A store that logs in as a user with these rights, and one with all.
pub(super) fn as_user(server: &Server, rights: &[&str]) -> (super::RedisStore, super::RedisStore) {
    let user = ["ACL", "SETUSER", "guest", "reset", "on", ">secret"];
    assert_eq!(server.cli(&[&user[..], rights].concat()), "OK");
    let mut settings = patient(server);
    settings.login.username = Some("guest".to_owned());
    settings.login.password = Some("secret".to_owned());
    (store_at(&Redis::open(&settings).unwrap(), "test:"), store(server))
}

/// Settings under which a late answer is no refusal.
fn patient(server: &Server) -> RedisSettings {
    let mut settings = server.settings();
    settings.command_timeout = PATIENCE;
    settings
}

fn store(server: &Server) -> super::RedisStore {
    store_at(&Redis::open(&patient(server)).unwrap(), "test:")
}

#[test]
fn a_replica_without_its_master_knows_nothing_of_a_record() {
    let server = Server::start();
    let store = store(&server);
    create(&store, &key(1), &record(1, "x"));
    server.cli(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let loaded = store.load(&key(1), now());
    assert!(matches!(loaded, Err(StoreError::Refused(_))), "{loaded:?}");
    for expected in [Expected::Version(1), Expected::Absent] {
        let swapped = store.swap(&key(1), expected, &record(2, "y"), now());
        assert!(matches!(swapped, Err(StoreError::Refused(_))), "{swapped:?}");
    }
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    eventually("it is a master", PATIENCE, || store.load(&key(1), now()).is_ok());
    replace(&store, &key(1), &record(2, "y"));
}

#[test]
fn a_user_who_may_not_read_learns_nothing_of_a_record() {
    let server = Server::start();
    let (guest, root) = as_user(&server, &["+@all", "-getrange", "~*"]);
    create(&root, &key(1), &record(1, "x"));
    for expected in [Expected::Version(1), Expected::Absent] {
        let swapped = guest.swap(&key(1), expected, &record(2, "y"), now());
        // Redis 6 says it in the words of a script that failed, which may have written.
        let is_told = !server.cli(&["INFO", "server"]).contains("redis_version:6.");
        match swapped {
            Err(StoreError::Refused(_)) => {}
            Err(StoreError::Unavailable(_)) if !is_told => {}
            odd => panic!("{odd:?}"),
        }
    }
    assert_eq!(root.load(&key(1), now()).unwrap().unwrap().version, 1);
}

/// The script ends at the refusal; what it had saved stays, and nobody may say that it failed.
#[test]
fn saves_that_could_not_be_told_are_unknown() {
    let server = Server::start();
    let (guest, root) = as_user(&server, &["+@all", "-publish", "~*"]);
    let guest = Arc::new(guest);
    let save = |number| {
        let guest = Arc::clone(&guest);
        let swap = move || guest.swap(&key(number), Expected::Absent, &record(1, "x"), now());
        spawn(swap).unwrap()
    };
    let children: Vec<_> = (0..40).map(save).collect();
    for (number, child) in (0..40).zip(children) {
        let swapped = child.join().unwrap();
        assert!(matches!(swapped, Err(StoreError::Unavailable(_))), "{swapped:?}");
        assert_eq!(root.load(&key(number), now()).unwrap().unwrap().bytes, b"x");
    }
}

/// WAIT comes after the save, which stands.
#[test]
fn a_save_whose_replicas_may_not_be_asked_for_is_unknown() {
    let server = Server::start();
    let (_, root) = as_user(&server, &["+@all", "-wait", "~*"]);
    let mut settings = patient(&server);
    settings.login.username = Some("guest".to_owned());
    settings.login.password = Some("secret".to_owned());
    server.cli(&["ACL", "SETUSER", "guest", "allchannels"]);
    let prefix = "test:".to_owned();
    let options = RedisStoreOptions { prefix, wait_replicas: 1, ..Default::default() };
    let guest = RedisStore::new(Redis::open(&settings).unwrap(), options).unwrap();
    let swapped = guest.swap(&key(1), Expected::Absent, &record(1, "x"), now());
    assert!(matches!(swapped, Err(StoreError::Unavailable(_))), "{swapped:?}");
    assert_eq!(root.load(&key(1), now()).unwrap().unwrap().bytes, b"x");
}

/// What is refused of one is not refused of the others.
#[test]
fn the_refusal_of_one_save_is_its_own() {
    let server = Server::start();
    let store = Arc::new(store(&server));
    (0..40).for_each(|number| create(&*store, &key(number), &record(1, "x")));
    server.cli(&["SET", &format!("test:{}", key(3)), "foreign"]);
    server.cli(&["DEL", &format!("test:{}", key(4))]);
    server.cli(&["LPUSH", &format!("test:{}", key(4)), "foreign"]);
    let save = |number: u32| {
        let store = Arc::clone(&store);
        let swap = move || {
            let size = if number.is_multiple_of(10) { 3_000_000 } else { 3 };
            store.swap(&key(number), Expected::Version(1), &record(2, vec![b'y'; size]), now())
        };
        spawn(swap).unwrap()
    };
    let children: Vec<_> = (0..40).map(save).collect();
    for (number, child) in (0..40).zip(children) {
        let wanted = if number == 3 || number == 4 { Swap::Missing } else { Swap::Done };
        assert_eq!(child.join().unwrap().unwrap(), wanted, "{number}");
    }
}

/// Under load, too, redis stays within its memory but for what one command puts in.
#[test]
fn a_full_redis_stays_full() {
    let server = Server::start();
    let used = || {
        let info = server.cli(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let limit = used() + 8_000_000;
    let store = Arc::new(store(&server));
    store.load(&key(1), now()).unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    let start = |child: u32| {
        let store = Arc::clone(&store);
        let work = move || {
            let (mut refused, mut made) = (0, Vec::new());
            for round in 0.. {
                let mine = key(child * 10_000 + round);
                match store.swap(&mine, Expected::Absent, &record(1, vec![b'x'; 1000]), now()) {
                    Ok(Swap::Done) => made.push((mine, 1)),
                    Err(StoreError::Full) => refused += 1,
                    odd => panic!("{odd:?}"),
                }
                if let Some((mine, version)) = made.last_mut() {
                    let next = record(*version + 1, vec![b'y'; 1000]);
                    let swapped = store.swap(mine, Expected::Version(*version), &next, now());
                    assert_eq!(swapped.unwrap(), Swap::Done, "what does not grow goes on");
                    *version += 1;
                }
                if refused == 200 {
                    break;
                }
            }
            made.len()
        };
        spawn(work).unwrap()
    };
    let children: Vec<_> = (0..64).map(start).collect();
    let made: usize = children.into_iter().map(|child| child.join().unwrap()).sum();
    let over = i64::try_from(used()).unwrap() - i64::try_from(limit).unwrap();
    println!("{made} made, {over} bytes over the limit");
    assert!(made > 1000 && over < 400_000, "{over} bytes over the limit after {made}");
}

#[test]
fn only_what_was_saved_is_told() {
    let server = Server::start();
    let (here, there) = (store(&server), Arc::new(store(&server)));
    let heard = Arc::new(Heard::default());
    here.watch(heard.clone());
    for number in 0..64 {
        create(&*there, &key(number), &record(1, "x"));
        here.follow(&key(number), true);
    }
    eventually("it is subscribed", PATIENCE, || !server.cli(&["PUBSUB", "CHANNELS"]).is_empty());
    let wrong = |number: u32| number.is_multiple_of(3);
    for round in 2..30 {
        let save = |number: u32| {
            let there = Arc::clone(&there);
            let expected = if wrong(number) { 1000 } else { round - 1 };
            let next = record(round, "y");
            let swap = move || there.swap(&key(number), Expected::Version(expected), &next, now());
            (number, spawn(swap).unwrap())
        };
        let children: Vec<_> = (0..64).map(save).collect();
        for (number, child) in children {
            let wanted = if wrong(number) { Swap::Conflict } else { Swap::Done };
            assert_eq!(child.join().unwrap().unwrap(), wanted);
        }
    }
    let mut wanted: Vec<_> = (0..64).filter(|number| !wrong(*number)).map(key).collect();
    wanted.sort();
    replace(&*there, &key(0), &record(2, "last"));
    let is_last = |changes: &mut Vec<_>| changes.last() == Some(&(key(0), 2));
    eventually("all was told", PATIENCE, || heard.changes.with(is_last));
    heard.changes.with(|changes| {
        for round in 2..30 {
            let told = changes.iter().filter(|(it, version)| *version == round && *it != key(0));
            let mut told: Vec<_> = told.map(|(key, _)| *key).collect();
            told.sort();
            assert_eq!(told, wanted, "round {round}");
        }
    });
}

/// What the manual says a user needs is enough, also for commands that many share.
#[test]
fn a_user_with_few_rights_will_do() {
    let server = Server::start();
    let rights =
        ["@read", "@write", "@scripting", "@pubsub", "@connection", "info", "wait", "time"];
    let mut rights = rights.map(|right| format!("+{right}")).to_vec();
    let version = server.cli(&["INFO", "server"]);
    rights.push("~test:*".to_owned());
    if !version.contains("redis_version:6.0") {
        rights.extend(["resetchannels", "&test:*"].map(str::to_owned));
    }
    let rights: Vec<_> = rights.iter().map(String::as_str).collect();
    let (guest, _root) = as_user(&server, &rights);
    guest.look_at_server().unwrap();
    let node = Arc::new(TieredStore::new(guest, &TieredOptions::default()).unwrap());
    eventually("it has a lease", PATIENCE, || node.trusts_memory());
    let work = |number: u32| {
        let node = Arc::clone(&node);
        let work = move || {
            create(&*node, &key(number), &record(1, "x"));
            node.forget(&key(number));
            assert_eq!(node.load(&key(number), now()).unwrap().unwrap().version, 1);
            replace(&*node, &key(number), &record(2, "y"));
            let renewed = Renewed { deadline: now() + HOUR, last_seen: now(), evictable: false };
            assert_eq!(node.touch(&key(number), 2, renewed, now()).unwrap(), Touch::Done);
            node.settle(&key(number)).unwrap();
            let many: Vec<_> = (0..32).map(key).collect();
            node.load_many(&many, now()).unwrap();
        };
        spawn(work).unwrap()
    };
    let children: Vec<_> = (0..32).map(work).collect();
    children.into_iter().for_each(|child| child.join().unwrap());
    assert_eq!(node.list(None, 100, now()).unwrap().len(), 32);
    assert!(node.remove(&key(1)).unwrap());
}
