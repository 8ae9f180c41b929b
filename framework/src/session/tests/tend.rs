//! What those who look after a store do to it: looking, ending, and taking in records of another.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::users::{devices, is_in, login};
use super::{Node, Session};
use crate::session::reserved::{self, Index, LockState, Place};
use crate::session::{RecordKind, StoreKey, Stored, TakenIn};

/// All records of a node.
fn records(node: &Node) -> Vec<(StoreKey, Stored)> {
    let now = node.clock.now();
    node.store.records().into_iter().filter(|(_, stored)| stored.deadline > now).collect()
}

/// Takes all records of one node in on another; gives the outcomes that are not `Same`.
fn carry(from: &Node, to: &Node, replaces: bool) -> Vec<TakenIn> {
    let taken = |(key, stored)| to.manager.take_in(&key, &stored, replaces).unwrap();
    let mut taken: Vec<_> = records(from).into_iter().map(taken).collect();
    taken.retain(|taken| *taken != TakenIn::Same);
    taken
}

/// Another store with the same clock.
fn elsewhere(node: &Node) -> Node {
    Node { store: Arc::default(), ..node.other() }.other()
}

#[test]
fn kinds_are_told_and_revoked_sessions_marked() {
    let node = Node::new();
    let (ann, bob) = (login(&node, "ann"), login(&node, "bob"));
    node.request(&node.visitor(), Session::regenerate);
    node.request(&node.visitor(), Session::rotate);
    node.request(&node.visitor(), Session::destroy);
    node.request(&bob, Session::lock);
    node.request(&ann, |session| session.revoke_all("ann"));
    let inspected = node.manager.inspect(records(&node)).unwrap();
    let mut kinds: Vec<_> = inspected.iter().map(|it| (it.kind, it.is_revoked)).collect();
    kinds.sort_unstable();
    let live = [(RecordKind::Session, false); 3];
    assert_eq!(kinds[..3], live, "bob and two renewed");
    let others: Vec<_> = kinds[3..].iter().map(|(kind, _)| *kind).collect();
    for kind in [
        RecordKind::Ended,
        RecordKind::Replaced,
        RecordKind::Rotated,
        RecordKind::UserIndex,
        RecordKind::Epoch,
        RecordKind::Lock,
    ] {
        assert!(others.contains(&kind), "{kind} in {others:?}");
    }
}

#[test]
fn a_session_whose_user_was_revoked_beside_it_is_marked() {
    let node = Node::new();
    login(&node, "ann");
    assert_eq!(node.manager.end_user("ann").unwrap(), 1);
    let inspected = node.manager.inspect(records(&node)).unwrap();
    let revoked = inspected.iter().filter(|it| it.is_revoked).map(|it| it.kind);
    assert_eq!(revoked.collect::<Vec<_>>(), [RecordKind::Session]);
}

#[test]
fn epochs_only_rise_whatever_comes_in() {
    let node = Node::new();
    let ann = login(&node, "ann");
    node.manager.end_everybody().unwrap();
    let old = elsewhere(&node);
    carry(&node, &old, false);
    node.pass(1);
    node.manager.end_everybody().unwrap();
    let cookie = login(&node, "ann");
    // The older epoch does not bring ann's first session back, nor end anything.
    assert_eq!(carry(&old, &node, true), []);
    assert_eq!((is_in(&node, &ann), is_in(&node, &cookie)), (false, true));
    // The newer one comes in, and ends what was bound under the older.
    let there = login(&old, "ann");
    assert!(is_in(&old, &there));
    node.pass(1);
    node.manager.end_everybody().unwrap();
    assert!(carry(&node, &old, false).contains(&TakenIn::Updated));
    assert!(!is_in(&old, &there));
}

#[test]
fn indices_are_joined() {
    let node = Node::new();
    let (here, other) = (login(&node, "ann"), elsewhere(&node));
    let there = login(&other, "ann");
    let taken = carry(&node, &other, false);
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(taken.contains(&TakenIn::Added) && taken.contains(&TakenIn::Updated));
    assert_eq!(devices(&other, &there, "ann").len(), 2);
    assert!(is_in(&other, &here));
    let mut index = Index { places: Vec::new() };
    let place = |n: u8| Place {
        key: StoreKey::from_bytes([n; 32]),
        since: SystemTime::UNIX_EPOCH + Duration::from_secs(n.into()),
    };
    index.join(&Index { places: vec![place(2), place(1)] });
    index.join(&Index { places: vec![place(1)] });
    assert_eq!(index.places, [place(1), place(2)], "oldest first, each once");
}

#[test]
fn a_session_is_brought_forward_but_not_back() {
    let node = Node::new();
    let cookie = node.visitor();
    let other = elsewhere(&node);
    assert_eq!(carry(&node, &other, false), [TakenIn::Added]);
    assert_eq!(carry(&node, &other, false), []);
    node.request(&cookie, |session| session.set("n", 1));
    assert_eq!(carry(&other, &node, false), [TakenIn::Kept]);
    assert_eq!(node.get::<i32>(&cookie, "n"), Some(1));
    assert_eq!(carry(&node, &other, false), [TakenIn::Updated]);
    assert_eq!(other.get::<i32>(&cookie, "n"), Some(1));
    // Both go on: neither is the later.
    node.request(&cookie, |session| session.set("n", 2));
    other.request(&cookie, |session| session.set("n", 3));
    assert_eq!(carry(&node, &other, false), [TakenIn::Kept]);
    assert_eq!(other.get::<i32>(&cookie, "n"), Some(3));
    assert_eq!(carry(&node, &other, true), [TakenIn::Updated]);
    assert_eq!(other.get::<i32>(&cookie, "n"), Some(2));
}

#[test]
fn an_end_travels_and_is_never_undone() {
    let node = Node::new();
    let cookie = node.visitor();
    let other = elsewhere(&node);
    carry(&node, &other, false);
    node.request(&cookie, Session::destroy);
    for replaces in [false, true] {
        assert_eq!(carry(&other, &node, replaces), [TakenIn::Ended]);
        assert_eq!(node.get::<String>(&cookie, "who"), None);
    }
    assert_eq!(carry(&node, &other, false), [TakenIn::Updated]);
    assert_eq!(other.get::<String>(&cookie, "who"), None);
    assert_eq!(carry(&node, &other, false), []);
}

#[test]
fn the_expired_locks_and_garbage_stay_behind() {
    let node = Node::new();
    node.visitor();
    let other = elsewhere(&node);
    let (key, session) = records(&node).remove(0);
    let give = |stored: &Stored| other.manager.take_in(&key, stored, true).unwrap();
    let lock = LockState::Held { mark: 1, until: session.deadline };
    let lock = Stored { bytes: reserved::encode_lock(lock), ..session.clone() };
    assert_eq!(give(&lock), TakenIn::Skipped);
    for bytes in [vec![], b"garbage".to_vec(), session.bytes[..20].to_vec()] {
        assert_eq!(give(&Stored { bytes, ..session.clone() }), TakenIn::Skipped);
    }
    let deadline = node.clock.now();
    assert_eq!(give(&Stored { deadline, ..session.clone() }), TakenIn::Expired);
    assert_eq!(records(&other), []);
    node.pass(31 * 24 * 3600);
    let forever = node.clock.now() + Duration::from_secs(1000);
    assert_eq!(give(&Stored { deadline: forever, ..session }), TakenIn::Expired, "by its own end");
    assert_eq!(records(&other), []);
}
