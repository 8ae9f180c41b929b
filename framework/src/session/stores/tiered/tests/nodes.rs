//! Several nodes: nobody gives out what another has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::{TieredOptions, TieredStore};
use super::{
    PATIENCE, create, eventually, gets, key, node, node_on, node_with, now, record, replace, text,
};
use crate::redis::tests::server::Server;
use crate::runtime::spawn;
use crate::session::stores::redis::tests::records::increment;
use crate::session::stores::redis::tests::watching::Heard;
use crate::session::{Expected, SessionStore, StoreError, Swap};

const LEASE: Duration = Duration::from_millis(250);

fn go_deaf(node: &TieredStore, is_deaf: bool) {
    node.node.is_deaf.store(is_deaf, Ordering::Release);
}

#[test]
fn what_is_in_memory_is_not_asked_of_redis() {
    let server = Server::start();
    let node = node(&server);
    create(&node, &key(1), &record(1, "one"));
    let mut version = 1;
    // A machine that is too busy may cost the lease for a while.
    eventually("a save is one round trip", PATIENCE, || {
        let before = gets(&server);
        for _ in 0..48 {
            assert_eq!(node.load(&key(1), now()).unwrap().unwrap().version, version);
            version += 1;
            replace(&node, &key(1), &record(version, "more"));
        }
        gets(&server) - before < 10
    });
    let epochs = [key(7), key(8)];
    eventually("that a user has no epoch is remembered", PATIENCE, || {
        let before = gets(&server);
        for _ in 0..50 {
            assert_eq!(node.load_many(&epochs, now()).unwrap(), [None, None]);
        }
        gets(&server) - before < 20
    });
    create(&node, &key(7), &record(1, "epoch"));
    assert!(node.load_many(&epochs, now()).unwrap()[0].is_some());
    for _ in 0..50 {
        assert_eq!(node.load(&key(9), now()).unwrap(), None);
    }
    assert!(node.usage().records <= 3, "what a client asks for is not remembered as absent");
}

#[test]
fn a_change_is_seen_by_the_others_within_the_lease() {
    let server = Server::start();
    let nodes = [node(&server), node(&server), node(&server)];
    create(&nodes[0], &key(1), &record(1, "1"));
    for version in 2..60_u64 {
        let writer = &nodes[usize::try_from(version).unwrap() % 3];
        let found = writer.load(&key(1), now()).unwrap().unwrap();
        let next = record(version, version.to_string());
        let mut swapped = writer.swap(&key(1), Expected::Version(found.version), &next, now());
        if let Ok(Swap::Conflict) = swapped {
            let found = writer.load(&key(1), now()).unwrap().unwrap();
            assert_eq!(found.version, version - 1, "after a conflict redis is asked");
            swapped = writer.swap(&key(1), Expected::Version(found.version), &next, now());
        }
        assert_eq!(swapped.unwrap(), Swap::Done);
        for node in &nodes {
            eventually("all see it", PATIENCE, || text(node, 1) == version.to_string());
        }
    }
}

#[test]
fn increments_on_three_nodes_are_all_there() {
    let server = Server::start();
    let nodes = [node(&server), node(&server), node(&server)].map(Arc::new);
    create(&*nodes[0], &key(1), &record(1, "0"));
    let children: Vec<_> = (0..24)
        .map(|child| {
            let node = Arc::clone(&nodes[child % 3]);
            spawn(move || (0..10).for_each(|_| increment(&*node, 1))).unwrap()
        })
        .collect();
    children.into_iter().for_each(|child| child.join().unwrap());
    for node in &nodes {
        eventually("the sum", PATIENCE, || text(node, 1) == "240");
    }
}

/// After `settle` nobody gives out the old state: not once in a hundred rounds, without a wait.
#[test]
fn after_an_end_was_settled_no_node_gives_out_the_old_state() {
    let server = Server::start();
    let nodes = [node(&server), node(&server), node(&server)];
    let mut waited = Duration::ZERO;
    for number in 0..100 {
        create(&nodes[0], &key(number), &record(1, "live"));
        nodes.iter().for_each(|node| assert_eq!(text(node, number), "live"));
        replace(&nodes[0], &key(number), &record(2, "ended"));
        let begun = Instant::now();
        nodes[0].settle(&key(number)).unwrap();
        waited += begun.elapsed();
        nodes.iter().for_each(|node| assert_eq!(text(node, number), "ended"));
    }
    assert!(waited < LEASE * 50, "acknowledgements come before the lease ends: {waited:?}");
}

/// A node alone waits for nobody.
#[test]
fn a_single_node_settles_at_once() {
    let server = Server::start();
    let node = node(&server);
    create(&node, &key(1), &record(1, "live"));
    let begun = Instant::now();
    (0..40).for_each(|_| node.settle(&key(1)).unwrap());
    assert!(begun.elapsed() < LEASE * 20, "{:?}", begun.elapsed());
}

/// The reader of node B's news stands still, with B's lease running: an end is answered only when
/// that lease is over, and then B gives out the new state.
#[test]
fn a_node_that_does_not_read_its_news_stops_trusting_its_memory() {
    let server = Server::start();
    let (a, b) = (node(&server), node(&server));
    for number in 0..5 {
        create(&a, &key(number), &record(1, "live"));
        eventually("b trusts its memory", PATIENCE, || b.trusts_memory());
        assert_eq!(text(&b, number), "live");
        go_deaf(&b, true);
        replace(&a, &key(number), &record(2, "ended"));
        a.settle(&key(number)).unwrap();
        assert_eq!(text(&b, number), "ended", "round {number}");
        eventually("the lease is over", PATIENCE, || !b.trusts_memory());
        assert_eq!(text(&b, number), "ended");
        go_deaf(&b, false);
    }
    eventually("b trusts its memory again", PATIENCE, || b.trusts_memory());
}

/// Messages may get lost while everything seems to work; ends are written down as well.
#[test]
fn an_end_whose_news_got_lost_is_read_with_the_next_beat() {
    let server = Server::start();
    let (a, b) = (node(&server), node(&server));
    b.node.loses_news.store(true, Ordering::Release);
    for number in 0..4 {
        create(&a, &key(number), &record(1, "live"));
        assert_eq!(text(&b, number), "live");
        replace(&a, &key(number), &record(2, "ended"));
        a.settle(&key(number)).unwrap();
        for _ in 0..3 {
            assert_eq!(text(&b, number), "ended");
            eventually("b trusts its memory", PATIENCE, || b.trusts_memory());
        }
    }
}

#[test]
fn a_cut_connection_ends_the_trust_until_it_is_back() {
    let server = Server::start();
    let (a, b) = (node(&server), node(&server));
    for number in 0..20 {
        create(&a, &key(number), &record(1, "live"));
        assert_eq!(text(&b, number), "live");
        replace(&a, &key(number), &record(2, "ended"));
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        a.settle(&key(number)).unwrap();
        assert_eq!(text(&b, number), "ended", "round {number}");
    }
    for node in [&a, &b] {
        eventually("memory is trusted again", PATIENCE, || node.trusts_memory());
    }
}

#[test]
fn a_redis_that_stalls_makes_sessions_unavailable_not_old() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = Duration::from_secs(2);
    let node = node_on(&settings);
    create(&node, &key(1), &record(1, "live"));
    server.freeze();
    eventually("the lease is over", PATIENCE, || !node.trusts_memory());
    let answer = node.load(&key(1), now());
    server.thaw();
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    eventually("it is back", PATIENCE, || node.load(&key(1), now()).is_ok());
    assert_eq!(text(&node, 1), "live");
}

#[test]
fn a_node_that_died_holds_an_end_up_for_a_lease_at_most_and_not_for_long() {
    let server = Server::start();
    let (a, b) = (node(&server), node(&server));
    create(&a, &key(1), &record(1, "live"));
    drop(b);
    let begun = Instant::now();
    a.settle(&key(1)).unwrap();
    assert!(begun.elapsed() < LEASE * 20, "{:?}", begun.elapsed());
    eventually("the dead node is forgotten", PATIENCE, || {
        let begun = Instant::now();
        a.settle(&key(1)).unwrap();
        begun.elapsed() < LEASE
    });
}

/// Somebody emptied redis: nothing tells it, but the nodes' own list is gone as well.
#[test]
fn an_emptied_redis_is_noticed() {
    let server = Server::start();
    let node = node(&server);
    create(&node, &key(1), &record(1, "live"));
    assert_eq!(text(&node, 1), "live");
    server.cli(&["FLUSHALL"]);
    eventually("it is gone here too", PATIENCE, || node.load(&key(1), now()).unwrap().is_none());
}

/// A swap that happens after its caller gave up counts as somebody else's.
#[test]
fn a_late_swap_of_ones_own_is_not_hidden_by_memory() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = Duration::from_secs(1);
    let node = node_on(&settings);
    create(&node, &key(1), &record(1, "one"));
    server.cli(&["CLIENT", "PAUSE", "1500", "WRITE"]);
    assert!(node.swap(&key(1), Expected::Version(1), &record(2, "two"), now()).is_err());
    eventually("it is seen", PATIENCE, || {
        node.load(&key(1), now()).is_ok_and(|found| found.unwrap().version == 2)
    });
}

#[test]
fn the_listener_hears_of_what_it_follows() {
    let server = Server::start();
    let (a, b) = (node(&server), node(&server));
    let heard = Arc::new(Heard::default());
    assert!(b.watch(heard.clone()));
    b.follow(&key(1), true);
    create(&a, &key(1), &record(1, "x"));
    create(&a, &key(2), &record(1, "x"));
    replace(&a, &key(1), &record(2, "y"));
    let wanted = vec![(key(1), 1), (key(1), 2)];
    eventually("both", PATIENCE, || heard.changes.with(|changes| *changes == wanted));
    b.follow(&key(1), false);
    replace(&a, &key(1), &record(3, "z"));
    eventually("b has heard of it", PATIENCE, || text(&b, 1) == "z");
    heard.changes.with(|changes| assert_eq!(*changes, wanted));
    let missed = heard.missed.load(Ordering::SeqCst);
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("it is told", PATIENCE, || heard.missed.load(Ordering::SeqCst) > missed);
}

/// Nodes with leases of their own: the longest decides.
#[test]
fn leases_may_differ() {
    let server = Server::start();
    let long = TieredOptions { lease: Duration::from_millis(900), ..Default::default() };
    let a = node(&server);
    let b = node_with(&server, "test:", &long);
    create(&a, &key(1), &record(1, "live"));
    assert_eq!(text(&b, 1), "live");
    go_deaf(&b, true);
    replace(&a, &key(1), &record(2, "ended"));
    a.settle(&key(1)).unwrap();
    assert_eq!(text(&b, 1), "ended");
    go_deaf(&b, false);
}
