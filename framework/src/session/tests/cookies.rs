//! SESSIONS.md section 7: which cookies are read and sent.

use super::{CookieChange, Node};
use crate::session::events::Event;

fn plain() -> Node {
    Node::with(|_, policy| {
        policy.name = "session".to_owned();
        policy.secure = false;
    })
}

#[test]
fn of_several_cookies_up_to_three_are_tried() {
    let node = plain();
    let live = node.visitor();
    let dead = ["B", "C", "D"].map(|c| c.repeat(42) + "A");
    let get = |cookies: &[&str]| {
        node.manager.open(cookies.iter().copied(), None).get::<String>("who").unwrap()
    };
    assert!(get(&[&dead[0], "junk", &live]).is_some());
    assert!(get(&[&live, &live]).is_some(), "twice the same is one");
    assert!(get(&[&dead[0], &dead[1], &dead[2], &live]).is_none());
}

#[test]
fn two_live_sessions_are_an_empty_one_and_both_stay() {
    let node = plain();
    let (a, b) = (node.visitor(), node.visitor());
    let session = node.manager.open([a.as_str(), b.as_str()], None);
    assert_eq!(session.get::<String>("who").unwrap(), None);
    session.destroy().unwrap();
    assert_eq!(node.commit(&session), CookieChange::None);
    assert_eq!(node.count(Event::Ambiguous), 1);
    assert!(node.get::<String>(&a, "who").is_some());
    assert!(node.get::<String>(&b, "who").is_some());
}

#[test]
fn under_the_host_prefix_only_the_first_is_tried() {
    let node = Node::new();
    let live = node.visitor();
    let session = node.manager.open([&*"B".repeat(43), live.as_str()], None);
    assert_eq!(session.get::<String>("who").unwrap(), None);
}

#[test]
fn without_cookies_none_is_sent() {
    let node = Node::with(|_, policy| policy.use_cookies = false);
    let session = node.open("");
    session.set("a", 1).unwrap();
    assert_eq!(node.commit(&session), CookieChange::None);
}

#[test]
fn the_id_is_in_no_debug_output_and_no_store() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.get::<String>("who").unwrap();
    let shown = format!("{session:?} {:?} {:?}", node.manager, node.store);
    assert!(!shown.contains(&cookie));
    let id = crate::session::id::SessionId::parse(cookie.as_bytes()).unwrap();
    assert_eq!(format!("{id:?}"), "SessionId(secret)");
    let bytes = node.store.records().remove(0).1.bytes;
    assert!(!bytes.windows(43).any(|w| w == cookie.as_bytes()));
}
