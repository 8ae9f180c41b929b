//! How many sessions one user may have, and the index they are counted by.

use std::collections::BTreeSet;

use super::memory::Fault;
use super::users::{devices, is_in, login};
use super::{Node, Outcome, after, kind};
use crate::config::UserPolicy;
use crate::error::ErrorKind;
use crate::session::Session;
use crate::session::events::Event;

fn limited(max: usize, policy: UserPolicy) -> Node {
    Node::with(|settings, _| {
        settings.max_sessions_per_user = max;
        settings.user_policy = policy;
    })
}

#[test]
pub(super) fn beyond_the_limit_the_oldest_login_ends() {
    let node = limited(3, UserPolicy::EndOldest);
    let mut cookies = Vec::new();
    for _ in 0..6 {
        cookies.push(login(&node, "ann"));
        node.pass(1);
    }
    let living: Vec<_> = cookies.iter().map(|cookie| is_in(&node, cookie)).collect();
    assert_eq!(living, [false, false, false, true, true, true]);
    assert_eq!(node.count(Event::Displaced), 3);
    assert!(is_in(&node, &login(&node, "bob")));
}

#[test]
pub(super) fn beyond_the_limit_a_login_is_refused_and_the_session_is_as_before() {
    let node = limited(2, UserPolicy::Refuse);
    let first = login(&node, "ann");
    login(&node, "ann");
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.login("ann").unwrap();
    let error = node.manager.commit(&session, Outcome::Keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManySessions);
    assert_eq!(error.status(), crate::StatusCode::CONFLICT);
    assert!(node.get::<String>(&cookie, "who").is_some());
    // A session that logs in again takes its own place, a logout makes room.
    let (_, first) = node.request(&first, |session| session.login("ann"));
    assert!(is_in(&node, &first));
    node.request(&first, Session::logout);
    assert!(is_in(&node, &login(&node, "ann")));
}

#[test]
pub(super) fn a_login_under_way_counts_and_one_that_failed_does_not() {
    let node = limited(1, UserPolicy::Refuse);
    let other = node.other();
    let (a, b) = (node.visitor(), node.visitor());
    let session = node.open(&a);
    session.login("ann").unwrap();
    // Entered, not yet made.
    node.store.before_swap(1, move || {
        let second = other.open(&b);
        second.login("ann").unwrap();
        let failed = other.manager.commit(&second, Outcome::Keep);
        assert_eq!(kind(failed), ErrorKind::TooManySessions);
    });
    let a = after(&a, &node.commit(&session));
    assert!(is_in(&node, &a));

    let node = limited(1, UserPolicy::Refuse);
    let session = node.open("");
    session.login("ann").unwrap();
    node.store.swaps_meet([Fault::Fine, Fault::Full]);
    assert_eq!(kind(node.manager.commit(&session, Outcome::Keep)), ErrorKind::StoreFull);
    assert!(is_in(&node, &login(&node, "ann")));
}

#[test]
pub(super) fn a_refused_login_leaves_no_index_behind() {
    for is_visitor in [false, true] {
        let node = Node::new();
        let cookie = if is_visitor { node.visitor() } else { String::new() };
        let refused = || {
            let session = node.open(&cookie);
            session.login("ann").unwrap();
            // The index takes it, the session finds no room.
            node.store.swaps_meet([Fault::Fine, Fault::Full]);
            assert_eq!(kind(node.manager.commit(&session, Outcome::Keep)), ErrorKind::StoreFull);
        };
        let before = node.living();
        refused();
        assert_eq!(node.living(), before, "{is_visitor}: nothing takes a place");
        // Where the user has a session, its entry stays.
        let elsewhere = login(&node, "ann");
        refused();
        assert_eq!(devices(&node, &elsewhere, "ann").len(), 1);
        assert_eq!(node.manager.index("ann", node.clock.now()).unwrap().places.len(), 1);
        let (_, cookie) = node.request(&cookie, |session| session.login("ann"));
        assert!(is_in(&node, &cookie));
        assert_eq!(devices(&node, &elsewhere, "ann").len(), 2);
    }
}

#[test]
pub(super) fn a_login_that_comes_as_another_is_refused_is_listed() {
    // Before the refused one's entry is taken back, and after.
    for skip in [2, 1] {
        let node = Node::new();
        let (other, faults) = (node.other(), [Fault::Fine, Fault::Full]);
        let session = node.open("");
        session.login("ann").unwrap();
        let (listed, seen) = std::sync::mpsc::channel();
        node.store.swaps_meet(if skip == 2 { &faults[..] } else { &[] }.iter().copied());
        let comes = move || listed.send(login(&other, "ann")).unwrap();
        if skip == 1 {
            let store = std::sync::Arc::clone(&node.store);
            node.store.before_swap(1, move || {
                comes();
                store.swaps_meet([Fault::Full]);
            });
        } else {
            node.store.before_swap(2, comes);
        }
        assert_eq!(kind(node.manager.commit(&session, Outcome::Keep)), ErrorKind::StoreFull);
        let cookie = seen.try_recv().unwrap();
        assert!(is_in(&node, &cookie));
        assert_eq!(devices(&node, &cookie, "ann").len(), 1, "{skip}");
    }
}

#[test]
pub(super) fn the_index_does_not_grow_with_changes_of_id() {
    let node = limited(5, UserPolicy::Refuse);
    let mut cookie = login(&node, "ann");
    for _ in 0..50 {
        node.pass(61);
        cookie = node.request(&cookie, Session::rotate).1;
    }
    assert_eq!(devices(&node, &cookie, "ann").len(), 1);
    let index = node.manager.index("ann", node.clock.now()).unwrap();
    assert!(index.keys().len() <= 10, "{}", index.keys().len());
    let all: BTreeSet<_> = (0..4).map(|_| login(&node, "ann")).collect();
    assert!(all.iter().all(|cookie| is_in(&node, cookie)));
}

#[test]
pub(super) fn logins_at_once_are_all_listed() {
    let node = std::sync::Arc::new(Node::new());
    let other = std::sync::Arc::new(node.other());
    let workers: Vec<_> = (0..20)
        .map(|n| {
            let node = std::sync::Arc::clone(if n % 2 == 0 { &node } else { &other });
            crate::runtime::spawn(move || login(&node, "ann")).unwrap()
        })
        .collect();
    let cookies: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    assert_eq!(devices(&node, &cookies[0], "ann").len(), 20);
}
