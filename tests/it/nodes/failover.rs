//! A master that dies and is replaced by its replica, and slots that move between masters.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::load::{Guest, guests, under_load};
use crate::support::{
    Backend, Cluster, MASTER_NAME, Nodes, OddSentinel, PATIENCE, Redis, Replicated, WITH_PATIENCE,
    wait_until,
};

super::on_every_redis! {
    a_failover_loses_at_most_what_was_not_replicated
    with_wait_replicas_a_failover_loses_nothing
    a_failover_under_load_is_survived
    a_master_that_is_replaced_while_it_lives_is_left
    sentinels_that_know_no_master_are_passed_over
    a_sentinel_that_calls_the_master_by_another_name_ends_no_connection
    a_sentinel_that_names_another_server_for_good_ends_no_connection
    a_sentinel_that_is_heard_first_is_set_right_by_the_others
    a_master_that_is_named_by_hand_is_followed
    slots_of_a_cluster_move_under_load
}

/// From now on the replica gets nothing, and does not know it.
fn cut_replication(redis: &Replicated) {
    redis.wait_until_in_sync();
    redis.replica.signal(libc::SIGSTOP);
    redis.master.run("CLIENT KILL TYPE replica");
}

/// The master dies with all it did not replicate; the replica takes over.
fn fail_over(redis: &Replicated) {
    redis.master.kill();
    redis.replica.signal(libc::SIGCONT);
    redis.wait_until_promoted();
}

/// Waits until every node serves from the new master; how long it took.
fn wait_until_served(nodes: &Nodes, guest: &mut Guest<'_>) -> Duration {
    let begun = Instant::now();
    for node in 0..nodes.count() {
        wait_until("the node serves again", PATIENCE, || {
            guest.visitor.get(node, "/read").status == 200
        });
    }
    begun.elapsed()
}

fn a_failover_loses_at_most_what_was_not_replicated(backend: Backend) {
    let redis = Replicated::start();
    let nodes = Nodes::on_sentinel(backend, 2, &redis, &[WITH_PATIENCE]);
    let mut guests = guests(&nodes, 4);
    for turn in 0..40 {
        assert!(guests[turn % 4].count(turn % 2));
    }
    cut_replication(&redis);
    let safe: Vec<_> = guests.iter().map(|guest| guest.tally.acknowledged).collect();
    for turn in 0..20 {
        assert!(guests[turn % 4].count(turn % 2), "without wait_replicas nobody waits");
    }
    fail_over(&redis);
    let waited = wait_until_served(&nodes, &mut guests[0]);
    let mut lost = 0;
    for (guest, safe) in guests.iter_mut().zip(safe) {
        let found: i64 = guest.visitor.text(0, "/read").parse().expect("a number");
        guest.visitor.expect(1, "/read", found.to_string());
        assert!(found >= safe, "{found} of {safe} that were replicated");
        lost += guest.tally.acknowledged - found;
    }
    eprintln!("{backend:?}: {lost} lost of 20 that were not replicated; served after {waited:?}");
    assert!((0..=20).contains(&lost), "{lost}");
}

fn with_wait_replicas_a_failover_loses_nothing(backend: Backend) {
    let redis = Replicated::start();
    let nodes = Nodes::on_sentinel(backend, 2, &redis, &[WAIT_FOR_ONE]);
    let mut guests = guests(&nodes, 4);
    for turn in 0..40 {
        assert!(guests[turn % 4].count(turn % 2));
    }
    cut_replication(&redis);
    for (number, guest) in guests.iter_mut().enumerate() {
        assert!(!guest.count(number % 2), "acknowledged without a replica");
    }
    fail_over(&redis);
    let waited = wait_until_served(&nodes, &mut guests[0]);
    eprintln!("{backend:?}: served after {waited:?}");
    for guest in &mut guests {
        guest.check(&nodes);
    }
}

const WAIT_FOR_ONE: (&str, &str) = ("MAYPOLE_SESSION_REDIS_WAIT_REPLICAS", "1");

fn a_failover_under_load_is_survived(backend: Backend) {
    let redis = Replicated::start();
    let nodes = Nodes::on_sentinel(backend, 2, &redis, &[WAIT_FOR_ONE]);
    let mut guests = guests(&nodes, 4);
    let (mut probe, dead_for) = (nodes.visitor(), std::sync::Mutex::new(Duration::ZERO));
    probe.text(0, "/count");
    under_load(&nodes, &mut guests, || {
        std::thread::sleep(Duration::from_millis(500));
        redis.master.kill();
        let begun = Instant::now();
        redis.wait_until_promoted();
        let promoted = begun.elapsed();
        for node in 0..2 {
            wait_until("the node reads again", PATIENCE, || probe.get(node, "/read").status == 200);
        }
        eprintln!("{backend:?}: promoted after {promoted:?}, read after {:?}", begun.elapsed());
        *dead_for.lock().expect("nobody panicked") = begun.elapsed();
        // With wait_replicas nothing is acknowledged until there is a replica again.
        let _next = redis.add_replica();
        wait_until("the node writes again", PATIENCE, || probe.get(0, "/count").status == 200);
    });
    for guest in &mut guests {
        guest.check(&nodes);
    }
}

/// Sentinels make the old master a replica some ten seconds later. What it is told until then is
/// lost.
fn a_master_that_is_replaced_while_it_lives_is_left(backend: Backend) {
    let redis = Replicated::start();
    let nodes = Nodes::on_sentinel(backend, 2, &redis, &[WITH_PATIENCE]);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    visitor.text(1, "/count");
    replace_the_living_master(&redis, &nodes);
    visitor.text(0, "/count");
    visitor.expect(1, "/read", "3");
    assert_eq!(visitor.text(1, "/count"), "4");
}

/// The replica takes over from a master that goes on to answer: all nodes leave it, and serve.
fn replace_the_living_master(redis: &Replicated, nodes: &Nodes) {
    redis.wait_until_in_sync();
    redis.plan_failover();
    redis.wait_until_promoted();
    let begun = Instant::now();
    wait_until("nobody is at the old master", Duration::from_secs(5), || {
        connections_to(&redis.master).is_empty()
    });
    eprintln!("it was left after {:?}", begun.elapsed());
    let mut visitor = nodes.visitor();
    for node in 0..nodes.count() {
        wait_until("the node serves again", PATIENCE, || visitor.get(node, "/count").status == 200);
    }
}

/// The numbers of the connections that nodes have to a server.
fn connections_to(redis: &Redis) -> BTreeSet<String> {
    let list = redis.run("CLIENT LIST").text();
    let ours = list.lines().filter(|line| line.contains(" name=maypole"));
    ours.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn sentinels_that_know_no_master_are_passed_over(backend: Backend) {
    let redis = Replicated::start();
    let mut ignorant = OddSentinel::that_knows_nobody();
    let mut forgetful = OddSentinel::that_watches(&redis.master);
    ignorant.start();
    forgetful.start();
    let sentinels = [vec![ignorant.addr(), forgetful.addr()], redis.sentinels()].concat();
    let nodes = Nodes::on_sentinels(backend, 2, &sentinels, &[WITH_PATIENCE]);
    let mut visitor = nodes.visitor();
    assert_eq!(visitor.text(0, "/count"), "1");
    forgetful.run(&format!("SENTINEL REMOVE {MASTER_NAME}"));
    replace_the_living_master(&redis, &nodes);
    assert_eq!(visitor.text(1, "/count"), "2");
}

fn a_sentinel_that_calls_the_master_by_another_name_ends_no_connection(backend: Backend) {
    let redis = Replicated::start();
    let mut odd = OddSentinel::that_names_the_host_of(&redis.master);
    let nodes = nodes_that_hear_both(backend, &redis, &mut odd);
    assert_eq!(odd.master(), ["localhost".to_owned(), redis.master.port().to_string()]);
    expect_peace(&redis, &nodes);
    replace_the_living_master(&redis, &nodes);
}

/// It belongs to other servers, or is cut off from the others with a master that was replaced.
fn a_sentinel_that_names_another_server_for_good_ends_no_connection(backend: Backend) {
    let (redis, other) = (Replicated::start(), Redis::start());
    let mut odd = OddSentinel::that_watches(&other);
    let nodes = nodes_that_hear_both(backend, &redis, &mut odd);
    expect_peace(&redis, &nodes);
    let told = |node| {
        let words = nodes.words(node).into_iter();
        words.filter(|line| line.contains(&odd.addr()) && line.contains("goes on to call")).count()
    };
    wait_until("both nodes tell", PATIENCE, || told(0) > 0 && told(1) > 0);
    replace_the_living_master(&redis, &nodes);
    expect_peace_at(&redis.replica, &nodes);
    assert_eq!((told(0), told(1)), (1, 1), "once");
    assert_eq!(odd.master()[1], other.port().to_string());
    assert_eq!(other.run("DBSIZE").integer(), 0, "nobody was ever there");
}

fn a_sentinel_that_is_heard_first_is_set_right_by_the_others(backend: Backend) {
    let (redis, other) = (Replicated::start(), Redis::start());
    redis.plan_failover();
    redis.wait_until_promoted();
    let mut odd = OddSentinel::that_watches(&other);
    odd.start();
    let sentinels = [vec![odd.addr()], redis.sentinels()].concat();
    let nodes = Nodes::on_sentinels(backend, 2, &sentinels, &[WITH_PATIENCE]);
    wait_until("both are at the master of the later election", Duration::from_secs(5), || {
        connections_to(&other).is_empty() && connections_to(&redis.replica).len() >= 2
    });
    expect_peace_at(&redis.replica, &nodes);
}

/// Elections are numbered from the start then.
fn a_master_that_is_named_by_hand_is_followed(backend: Backend) {
    let (redis, other) = (Replicated::start(), Redis::start());
    let nodes = Nodes::on_sentinel(backend, 2, &redis, &[WITH_PATIENCE]);
    replace_the_living_master(&redis, &nodes);
    redis.name_by_hand(&other);
    wait_until("nobody is at the master before", Duration::from_secs(5), || {
        connections_to(&redis.replica).is_empty()
    });
    let mut visitor = nodes.visitor();
    for node in 0..2 {
        wait_until("the node serves again", PATIENCE, || visitor.get(node, "/count").status == 200);
    }
    expect_peace_at(&other, &nodes);
}

/// Two nodes that have heard of the master from others when the odd sentinel, which they would ask
/// first, comes up; then they connect anew.
fn nodes_that_hear_both(backend: Backend, redis: &Replicated, odd: &mut OddSentinel) -> Nodes {
    let sentinels = [vec![odd.addr()], redis.sentinels()].concat();
    let nodes = Nodes::on_sentinels(backend, 2, &sentinels, &[WITH_PATIENCE]);
    let mut visitor = nodes.visitor();
    (0..2).for_each(|node| drop(visitor.text(node, "/count")));
    odd.start();
    let before = connections_to(&redis.master);
    redis.master.run("CLIENT KILL TYPE normal");
    for node in 0..2 {
        wait_until("the node serves again", PATIENCE, || visitor.get(node, "/count").status == 200);
    }
    assert_ne!(connections_to(&redis.master), before);
    nodes
}

fn expect_peace(redis: &Replicated, nodes: &Nodes) {
    expect_peace_at(&redis.master, nodes);
}

/// For several seconds no connection ends and no request fails.
fn expect_peace_at(master: &Redis, nodes: &Nodes) {
    let mut guest = guests(nodes, 1).remove(0);
    let (begun, before) = (Instant::now(), connections_to(master));
    assert!(before.len() >= nodes.count(), "{before:?}");
    while begun.elapsed() < Duration::from_secs(4) {
        for node in 0..nodes.count() {
            assert!(guest.count(node), "{:?}", guest.tally);
        }
        let now = connections_to(master);
        assert!(now.is_superset(&before), "{before:?} became {now:?} after {:?}", begun.elapsed());
    }
    guest.check(nodes);
    eprintln!("in peace: {:?}", guest.tally);
}

fn slots_of_a_cluster_move_under_load(backend: Backend) {
    let cluster = Cluster::start();
    let nodes = Nodes::on_cluster(backend, 2, &cluster);
    let mut guests = guests(&nodes, 8);
    // Sessions that only lie there and are moved.
    let mut others: Vec<_> = (0..60).map(|_| nodes.visitor()).collect();
    for (number, other) in others.iter_mut().enumerate() {
        other.text(number % 2, &format!("/set/number/{number}"));
    }
    let moved = under_load(&nodes, &mut guests, || {
        let mut moved = BTreeSet::new();
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            for slot in cluster.slots_in_use(from) {
                if moved.insert(slot) {
                    cluster.move_slot(slot, from, to);
                }
            }
        }
        moved.len()
    });
    eprintln!("{backend:?}: {moved} slots moved");
    assert!(moved > 40, "{moved} slots moved");
    for guest in &mut guests {
        assert_eq!(guest.tally.refused, 0, "{:?}", guest.tally);
        guest.check(&nodes);
    }
    for (number, other) in others.iter_mut().enumerate() {
        for node in 0..2 {
            other.expect(node, "/get/number", number.to_string());
        }
    }
}
