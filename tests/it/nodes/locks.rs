//! The lock of a session across nodes, also when its holder dies or is stopped.

use std::time::{Duration, Instant};

use crate::support::{Backend, Nodes};

super::on_every_backend! {
    with_the_lock_even_a_get_and_a_set_lose_nothing
    turn_by_turn_each_gets_what_the_last_left
    who_locks_waits_for_the_holder_on_another_node
    a_holder_that_is_killed_delays_others_by_its_lease
    a_holder_that_was_stopped_too_long_stores_nothing
}

const SHORT_LEASE: (&str, &str) = ("MAYPOLE_SESSION_LOCK_LEASE", "2s");
const LEASE: Duration = Duration::from_secs(2);

fn with_the_lock_even_a_get_and_a_set_lose_nothing(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/locked");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut visitor = visitor.clone();
            scope.spawn(move || (0..20).for_each(|_| drop(visitor.text(number % 2, "/locked"))));
        }
    });
    // The first one made the session, when there was nothing to lock yet.
    visitor.expect(1, "/read", "81");
}

/// What the last holder left is what the next one gets, also on a node that remembers an older state.
fn turn_by_turn_each_gets_what_the_last_left(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let mut visitor = nodes.visitor();
    for turn in 1..=300 {
        assert_eq!(visitor.text(turn % 3, "/locked"), turn.to_string());
    }
}

fn who_locks_waits_for_the_holder_on_another_node(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    let mut holder = visitor.begin(0, "/lock-and-wait");
    let mut second = visitor.begin_unseen(1, "/lock-and-wait");
    // A request that does not lock is served meanwhile, and one on another node as well.
    visitor.expect(0, "/read", "1");
    visitor.expect(1, "/read", "1");
    let pause = Some(Duration::from_millis(150));
    second.wire.stream().set_read_timeout(pause).expect("a socket option");
    let early = second.wire.stream().peek(&mut [0]);
    assert!(early.is_err(), "the second holds the lock as well");
    second.wire.stream().set_read_timeout(Some(crate::support::PATIENCE)).expect("an option");
    assert_eq!(holder.finish().text(), "2");
    assert_eq!(second.wire.answer().status, 100);
    assert_eq!(second.finish().text(), "3");
}

fn a_holder_that_is_killed_delays_others_by_its_lease(backend: Backend) {
    let nodes = Nodes::patient_with(backend, 2, &[SHORT_LEASE]);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    let _holder = visitor.begin(0, "/lock-and-wait");
    let begun = Instant::now();
    nodes.kill(0);
    assert_eq!(visitor.text(1, "/locked"), "2");
    let waited = begun.elapsed();
    eprintln!("{backend:?}: the lock of a dead holder was free after {waited:?}");
    assert!(waited < LEASE * 5, "{waited:?}");
    nodes.restart(0);
    assert_eq!(visitor.text(0, "/locked"), "3");
}

fn a_holder_that_was_stopped_too_long_stores_nothing(backend: Backend) {
    let nodes = Nodes::patient_with(backend, 2, &[SHORT_LEASE]);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/set/base/1");
    let mut holder = visitor.begin(0, "/lock-and-wait");
    nodes.signal(0, libc::SIGSTOP);
    assert_eq!(visitor.text(1, "/locked"), "1");
    holder.wire.send("x");
    nodes.signal(0, libc::SIGCONT);
    let answer = holder.wire.answer();
    assert_eq!(answer.status, 503, "{}{}", answer.head, answer.text());
    assert_eq!(answer.headers("set-cookie"), Vec::<&str>::new());
    for node in 0..2 {
        visitor.expect(node, "/read", "1");
    }
}
