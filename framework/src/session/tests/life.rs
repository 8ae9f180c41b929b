//! SESSIONS.md section 2: the life of a session within a request.

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, Session, after, kind};
use crate::error::ErrorKind;
use crate::session::events::Event;

#[test]
fn a_session_nobody_touches_costs_no_store_call_and_no_cookie() {
    let node = Node::new();
    let cookie = node.visitor();
    node.store.calls();
    node.pass(3600);
    let session = node.open(&cookie);
    let committed = node.manager.commit(&session, Outcome::Keep).unwrap();
    assert_eq!(committed.cookie, CookieChange::None);
    assert!(!committed.touched);
    assert_eq!(node.store.calls(), [""; 0]);
}

#[test]
fn the_first_write_mints_an_id_at_commit_and_not_before() {
    let node = Node::new();
    let session = node.open("");
    session.set("a", 1).unwrap();
    assert_eq!(node.store.calls(), [""; 0]);
    let committed = node.manager.commit(&session, Outcome::Keep).unwrap();
    assert!(committed.touched);
    assert_eq!(node.store.calls(), ["swap"]);
    let cookie = after("", &committed.cookie);
    assert_eq!(cookie.len(), 43);
    assert_eq!(node.get(&cookie, "a"), Some(1));
}

#[test]
fn reads_store_nothing_and_load_once() {
    let node = Node::new();
    let cookie = node.visitor();
    node.store.calls();
    let (_, same) = node.request(&cookie, |session| {
        session.get::<String>("who")?;
        session.keys()?;
        session.contains("else")
    });
    assert_eq!(same, cookie);
    assert_eq!(node.store.calls(), ["load"]);
    assert_eq!(node.request("", |session| session.get::<u8>("a")).1, "");
    assert_eq!(node.store.calls(), [""; 0]);
}

#[test]
fn removing_from_nothing_makes_no_session() {
    let node = Node::new();
    let (_, cookie) = node.request("", |session| {
        session.remove("a")?;
        session.clear()?;
        session.set("b", 1)?;
        session.remove("b")?;
        session.regenerate()?;
        session.destroy()
    });
    assert_eq!(cookie, "");
    assert!(node.store.records().is_empty());
}

#[test]
fn an_unknown_id_is_not_adopted() {
    let node = Node::new();
    let planted = "A".repeat(43);
    let (_, cookie) = node.request(&planted, |session| session.set("a", 1));
    assert_ne!(cookie, planted);
    assert_eq!(node.get::<u8>(&planted, "a"), None);
    assert_eq!(node.get(&cookie, "a"), Some(1));
    assert_eq!(node.count(Event::UnknownId), 2);
}

#[test]
fn a_read_with_an_unknown_or_malformed_cookie_changes_nothing() {
    let node = Node::new();
    for cookie in ["A".repeat(43), "B".repeat(43), "x".to_owned(), "é".repeat(30)] {
        let session = node.open(&cookie);
        assert_eq!(session.get::<u8>("a").unwrap(), None);
        assert_eq!(node.commit(&session), CookieChange::None);
    }
    assert!(node.store.records().is_empty());
}

#[test]
fn another_application_does_not_accept_the_id() {
    let node = Node::new();
    let cookie = node.visitor();
    let other = super::Manager::new(
        "other",
        node.store.clone(),
        node.manager.settings.clone(),
        node.manager.cookie.clone(),
        node.clock.clock(),
    );
    let session = std::sync::Arc::new(other.unwrap()).open([cookie.as_str()], None);
    assert_eq!(session.get::<String>("who").unwrap(), None);
}

#[test]
fn a_5xx_or_panic_discards_what_was_not_saved() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.set("saved", 1).unwrap();
    session.save().unwrap();
    session.set("lost", 1).unwrap();
    session.destroy().unwrap();
    let committed = node.manager.commit(&session, Outcome::Discard).unwrap();
    assert_eq!(committed.cookie, CookieChange::None);
    assert_eq!(node.get(&cookie, "saved"), Some(1));
    assert_eq!(node.get::<u8>(&cookie, "lost"), None);

    let session = node.open("");
    session.set("a", 1).unwrap();
    assert_eq!(node.manager.commit(&session, Outcome::Discard).unwrap().cookie, CookieChange::None);
    assert_eq!(node.store.records().len(), 1);
}

#[test]
fn a_saved_first_write_sends_its_cookie_though_the_handler_failed() {
    let node = Node::new();
    let session = node.open("");
    session.set("a", 1).unwrap();
    session.save().unwrap();
    let committed = node.manager.commit(&session, Outcome::Discard).unwrap();
    assert_eq!(node.get(&after("", &committed.cookie), "a"), Some(1));
}

#[test]
fn verbs_after_the_commit_fail_and_outside_a_request_too() {
    let node = Node::new();
    let (touched, untouched) = (node.open(""), node.open(""));
    touched.set("a", 1).unwrap();
    node.commit(&touched);
    node.commit(&untouched);
    for session in [touched, untouched] {
        assert_eq!(kind(session.get::<u8>("a")), ErrorKind::SessionClosed);
        assert_eq!(kind(session.save()), ErrorKind::SessionClosed);
    }
    let nobody = Session::detached();
    assert_eq!(kind(nobody.get::<u8>("a")), ErrorKind::NoRequest);
    assert_eq!(kind(nobody.increment("a", 1)), ErrorKind::NoRequest);
    assert_eq!(kind(nobody.login("eve")), ErrorKind::NoRequest);
    assert_eq!(kind(nobody.save()), ErrorKind::NoRequest);
}

#[test]
fn a_stream_saves_after_its_head_but_starts_no_session() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.increment("n", 1).unwrap();
    node.manager.commit(&session, Outcome::KeepOpen).unwrap();
    session.increment("n", 1).unwrap();
    session.save().unwrap();
    assert_eq!(kind(session.regenerate()), ErrorKind::SessionClosed);
    node.manager.finish(&session);
    assert_eq!(kind(session.get::<u8>("n")), ErrorKind::SessionClosed);
    assert_eq!(node.get(&cookie, "n"), Some(2));
    assert_eq!(node.count(Event::UnsavedChanges), 0);

    let stranger = node.open("");
    assert!(!node.manager.commit(&stranger, Outcome::KeepOpen).unwrap().touched);
    stranger.set("a", 1).unwrap();
    assert_eq!(kind(stranger.save()), ErrorKind::SessionClosed);
    node.manager.finish(&stranger);
    assert_eq!(node.count(Event::UnsavedChanges), 1);
    assert_eq!(node.store.records().len(), 1);
}

#[test]
fn a_commit_that_fails_sends_no_cookie_and_leaves_the_old_state() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.set("a", 1).unwrap();
    node.store.swaps_meet([Fault::Full]);
    assert_eq!(kind(node.manager.commit(&session, Outcome::Keep)), ErrorKind::StoreFull);
    assert_eq!(node.get::<u8>(&cookie, "a"), None);
    assert_eq!(node.get(&cookie, "who"), Some("me".to_owned()));
}

#[test]
fn clones_are_one_session() {
    let node = Node::new();
    let session = node.open("");
    let child = session.clone();
    child.set("a", 1).unwrap();
    assert_eq!(session.get("a").unwrap(), Some(1));
    node.commit(&session);
    assert_eq!(kind(child.get::<u8>("a")), ErrorKind::SessionClosed);
}
