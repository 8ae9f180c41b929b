//! SESSIONS.md section 4: two requests of one session at once.

use std::sync::Arc;

use super::{CookieChange, Node, after, kind};
use crate::error::ErrorKind;
use crate::session::events::Event;

#[test]
pub(super) fn interleaved_increments_are_all_there() {
    let node = Node::new();
    let other = node.other();
    let cookie = node.visitor();
    let sessions: Vec<_> = (0..50)
        .map(|n| if n % 2 == 0 { node.open(&cookie) } else { other.open(&cookie) })
        .collect();
    for session in &sessions {
        session.increment("n", 1).unwrap();
        session.push("list", 1).unwrap();
        session.update("sum", |sum: &mut u32| *sum += 2).unwrap();
    }
    for (n, session) in sessions.iter().enumerate() {
        if n % 2 == 0 {
            node.commit(session)
        } else {
            other.commit(session)
        };
    }
    assert_eq!(node.get(&cookie, "n"), Some(50));
    assert_eq!(node.get(&cookie, "list"), Some(vec![1; 50]));
    assert_eq!(node.get(&cookie, "sum"), Some(100));
}

#[test]
pub(super) fn a_thousand_increments_of_two_nodes_in_parallel_are_a_thousand() {
    let node = Arc::new(Node::new());
    let other = Arc::new(node.other());
    let cookie: Arc<str> = node.visitor().into();
    let workers: Vec<_> = (0..20)
        .map(|n| {
            let (node, cookie) =
                (Arc::clone(if n % 2 == 0 { &node } else { &other }), Arc::clone(&cookie));
            crate::runtime::spawn(move || {
                for _ in 0..50 {
                    node.request(&cookie, |session| session.increment("n", 1));
                }
            })
            .unwrap()
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(node.get(&cookie, "n"), Some(1000));
}

#[test]
pub(super) fn writers_of_different_keys_and_leaves_do_not_undo_each_other() {
    let node = Node::new();
    let (_, cookie) = node.request("", |session| {
        session.set("gone", 1)?;
        session.merge("m", serde_json::json!({"a": 0}))
    });
    let sessions: Vec<_> = (0..4).map(|_| node.open(&cookie)).collect();
    sessions[0].remove("gone").unwrap();
    sessions[1].set("j", 1).unwrap();
    sessions[1].merge("m", serde_json::json!({"b": 1})).unwrap();
    sessions[2].set("k", 2).unwrap();
    sessions[2].merge("m", serde_json::json!({"c": 2})).unwrap();
    assert_eq!(sessions[3].get("gone").unwrap(), Some(1));
    for session in &sessions {
        assert_eq!(node.commit(session), CookieChange::None);
    }
    assert_eq!(node.get::<u8>(&cookie, "gone"), None);
    assert_eq!(node.get(&cookie, "j"), Some(1));
    assert_eq!(node.get(&cookie, "k"), Some(2));
    let merged = node.get::<serde_json::Value>(&cookie, "m").unwrap();
    assert_eq!(merged, serde_json::json!({"a": 0, "b": 1, "c": 2}));
}

#[test]
pub(super) fn a_destroyed_session_is_not_revived_by_a_writer_in_flight() {
    let node = Node::new();
    let cookie = node.visitor();
    let writer = node.open(&cookie);
    writer.set("late", 1).unwrap();
    let saver = node.open(&cookie);
    saver.set("late", 1).unwrap();
    let reader = node.open(&cookie);
    reader.get::<String>("who").unwrap();
    node.request(&cookie, |session| session.destroy());

    assert_eq!(node.commit(&writer), CookieChange::None);
    assert_eq!(kind(saver.save()), ErrorKind::SessionGone);
    assert_eq!(node.commit(&saver), CookieChange::None);
    node.pass(70);
    assert_eq!(node.commit(&reader), CookieChange::None);
    assert_eq!(node.count(Event::GoneWrite), 2);
    assert_eq!(node.get::<u8>(&cookie, "late"), None);
}

#[test]
pub(super) fn a_writer_finds_it_gone_after_the_tombstone_too() {
    let node = Node::new();
    let cookie = node.visitor();
    let writer = node.open(&cookie);
    writer.set("late", 1).unwrap();
    node.request(&cookie, |session| session.destroy());
    node.pass(61);
    assert_eq!(node.commit(&writer), CookieChange::None);
    assert_eq!(node.get::<u8>(&cookie, "late"), None);
}

#[test]
pub(super) fn destroy_wins_over_a_faster_writer() {
    let node = Node::new();
    let cookie = node.visitor();
    let destroyer = node.open(&cookie);
    destroyer.destroy().unwrap();
    destroyer.get::<u8>("a").unwrap();
    node.request(&cookie, |session| session.set("b", 1));
    assert!(matches!(node.commit(&destroyer), CookieChange::Delete(_)));
    assert_eq!(node.get::<u8>(&cookie, "b"), None);
}

#[test]
pub(super) fn five_requests_take_one_flash() {
    let node = Node::new();
    let other = node.other();
    let (_, cookie) = node.request("", |session| session.flash("notice", "once"));
    let sessions: Vec<_> =
        (0..5).map(|n| if n % 2 == 0 { node.open(&cookie) } else { other.open(&cookie) }).collect();
    for session in &sessions {
        session.get::<u8>("a").unwrap();
    }
    let taken: Vec<_> =
        sessions.iter().filter_map(|s| s.take_flash::<String>("notice").unwrap()).collect();
    assert_eq!(taken, ["once"]);
}

#[test]
pub(super) fn ten_first_requests_make_ten_sessions() {
    let node = Node::new();
    let sessions: Vec<_> = (0..10).map(|_| node.open("")).collect();
    for (n, session) in sessions.iter().enumerate() {
        session.set("n", n).unwrap();
    }
    let cookies: Vec<_> = sessions.iter().map(|s| after("", &node.commit(s))).collect();
    for (n, cookie) in cookies.iter().enumerate() {
        assert_eq!(node.get(cookie, "n"), Some(n));
    }
    assert_eq!(node.store.records().len(), 10);
}

#[test]
pub(super) fn an_operation_that_no_longer_fits_fails_the_commit_and_stores_nothing() {
    let node = Node::new();
    let cookie = node.visitor();
    let writer = node.open(&cookie);
    writer.increment("n", 1).unwrap();
    writer.set("other", 1).unwrap();
    node.request(&cookie, |session| session.set("n", "a word"));
    let failed = node.manager.commit(&writer, super::Outcome::Keep);
    assert_eq!(kind(failed), ErrorKind::SessionValue);
    assert_eq!(node.get::<u8>(&cookie, "other"), None);
    assert_eq!(node.get(&cookie, "n"), Some("a word".to_owned()));
}
