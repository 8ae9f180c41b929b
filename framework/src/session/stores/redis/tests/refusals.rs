//! A redis that answers with refusals: no refusal is an answer about a record.

use std::sync::Arc;

use super::{PATIENCE, create, key, now, record, replace, store_at};
use crate::config::RedisSettings;
use crate::redis::Redis;
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::spawn;
use crate::session::{Expected, SessionStore, StoreError, Swap};

/// A store that logs in as a user with these rights, and one with all.
fn as_user(server: &Server, rights: &[&str]) -> (super::RedisStore, super::RedisStore) {
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
    assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
    for expected in [Expected::Version(1), Expected::Absent] {
        let swapped = store.swap(&key(1), expected, &record(2, "y"), now());
        assert!(matches!(swapped, Err(StoreError::Unavailable(_))), "{swapped:?}");
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
        assert!(matches!(swapped, Err(StoreError::Unavailable(_))), "{swapped:?}");
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

/// What is refused of one is not refused of the others.
#[test]
fn the_refusal_of_one_save_is_its_own() {
    let server = Server::start();
    let store = Arc::new(store(&server));
    (0..40).for_each(|number| create(&*store, &key(number), &record(1, "x")));
    server.cli(&["SET", &format!("test:{}", key(3)), "foreign"]);
    server.cli(&["DEL", &format!("test:{}", key(4))]);
    server.cli(&["LPUSH", &format!("test:{}", key(4)), "foreign"]);
    let save = |number| {
        let store = Arc::clone(&store);
        let swap = move || {
            let size = if number % 10 == 0 { 3_000_000 } else { 3 };
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
