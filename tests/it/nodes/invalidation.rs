//! The connection on which nodes learn of each other's changes is cut again and again: what they
//! remember is not believed meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::rounds::play;
use crate::support::{Backend, Nodes, wait_until};

const A_WHILE: Duration = Duration::from_secs(10);

#[test]
fn with_the_connection_cut_nobody_is_served_what_has_ended() {
    let nodes = Nodes::patient(Backend::Tiered, 3);
    let (is_over, cuts) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let cutter = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let cut = nodes.redis().run("CLIENT KILL TYPE pubsub").integer();
                cuts.fetch_add(usize::try_from(cut).expect("a count"), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        let game = scope.spawn(|| {
            play(
                &nodes,
                100,
                |visitor| drop(visitor.text(0, "/login/ada")),
                |visitor| drop(visitor.text(0, "/logout")),
            );
        });
        let outcome = game.join();
        is_over.store(true, Ordering::Relaxed);
        cutter.join().expect("redis lives");
        outcome.expect("all rounds end well");
    });
    let cuts = cuts.into_inner();
    eprintln!("the connection was cut {cuts} times");
    assert!(cuts > 10, "only {cuts} connections were cut: nothing was tested");
}

#[test]
fn counters_stay_exact_while_the_connection_is_cut() {
    let nodes = Nodes::patient(Backend::Tiered, 2);
    let mut guests = super::load::guests(&nodes, 4);
    super::load::under_load(&nodes, &mut guests, || {
        for _ in 0..30 {
            nodes.redis().run("CLIENT KILL TYPE pubsub");
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    for guest in &mut guests {
        assert_eq!(guest.tally.unknown, 0, "{:?}", guest.tally);
        guest.check(&nodes);
    }
}

/// What memory is for: with nothing changing, redis is not asked for the session.
#[test]
fn reads_come_from_memory() {
    let nodes = Nodes::patient(Backend::Tiered, 2);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    for node in 0..2 {
        wait_until("it reads from memory", A_WHILE, || {
            let before = gets(&nodes);
            (0..20).for_each(|_| assert_eq!(visitor.text(node, "/read"), "1"));
            gets(&nodes) == before
        });
    }
}

fn gets(nodes: &Nodes) -> String {
    nodes.redis().info("cmdstat_get")
}

/// A cookie with the old id could come after that of a login meanwhile, and take its place.
#[test]
fn who_loses_a_race_does_not_set_the_cookie_again() {
    let nodes = Nodes::patient(Backend::Tiered, 2);
    let mut early = nodes.visitor();
    early.text(0, "/count");
    wait_until("it reads from memory", A_WHILE, || {
        let before = gets(&nodes);
        early.text(0, "/read");
        gets(&nodes) == before
    });
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    // What it begins with lies in memory as it was made; what it finds in the end comes from redis.
    let mut slow = visitor.begin(0, "/count-and-wait");
    assert_eq!(visitor.text(1, "/count"), "2");
    let answer = slow.finish();
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.headers("set-cookie"), Vec::<&str>::new());
    visitor.expect(0, "/read", "3");
}
