//! Sizes and rates.

use std::net::IpAddr;

use super::{CookieChange, Node, Outcome, kind};
use crate::error::ErrorKind;
use crate::session::events::Event;
use crate::session::record::Entry;

#[test]
fn an_oversized_write_is_an_error_naming_the_key_and_the_session_stays_usable() {
    let node = Node::with(|settings, _| settings.max_session_bytes = 1000);
    let cookie = node.visitor();
    let session = node.open(&cookie);
    let error = session.set("picture", "x".repeat(1000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionTooLarge);
    assert!(error.to_string().contains("\"picture\""), "{error}");
    session.set("small", 1).unwrap();
    node.commit(&session);
    assert_eq!(node.get(&cookie, "small"), Some(1));
}

#[test]
fn two_writes_that_fit_alone_and_not_together_fail_the_second_commit() {
    let node = Node::with(|settings, _| settings.max_session_bytes = 1000);
    let cookie = node.visitor();
    let (a, b) = (node.open(&cookie), node.open(&cookie));
    a.set("a", "x".repeat(500)).unwrap();
    b.set("b", "x".repeat(600)).unwrap();
    node.commit(&a);
    let error = node.manager.commit(&b, Outcome::Keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionTooLarge);
    assert!(error.to_string().contains("\"b\""), "{error}");
    assert!(node.get::<String>(&cookie, "a").is_some());
}

#[test]
fn one_address_may_start_so_many_sessions_a_minute() {
    let node = Node::with(|settings, _| settings.new_sessions_per_minute = 3);
    let start = |addr: &str| {
        let session = node.manager.open([], Some(addr.parse::<IpAddr>().unwrap()));
        session.set("a", 1).unwrap();
        node.manager.commit(&session, Outcome::Keep)
    };
    for n in 0..3 {
        assert!(matches!(start(&format!("2001:db8::{n}")).unwrap().cookie, CookieChange::Set(_)));
    }
    assert_eq!(kind(start("2001:db8::9")), ErrorKind::Overloaded, "one /64 is one client");
    assert!(start("192.0.2.1").is_ok());
    assert_eq!(node.count(Event::CreationRefused), 1);
    node.pass(60);
    assert!(start("2001:db8::9").is_ok());
}

#[test]
fn a_session_that_exists_is_not_limited() {
    let node = Node::with(|settings, _| settings.new_sessions_per_minute = 1);
    let mut cookie = node.visitor();
    for _ in 0..5 {
        cookie = node.request(&cookie, |session| session.regenerate()).1;
    }
    assert_eq!(node.get(&cookie, "who"), Some("me".to_owned()));
}

#[test]
fn a_request_that_does_not_touch_its_session_pays_for_few_bytes() {
    assert!(size_of::<crate::session::session::Inner>() <= 256);
}

#[test]
fn a_full_store_refuses_who_logs_in_without_a_session_and_nobody_else() {
    let node = Node::new();
    let cookie = node.visitor();
    node.store.refuse_newcomers(true);
    let session = node.open("");
    session.login("ann").unwrap();
    let refused = node.manager.commit(&session, Outcome::Keep);
    assert_eq!(kind(refused), ErrorKind::StoreFull);
    assert_eq!(node.manager.after_failure(&session).cookie, CookieChange::None);
    assert_eq!(node.request(&cookie, |session| session.sessions_of("ann")).0.len(), 0);
    let (_, cookie) = node.request(&cookie, |session| session.login("ann"));
    assert_eq!(node.request(&cookie, |session| session.user()).0.as_deref(), Some("ann"));
    node.store.refuse_newcomers(false);
    node.request("", |session| session.login("bob"));
    let bound = node.store.records().into_iter().filter(|(_, stored)| {
        matches!(Entry::decode(stored.bytes.clone()), Ok(Entry::Session(it)) if it.user.is_some())
    });
    assert_eq!(bound.map(|(_, stored)| stored.evictable).collect::<Vec<_>>(), [false, false]);
}
