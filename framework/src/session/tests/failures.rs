//! A store that does not answer, and records that cannot be read.

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, after, kind};
use crate::error::{ErrorKind, Result};
use crate::session::events::Event;
use crate::session::{Session, Stored};

#[test]
pub(super) fn a_swap_whose_answer_was_lost_is_not_applied_twice() {
    let node = Node::new();
    let cookie = node.visitor();
    for fault in [Fault::AnswerLost, Fault::Lost] {
        let before = node.get(&cookie, "n").unwrap_or(0);
        node.store.swaps_meet([fault]);
        node.request(&cookie, |session| session.increment("n", 1));
        assert_eq!(node.get(&cookie, "n"), Some(before + 1), "{fault:?}");
    }
    assert_eq!(node.count(Event::UnknownOutcome), 2);
}

#[test]
pub(super) fn it_is_recognised_though_others_wrote_after_it() {
    let node = Node::new();
    let other = node.other();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.increment("n", 1).unwrap();
    node.store.swaps_meet([Fault::AnswerLost]);
    let old = cookie.clone();
    node.store.before_load(0, move || {
        for _ in 0..15 {
            other.request(&old, |session| session.increment("n", 100));
        }
    });
    node.commit(&session);
    assert_eq!(node.get(&cookie, "n"), Some(1501));
}

#[test]
pub(super) fn a_store_that_stays_away_is_a_503_without_cookie() {
    let node = Node::new();
    let session = node.open("");
    session.set("a", 1).unwrap();
    node.store.swaps_meet([Fault::Lost; 8]);
    let error = node.manager.commit(&session, Outcome::Keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(error.status(), crate::StatusCode::SERVICE_UNAVAILABLE);

    let node = Node::new();
    let cookie = node.visitor();
    node.store.break_loads(true);
    let session = node.open(&cookie);
    assert_eq!(kind(session.get::<u8>("a")), ErrorKind::StoreUnavailable);
    assert_eq!(kind(session.set("a", 1)), ErrorKind::StoreUnavailable);
    assert_eq!(node.commit(&session), CookieChange::None);
    node.store.break_loads(false);
    assert_eq!(node.get(&cookie, "who"), Some("me".to_owned()));
}

#[test]
pub(super) fn what_the_store_refused_is_a_503_at_once_and_nobody_looks_again() {
    type Handler = fn(&Session) -> Result<()>;
    let handlers: [(&str, Handler); 5] = [
        ("a change", |session| session.increment("n", 1).map(drop)),
        ("an end", Session::destroy),
        ("a renewal", Session::rotate),
        ("a login", |session| session.login("ann")),
        ("an account", |session| session.take::<String>("who").map(drop)),
    ];
    for (name, handler) in handlers {
        let node = Node::new();
        let cookie = node.visitor();
        let session = node.open(&cookie);
        session.get::<u8>("n").unwrap();
        node.store.calls();
        node.store.swaps_meet([Fault::Refused]);
        // Only `take` asks the store at once.
        let refused =
            handler(&session).and_then(|()| node.manager.commit(&session, Outcome::Keep).map(drop));
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{name}");
        assert!(error.chain().ends_with("it changed nothing: not now"), "{}", error.chain());
        let calls = node.store.calls();
        let swaps = calls.iter().filter(|call| **call == "swap").count();
        assert_eq!((swaps, calls.last()), (1, Some(&"swap")), "{name}: {calls:?}");
        assert_eq!(node.count(Event::UnknownOutcome), 0, "{name}");
        assert_eq!(node.get(&cookie, "who"), Some("me".to_owned()), "{name}");
        assert_eq!(node.get::<u8>(&cookie, "n"), None, "{name}");
    }
    let node = Node::new();
    let session = node.open("");
    session.set("a", 1).unwrap();
    node.store.swaps_meet([Fault::Refused]);
    let refused = node.manager.commit(&session, Outcome::Keep);
    assert_eq!(kind(refused), ErrorKind::StoreUnavailable);
    assert_eq!(node.store.calls(), ["swap"]);
    assert!(node.store.records().is_empty());
}

#[test]
pub(super) fn an_unknown_outcome_that_left_the_window_of_tokens_is_a_503_and_not_applied_again() {
    let node = Node::new();
    let other = node.other();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.increment("n", 1).unwrap();
    // Our swap is lost; while it is, another node writes more often than tokens are kept.
    let old = cookie.clone();
    node.store.before_swap(0, move || {
        for _ in 0..17 {
            other.request(&old, |session| session.increment("n", 100));
        }
        other.store.swaps_meet([Fault::Lost]);
    });
    let failed = node.manager.commit(&session, Outcome::Keep);
    assert_eq!(kind(failed), ErrorKind::StoreUnavailable);
    assert_eq!(node.get(&cookie, "n"), Some(1700));
}

#[test]
pub(super) fn conflicts_are_retried_within_a_bound() {
    let node = Node::new();
    let cookie = node.visitor();
    node.store.swaps_meet([Fault::Conflict; 5]);
    node.request(&cookie, |session| session.increment("n", 1));
    assert_eq!(node.get(&cookie, "n"), Some(1));
    assert_eq!(node.count(Event::Conflict), 5);

    let session = node.open(&cookie);
    session.increment("n", 1).unwrap();
    node.store.swaps_meet([Fault::Conflict; 100]);
    let failed = node.manager.commit(&session, Outcome::Keep);
    assert_eq!(kind(failed), ErrorKind::SessionConflict);
    assert_eq!(node.count(Event::ConflictGivenUp), 1);
}

#[test]
pub(super) fn a_new_session_whose_answer_was_lost_is_found_again() {
    let node = Node::new();
    node.store.swaps_meet([Fault::AnswerLost]);
    let (_, cookie) = node.request("", |session| session.set("a", 1));
    assert_eq!(node.get(&cookie, "a"), Some(1));
    node.store.swaps_meet([Fault::Lost]);
    let (_, cookie) = node.request("", |session| session.set("a", 2));
    assert_eq!(node.get(&cookie, "a"), Some(2));
    assert_eq!(node.store.records().len(), 2);
}

#[test]
pub(super) fn a_destroy_whose_answer_was_lost_still_deletes_the_cookie() {
    for fault in [Fault::Lost, Fault::AnswerLost] {
        let node = Node::new();
        let cookie = node.visitor();
        let session = node.open(&cookie);
        session.destroy().unwrap();
        node.store.swaps_meet([fault]);
        assert!(matches!(node.commit(&session), CookieChange::Delete(_)), "{fault:?}");
        assert_eq!(node.get::<String>(&cookie, "who"), None);
    }
}

#[test]
pub(super) fn a_take_whose_answer_was_lost_gives_the_value_once() {
    for fault in [Fault::Lost, Fault::AnswerLost] {
        let node = Node::new();
        let cookie = node.visitor();
        node.store.swaps_meet([fault]);
        let (taken, _) = node.request(&cookie, |session| session.take::<String>("who"));
        assert_eq!(taken.as_deref(), Some("me"), "{fault:?}");
        assert_eq!(node.get::<String>(&cookie, "who"), None);
    }
}

#[test]
pub(super) fn a_record_that_cannot_be_read_is_an_empty_session_and_never_an_error() {
    let node = Node::new();
    let cookie = node.visitor();
    let (key, stored) = node.store.records().remove(0);
    let mut later = stored.bytes.clone();
    later[0] = 9;
    for bytes in [Vec::new(), vec![0; 300], later, stored.bytes[..60].to_vec()] {
        node.store.put(key, &Stored { bytes, ..stored.clone() });
        assert_eq!(node.get::<String>(&cookie, "who"), None);
        let (_, fresh) = node.request(&cookie, |session| session.set("a", 1));
        assert_ne!(fresh, cookie, "a damaged record is not adopted");
        assert_eq!(node.get(&fresh, "a"), Some(1));
    }
}

#[test]
pub(super) fn one_value_that_cannot_be_read_harms_no_other() {
    let node = Node::new();
    let (_, cookie) = node.request("", |session| {
        session.set("bad", "12345678")?;
        session.set("good", 1)
    });
    let (key, mut stored) = node.store.records().remove(0);
    let at = stored.bytes.windows(8).position(|w| w == b"12345678").unwrap();
    stored.bytes[at - 1] = 0xff;
    node.store.put(key, &stored);
    let session = node.open(&cookie);
    assert_eq!(kind(session.get::<String>("bad")), ErrorKind::SessionValue);
    assert_eq!(session.get("good").unwrap(), Some(1));
    session.remove("bad").unwrap();
    let cookie = after(&cookie, &node.commit(&session));
    assert_eq!(node.get::<String>(&cookie, "bad"), None);
}
