//! SESSIONS.md section 3: the verbs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CookieChange, Node, Outcome, after, kind};
use crate::error::{ErrorKind, Result};
use crate::session::Session;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
    note: Option<String>,
}

impl crate::session::SessionView for Cart {
    const KEY: &'static str = "cart";
}

#[test]
fn every_value_comes_back_in_the_next_request() {
    let node = Node::new();
    let cart = Cart { items: vec!["tea".to_owned()], note: None };
    let (_, cookie) = node.request("", |session| {
        session.set("cart", &cart)?;
        session.set("float", 1.5)?;
        session.set("unit", ())?;
        session.set("", "empty key")?;
        session.set("k\u{0}=;\n é 🍵", u64::MAX)?;
        session.set("tuple", (1, "x", [true]))
    });
    let (keys, _) = node.request(&cookie, |session| {
        assert_eq!(session.get("cart")?, Some(cart.clone()));
        assert_eq!(session.get("float")?, Some(1.5));
        assert_eq!(session.get("unit")?, Some(()));
        assert_eq!(session.get("")?, Some("empty key".to_owned()));
        assert_eq!(session.get("k\u{0}=;\n é 🍵")?, Some(u64::MAX));
        assert_eq!(session.get("tuple")?, Some((1, "x".to_owned(), [true])));
        assert_eq!(session.get_or("none", 7)?, 7);
        session.keys()
    });
    assert_eq!(keys.len(), 6);
}

#[test]
fn a_value_of_another_type_names_key_expected_and_found_and_no_value() {
    let node = Node::new();
    let session = node.open("");
    session.set("user", "a secret").unwrap();
    session.set("n", 1).unwrap();
    let error = session.get::<u32>("user").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionValue);
    assert_eq!(
        error.chain(),
        "the value of session key \"user\" has another type: expected u32, found text"
    );
    for error in [
        session.increment("user", 1).unwrap_err(),
        session.push("user", 1).unwrap_err(),
        session.merge("user", BTreeMap::from([("a", 1)])).unwrap_err(),
        session.update("user", |_: &mut u8| {}).unwrap_err(),
        session.take::<u8>("user").unwrap_err(),
        session.merge("other", 1).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::SessionValue, "{error}");
        assert!(!error.chain().contains("secret"), "{error:?}");
    }
    assert_eq!(session.get("n").unwrap(), Some(1));
    assert_eq!(session.get("user").unwrap(), Some("a secret".to_owned()));
}

#[test]
fn increment_starts_at_nought_and_does_not_wrap() {
    let node = Node::new();
    let session = node.open("");
    assert_eq!(session.increment("n", 2).unwrap(), 2);
    assert_eq!(session.increment("n", -5).unwrap(), -3);
    session.set("max", i64::MAX).unwrap();
    assert_eq!(kind(session.increment("max", 1)), ErrorKind::SessionValue);
    assert_eq!(session.get("max").unwrap(), Some(i64::MAX));
    session.set("big", u64::MAX).unwrap();
    assert_eq!(kind(session.increment("big", 1)), ErrorKind::SessionValue);
}

#[test]
fn push_counts_over_every_length_of_array_head() {
    let node = Node::new();
    let session = node.open("");
    for n in 0..300_usize {
        assert_eq!(session.push("list", n).unwrap(), n + 1);
    }
    assert_eq!(session.get::<Vec<usize>>("list").unwrap().unwrap(), Vec::from_iter(0..300));
}

#[test]
fn merge_joins_maps_leaf_by_leaf() {
    let node = Node::new();
    let session = node.open("");
    session.merge("m", serde_json::json!({"a": {"x": 1, "y": 2}, "b": 1})).unwrap();
    session.merge("m", serde_json::json!({"a": {"y": 3, "z": {"q": 4}}, "b": {"c": 5}})).unwrap();
    let merged: serde_json::Value = session.get("m").unwrap().unwrap();
    assert_eq!(merged, serde_json::json!({"a": {"x": 1, "y": 3, "z": {"q": 4}}, "b": {"c": 5}}));
}

#[test]
fn update_starts_from_the_default() {
    let node = Node::new();
    let add = |cart: &mut Cart| cart.items.push("tea".to_owned());
    let (cart, cookie) = node.request("", |session| session.update("cart", add));
    assert_eq!(cart.items.len(), 1);
    let (cart, _) = node.request(&cookie, |session| session.update("cart", add));
    assert_eq!(cart.items.len(), 2);
}

#[test]
fn clear_removes_values_and_messages_but_keeps_the_session() {
    let node = Node::new();
    let cookie = node.visitor();
    node.request(&cookie, |session| session.flash("f", 1));
    let (_, same) = node.request(&cookie, |session| {
        session.clear()?;
        session.set("new", 1)
    });
    assert_eq!(same, cookie);
    let (keys, _) = node.request(&cookie, |session| {
        assert_eq!(session.take_flash::<u8>("f")?, None);
        session.keys()
    });
    assert_eq!(Vec::from_iter(keys), ["new"]);
}

#[test]
fn take_gives_the_value_at_once_and_a_later_failure_does_not_give_it_back() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.set("unsaved", 1).unwrap();
    assert_eq!(session.take("who").unwrap(), Some("me".to_owned()));
    assert_eq!(session.get::<String>("who").unwrap(), None);
    assert_eq!(session.get("unsaved").unwrap(), Some(1));
    node.manager.commit(&session, Outcome::Discard).unwrap();
    assert_eq!(node.get::<String>(&cookie, "who"), None);
    assert_eq!(node.get::<u8>(&cookie, "unsaved"), None);
}

#[test]
fn take_sees_the_requests_own_changes() {
    let node = Node::new();
    let (_, cookie) = node.request("", |session| session.set("n", 1));
    let (taken, _) = node.request(&cookie, |session| {
        session.increment("n", 1)?;
        let first = session.take::<i64>("n")?;
        session.increment("n", 5)?;
        Ok((first, session.take::<i64>("n")?, session.take::<i64>("n")?))
    });
    assert_eq!(taken, (Some(2), Some(5), None));
    assert_eq!(node.get::<i64>(&cookie, "n"), None);
}

#[test]
fn a_flash_message_does_not_meet_a_key_of_the_same_name() {
    let node = Node::new();
    let (_, cookie) = node.request("", |session| {
        session.set("notice", "value")?;
        session.flash("notice", "message")
    });
    let (flash, _) = node.request(&cookie, |session| session.take_flash::<String>("notice"));
    assert_eq!(flash.as_deref(), Some("message"));
    assert_eq!(node.get(&cookie, "notice"), Some("value".to_owned()));
    let (again, _) = node.request(&cookie, |session| session.take_flash::<String>("notice"));
    assert_eq!(again, None);
}

#[test]
fn destroy_deletes_the_cookie_and_later_writes_start_anew() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.destroy().unwrap();
    assert_eq!(session.get::<String>("who").unwrap(), None);
    assert_eq!(session.handle().unwrap(), None);
    assert!(matches!(node.commit(&session), CookieChange::Delete(_)));
    assert_eq!(node.get::<String>(&cookie, "who"), None);

    let cookie = node.visitor();
    let (_, fresh) = node.request(&cookie, |session| {
        session.set("void", 1)?;
        session.logout()?;
        session.flash("notice", "bye")
    });
    assert_ne!(fresh, cookie);
    assert_eq!(node.get::<String>(&cookie, "who"), None);
    let (notice, _) = node.request(&fresh, |session| {
        assert!(session.keys()?.is_empty());
        session.take_flash::<String>("notice")
    });
    assert_eq!(notice.as_deref(), Some("bye"));
}

#[test]
fn save_shows_the_committed_state_and_reload_keeps_own_changes() {
    let node = Node::new();
    let cookie = node.visitor();
    let (a, b) = (node.open(&cookie), node.open(&cookie));
    assert_eq!(a.increment("n", 1).unwrap(), 1);
    b.increment("n", 10).unwrap();
    node.commit(&b);
    a.save().unwrap();
    assert_eq!(a.get("n").unwrap(), Some(11));
    node.request(&cookie, |session| session.increment("n", 100));
    a.increment("n", 1).unwrap();
    a.reload().unwrap();
    assert_eq!(a.get("n").unwrap(), Some(112));
    node.commit(&a);
    assert_eq!(node.get(&cookie, "n"), Some(112));
}

#[test]
fn the_handle_stays_with_the_session_and_is_not_the_id() {
    let node = Node::new();
    let cookie = node.visitor();
    let (handle, _) = node.request(&cookie, |session| session.handle());
    let (_, cookie2) = node.request(&cookie, |session| session.login("ann"));
    let (again, _) = node.request(&cookie2, |session| session.handle());
    assert_eq!(handle, again);
    let text = handle.unwrap().to_string();
    assert_eq!(crate::session::Handle::parse(&text), handle);
    assert!(!cookie.contains(&text) && !cookie2.contains(&text));
}

#[test]
fn a_key_may_have_255_bytes() {
    let node = Node::new();
    let (longest, longer) = ("k".repeat(255), "k".repeat(256));
    let (_, cookie) = node.request("", |session| session.set(&longest, 1));
    assert_eq!(node.get(&cookie, &longest), Some(1));
    assert_eq!(kind(node.open("").set(&longer, 1)), ErrorKind::SessionValue);
}

#[test]
fn a_panicking_update_leaves_the_session_usable() {
    let node = Node::new();
    let session = node.open("");
    session.set("n", 1).unwrap();
    let panicking = std::panic::AssertUnwindSafe(|| {
        session.update("n", |_: &mut i32| panic!("the handler's own")).ok();
    });
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(session.get("n").unwrap(), Some(1));
    node.commit(&session);
}

#[test]
fn the_last_of_login_and_logout_in_one_request_holds() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_, fresh) = node.request(&cookie, |session| {
        session.logout()?;
        assert_eq!(session.user()?, None);
        session.login("ann")
    });
    let (user, _) = node.request(&fresh, |session| {
        assert!(session.keys()?.is_empty(), "nothing of the session that was left");
        session.user()
    });
    assert_eq!(user.as_deref(), Some("ann"));
    assert_eq!(node.get::<String>(&cookie, "who"), None);

    let (_, nothing) = node.request(&fresh, |session| {
        session.login("bob")?;
        session.save()?;
        session.logout()
    });
    assert_eq!(nothing, "", "one deletion cookie, though a new id was stored on the way");
    let live = node.store.records().into_iter().filter(|(_, s)| s.bytes[1] == 1).count();
    assert_eq!(live, 0);
}

#[test]
fn an_update_that_uses_the_session_is_an_error_and_no_deadlock() {
    let node = Node::new();
    let session = node.open("");
    let inner = session.clone();
    let seen = std::sync::Arc::new(crate::sync::Mutex::new(None));
    let tell = std::sync::Arc::clone(&seen);
    session
        .update("a", move |value: &mut u8| {
            *value += 1;
            *tell.lock() = Some(kind(inner.get::<u8>("b")));
        })
        .unwrap();
    assert_eq!(*seen.lock(), Some(ErrorKind::SessionInUse));
    assert_eq!(session.get("a").unwrap(), Some(1));
    // And when it runs again at commit.
    let cookie = super::after("", &node.commit(&session));
    let session = node.open(&cookie);
    let (inner, tell) = (session.clone(), std::sync::Arc::clone(&seen));
    session
        .update("a", move |value: &mut u8| {
            *value += 1;
            *tell.lock() = Some(kind(inner.get::<u8>("b")));
        })
        .unwrap();
    node.request(&cookie, |session| session.set("other", 1));
    *seen.lock() = None;
    node.commit(&session);
    assert_eq!(*seen.lock(), Some(ErrorKind::SessionInUse));
    assert_eq!(node.get(&cookie, "a"), Some(2));
}

/// Runs `verb` in a job on the blocking pool, as a handler would.
fn on_pool(session: &Session, verb: fn(&Session) -> Result<()>) -> Result<()> {
    let session = session.clone();
    let handler = move || crate::blocking(move || verb(&session)).unwrap();
    crate::runtime::spawn(handler).unwrap().join().unwrap()
}

#[test]
fn a_job_on_the_blocking_pool_is_told_that_it_cannot_ask_the_store() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    let check_refused = |verb| {
        let error = on_pool(&session, verb).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionOnPool, "{error:?}");
        assert_eq!(error.status(), crate::StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error.is_unavailable() && error.chain().contains("before the job"), "{error:?}");
    };
    check_refused(|session| session.get::<String>("who").map(drop));
    check_refused(|session| session.set("who", "you"));
    assert_eq!(session.get("who").unwrap(), Some("me".to_owned()), "loaded outside of the job");
    on_pool(&session, |session| session.get::<String>("who").map(drop)).unwrap();
    on_pool(&session, |session| session.increment("n", 1).map(drop)).unwrap();
    check_refused(Session::save);
    check_refused(Session::reload);
    check_refused(Session::lock);
    check_refused(|session| session.take::<String>("who").map(drop));
    check_refused(|session| session.login("ann"));
    node.commit(&session);
    assert_eq!(node.get(&cookie, "n"), Some(1), "what the job changed is stored at the commit");
    let stranger = node.open("");
    on_pool(&stranger, |session| session.get::<u8>("who").map(drop)).unwrap();
    on_pool(&stranger, |session| session.set("who", 1)).unwrap();
    assert_eq!(node.get(&after("", &node.commit(&stranger)), "who"), Some(1));
}

#[test]
fn a_view_is_one_struct_that_loses_no_update() {
    let node = Node::new();
    let cookie = node.visitor();
    let (a, b) = (node.open(&cookie), node.open(&cookie));
    for (session, item) in [(&a, "tea"), (&b, "milk")] {
        let cart = session.view::<Cart>();
        assert_eq!(cart.get().unwrap(), Cart::default());
        cart.update(move |cart| cart.items.push(item.to_owned())).unwrap();
    }
    node.commit(&a);
    node.commit(&b);
    let (cart, _) = node.request(&cookie, |session| {
        let view = session.view::<Cart>();
        let cart = view.take()?.unwrap();
        assert_eq!(view.get()?, Cart::default());
        view.set(&cart)?;
        view.update(|cart| cart.note = Some("soon".to_owned()))
    });
    assert_eq!(cart.items, ["tea", "milk"]);
    assert_eq!(node.get::<Cart>(&cookie, "cart").unwrap().note.as_deref(), Some("soon"));
    node.request(&cookie, |session| session.view::<Cart>().remove());
    assert_eq!(node.get::<Cart>(&cookie, "cart"), None);
}

#[test]
fn a_value_that_refuses_to_be_stored_says_why() {
    struct Connection;

    impl serde::Serialize for Connection {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("a connection cannot be stored"))
        }
    }

    let error = Node::new().open("").set("db", Connection).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionValue);
    assert_eq!(
        error.chain(),
        "the value for session key \"db\" cannot be stored: a connection cannot be stored"
    );
}
