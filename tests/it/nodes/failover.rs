//! A master that dies and is replaced by its replica, and slots that move between masters.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::load::{Guest, guests, under_load};
use crate::support::{Backend, Cluster, Nodes, Replicated, wait_until};

super::on_every_redis! {
    a_failover_loses_at_most_what_was_not_replicated
    with_wait_replicas_a_failover_loses_nothing
    a_failover_under_load_is_survived
    a_master_that_is_replaced_while_it_lives_is_left
    slots_of_a_cluster_move_under_load
}

const PATIENT: Duration = Duration::from_secs(20);

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
        wait_until("the node serves again", PATIENT, || {
            guest.visitor.get(node, "/read").status == 200
        });
    }
    begun.elapsed()
}

fn a_failover_loses_at_most_what_was_not_replicated(backend: Backend) {
    let redis = Replicated::start();
    let nodes = Nodes::on_sentinel(backend, 2, &redis, &[]);
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
            wait_until("the node reads again", PATIENT, || probe.get(node, "/read").status == 200);
        }
        eprintln!("{backend:?}: promoted after {promoted:?}, read after {:?}", begun.elapsed());
        *dead_for.lock().expect("nobody panicked") = begun.elapsed();
        // With wait_replicas nothing is acknowledged until there is a replica again.
        let _next = redis.add_replica();
        wait_until("the node writes again", PATIENT, || probe.get(0, "/count").status == 200);
    });
    for guest in &mut guests {
        guest.check(&nodes);
    }
}

/// Sentinels make the old master a replica some ten seconds later. What it is told until then is
/// lost.
fn a_master_that_is_replaced_while_it_lives_is_left(backend: Backend) {
    let redis = Replicated::start();
    let nodes = Nodes::on_sentinel(backend, 2, &redis, &[]);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    visitor.text(1, "/count");
    redis.wait_until_in_sync();
    redis.plan_failover();
    redis.wait_until_promoted();
    let begun = Instant::now();
    wait_until("nobody is at the old master", Duration::from_secs(5), || {
        !redis.master.run("CLIENT LIST").text().contains("name=maypole")
    });
    eprintln!("{backend:?}: it was left after {:?}", begun.elapsed());
    for node in 0..2 {
        wait_until("the node serves again", PATIENT, || visitor.get(node, "/read").status == 200);
    }
    visitor.text(0, "/count");
    visitor.expect(1, "/read", "3");
    assert_eq!(visitor.text(1, "/count"), "4");
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
