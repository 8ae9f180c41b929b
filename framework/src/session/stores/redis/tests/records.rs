//! One record: races, expiry, what somebody else put there.

use std::sync::Arc;
use std::time::Duration;

use super::{HOUR, connect, create, key, now, record, store, store_at};
use crate::redis::tests::server::Server;
use crate::runtime::spawn;
use crate::session::{Expected, Renewed, SessionStore, Stored, Swap, Touch};

/// Adds one to the number in the record, against all others.
pub(in super::super::super) fn increment(store: &dyn SessionStore, number: u32) {
    let key = key(number);
    loop {
        let found = store.load(&key, now()).unwrap().unwrap();
        let count: u64 = String::from_utf8(found.bytes).unwrap().parse().unwrap();
        let next = record(found.version + 1, (count + 1).to_string());
        match store.swap(&key, Expected::Version(found.version), &next, now()).unwrap() {
            Swap::Done => return,
            Swap::Conflict => {}
            Swap::Missing => panic!("nobody removed it"),
        }
    }
}

#[test]
fn sixty_four_coroutines_on_two_connections_lose_no_increment() {
    let server = Server::start();
    let stores = [store(&server), store(&server)].map(Arc::new);
    create(&*stores[0], &key(1), &record(1, "0"));
    let children: Vec<_> = (0..64)
        .map(|child| {
            let store = Arc::clone(&stores[child % 2]);
            spawn(move || (0..8).for_each(|_| increment(&*store, 1))).unwrap()
        })
        .collect();
    children.into_iter().for_each(|child| child.join().unwrap());
    let found = stores[0].load(&key(1), now()).unwrap().unwrap();
    assert_eq!((found.bytes, found.version), (b"512".to_vec(), 513));
}

#[test]
fn redis_forgets_a_record_by_itself_a_minute_after_its_deadline() {
    let server = Server::start();
    let store = store(&server);
    let name = format!("test:{}", key(1));
    let ttl = || server.cli(&["PTTL", &name]).parse::<u64>().unwrap();
    create(&store, &key(1), &Stored { deadline: now() + HOUR, ..record(1, "x") });
    assert!((3_600_000..=3_660_000).contains(&ttl()), "{}", ttl());
    let renewed = Renewed { deadline: now() + HOUR * 2, last_seen: now(), evictable: false };
    assert_eq!(store.touch(&key(1), 1, renewed, now()).unwrap(), Touch::Done);
    assert!((7_200_000..=7_260_000).contains(&ttl()), "{}", ttl());
    let short = Stored { deadline: now() + Duration::from_millis(1), ..record(2, "y") };
    assert_eq!(store.swap(&key(1), Expected::Version(1), &short, now()).unwrap(), Swap::Done);
    assert!(ttl() <= 60_001, "a save that shortens a life shortens the expiry: {}", ttl());
    assert!(store.load(&key(1), short.deadline).unwrap().is_none());
}

/// The servers' clocks may be years apart: lengths of time are what redis is told.
#[test]
fn a_clock_far_from_that_of_redis_changes_nothing() {
    let server = Server::start();
    let store = store(&server);
    for years in [20, 70] {
        let key = key(years);
        let now = std::time::UNIX_EPOCH + Duration::from_secs(u64::from(years) * 31_557_600);
        let record = Stored { deadline: now + HOUR, last_seen: now, ..record(1, "x") };
        assert_eq!(store.swap(&key, Expected::Absent, &record, now).unwrap(), Swap::Done);
        assert_eq!(store.load(&key, now + HOUR / 2).unwrap(), Some(record));
        assert_eq!(store.load(&key, now + HOUR).unwrap(), None);
        let ttl: u64 = server.cli(&["PTTL", &format!("test:{key}")]).parse().unwrap();
        assert!((3_600_000..=3_660_000).contains(&ttl), "{ttl}");
    }
}

#[test]
fn what_somebody_else_put_there_is_absent_and_replaced() {
    let server = Server::start();
    let store = store(&server);
    let name = |number| format!("test:{}", key(number));
    server.cli(&["SET", &name(1), "something"]);
    server.cli(&["HSET", &name(2), "a", "b"]);
    server.cli(&["SET", &name(3), "\x01too short"]);
    let all = [key(1), key(2), key(3)];
    assert_eq!(store.load_many(&all, now()).unwrap(), [None, None, None]);
    for key in all {
        assert_eq!(store.load(&key, now()).unwrap(), None);
        let swapped = store.swap(&key, Expected::Version(0), &record(1, "x"), now());
        assert_eq!(swapped.unwrap(), Swap::Missing);
        let record = record(7, "mine");
        create(&store, &key, &record);
        assert_eq!(store.load(&key, now()).unwrap(), Some(record));
    }
}

#[test]
fn apps_with_other_prefixes_do_not_see_each_other() {
    let server = Server::start();
    let redis = connect(&server);
    let (shop, blog) = (store_at(&redis, "shop:"), store_at(&redis, "blog:"));
    create(&shop, &key(1), &record(1, "x"));
    assert_eq!(blog.load(&key(1), now()).unwrap(), None);
    assert!(blog.list(None, 10, now()).unwrap().is_empty());
    assert_eq!(shop.list(None, 10, now()).unwrap().len(), 1);
}

#[test]
fn redis_keeps_a_record_as_long_as_its_newest_deadline_says() {
    let server = Server::start();
    let store = store(&server);
    let kept_for = || {
        let left: u64 = server.cli(&["PTTL", &format!("test:{}", key(1))]).parse().unwrap();
        Duration::from_millis(left)
    };
    let begun = now();
    let at = |version, deadline| Stored { deadline, ..record(version, "x") };
    // A minute longer than it lives; a slow machine may have taken half of it.
    let expect = |hours: u32| {
        let kept = kept_for();
        assert!(kept > HOUR * hours + HOUR / 120 && kept <= HOUR * hours + HOUR / 60, "{kept:?}");
    };
    create(&store, &key(1), &at(1, begun + HOUR));
    expect(1);
    // The same deadline: the expiry is left as it is, whatever it is.
    server.cli(&["PEXPIRE", &format!("test:{}", key(1)), "7250000"]);
    let swap = |version, deadline| {
        let expected = Expected::Version(version - 1);
        assert_eq!(
            store.swap(&key(1), expected, &at(version, deadline), now()).unwrap(),
            Swap::Done
        );
    };
    swap(2, begun + HOUR);
    expect(2);
    swap(3, begun + 3 * HOUR);
    expect(3);
    swap(4, begun + HOUR);
    expect(1);
    let renewed = Renewed { deadline: begun + 2 * HOUR, last_seen: begun, evictable: false };
    assert_eq!(store.touch(&key(1), 4, renewed, now()).unwrap(), Touch::Done);
    expect(2);
    swap(5, begun + 2 * HOUR);
    expect(2);
}

#[test]
fn a_swap_that_keeps_a_deadline_which_is_over_finds_nothing() {
    let server = Server::start();
    let store = store(&server);
    let one = record(1, "x");
    create(&store, &key(1), &one);
    let two = Stored { version: 2, ..one.clone() };
    let swap = |now| store.swap(&key(1), Expected::Version(1), &two, now).unwrap();
    assert_eq!(swap(one.deadline), Swap::Missing);
    assert_eq!(swap(one.deadline - Duration::from_millis(1)), Swap::Done);
}
