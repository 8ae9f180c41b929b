//! SESSIONS.md section 8: time.

use std::time::Duration;

use super::{CookieChange, Node, Outcome};

const HOUR: u64 = 3600;

#[test]
pub(super) fn a_touch_is_throttled_and_makes_no_new_version() {
    let node = Node::new();
    let cookie = node.visitor();
    let version = node.store.records()[0].1.version;
    assert!(node.store.records()[0].1.evictable);
    // The first visit after the first minute: the session may no longer be evicted.
    node.pass(60);
    node.store.calls();
    node.get::<String>(&cookie, "who");
    assert_eq!(node.store.calls(), ["load", "touch"]);
    assert!(!node.store.records()[0].1.evictable);
    node.pass(59);
    let session = node.open(&cookie);
    session.get::<String>("who").unwrap();
    assert_eq!(node.commit(&session), CookieChange::None);
    assert_eq!(node.store.calls(), ["load"]);
    node.pass(1);
    let session = node.open(&cookie);
    session.get::<String>("who").unwrap();
    assert!(matches!(node.commit(&session), CookieChange::Set(_)), "the browser's copy is renewed");
    assert_eq!(node.store.calls(), ["load", "touch"]);
    let stored = &node.store.records()[0].1;
    assert_eq!(stored.version, version);
    assert_eq!(stored.last_seen, node.clock.now());
    assert_eq!(stored.deadline, node.clock.now() + Duration::from_secs(24 * HOUR));
}

#[test]
pub(super) fn a_touch_in_flight_does_not_revive_a_destroyed_session() {
    let node = Node::new();
    let cookie = node.visitor();
    for _ in 0..2 {
        node.pass(60);
        node.get::<String>(&cookie, "who");
    }
    node.pass(60);
    let reader = node.open(&cookie);
    reader.get::<String>("who").unwrap();
    node.request(&cookie, |session| session.destroy());
    assert_eq!(node.commit(&reader), CookieChange::None);
    assert_eq!(node.get::<String>(&cookie, "who"), None);
    node.pass(61);
    let deadline = node.store.records()[0].1.deadline;
    assert!(deadline <= node.clock.now(), "nothing outlives the tombstone");
}

#[test]
pub(super) fn writes_renew_the_cookie_no_more_often_than_touches() {
    let node = Node::new();
    let cookie = node.visitor();
    for (secs, renews) in [(30, false), (29, false), (1, true), (59, false), (1, true)] {
        node.pass(secs);
        let session = node.open(&cookie);
        session.increment("n", 1).unwrap();
        assert_eq!(matches!(node.commit(&session), CookieChange::Set(_)), renews, "after {secs} s");
    }
    assert_eq!(node.get(&cookie, "n"), Some(5));
}

#[test]
pub(super) fn an_idle_session_is_gone_and_a_used_one_is_not() {
    let node = Node::new();
    let (idle, used) = (node.visitor(), node.visitor());
    for _ in 0..3 {
        node.pass(23 * HOUR);
        assert!(node.get::<String>(&used, "who").is_some());
    }
    assert_eq!(node.get::<String>(&idle, "who"), None);
    node.pass(24 * HOUR);
    assert_eq!(node.get::<String>(&used, "who"), None);
}

#[test]
pub(super) fn no_use_keeps_a_session_beyond_its_absolute_end() {
    let node = Node::new();
    let cookie = node.visitor();
    for _ in 0..(30 * 24 / 20 - 1) {
        node.pass(20 * HOUR);
        node.request(&cookie, |session| session.increment("n", 1));
    }
    let (left, _) = node.request(&cookie, |session| session.expires_in());
    assert!(left.unwrap() <= Duration::from_secs(20 * HOUR));
    node.pass(20 * HOUR);
    assert_eq!(node.get::<i64>(&cookie, "n"), None);
}

#[test]
pub(super) fn login_does_not_move_the_absolute_end() {
    let node = Node::with(|settings, _| settings.absolute_timeout = Duration::from_secs(HOUR));
    let cookie = node.visitor();
    node.pass(HOUR / 2);
    let (_, cookie) = node.request(&cookie, |session| session.login("ann"));
    node.pass(HOUR / 2);
    assert_eq!(node.request(&cookie, |session| session.user()).0, None);
}

#[test]
pub(super) fn a_first_lifetime_holds_until_the_second_visit() {
    let node = Node::with(|settings, _| settings.first_lifetime = Some(Duration::from_secs(300)));
    let (once, twice) = (node.visitor(), node.visitor());
    node.pass(10);
    node.get::<String>(&twice, "who");
    node.pass(290);
    assert_eq!(node.get::<String>(&once, "who"), None);
    assert!(node.get::<String>(&twice, "who").is_some());
}

#[test]
pub(super) fn only_anonymous_sessions_seen_once_may_be_evicted() {
    let node = Node::new();
    let evictable = || node.store.records().iter().filter(|(_, s)| s.evictable).count();
    let cookie = node.visitor();
    assert_eq!(evictable(), 1);
    node.request(&cookie, |session| session.set("a", 1));
    assert_eq!(evictable(), 0);
    node.request("", |session| session.login("ann"));
    assert_eq!(evictable(), 0);
}

#[test]
pub(super) fn a_stream_that_saves_late_does_not_make_its_session_evictable_again() {
    let node = Node::new();
    let stream = node.open("");
    stream.set("a", 1).unwrap();
    let committed = node.manager.commit(&stream, Outcome::KeepOpen).unwrap();
    let cookie = super::after("", &committed.cookie);
    assert!(node.store.records()[0].1.evictable);
    node.pass(60);
    node.get::<u8>(&cookie, "a");
    assert!(!node.store.records()[0].1.evictable);
    stream.set("b", 1).unwrap();
    stream.save().unwrap();
    assert!(!node.store.records()[0].1.evictable);
    assert_eq!(node.get(&cookie, "b"), Some(1));
}

#[test]
pub(super) fn a_session_has_timeouts_of_its_own_until_another_user_logs_in() {
    let node = Node::new();
    let (days, week) = (86_400, Duration::from_secs(7 * 86_400));
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.set_timeouts(week, week * 2).unwrap();
    let CookieChange::Set(line) = node.commit(&session) else { panic!("the cookie follows") };
    assert!(line.contains("Max-Age=604800;"), "{line}");
    node.pass(6 * days);
    assert!(node.get::<String>(&cookie, "who").is_some());
    let (left, _) = node.request(&cookie, |session| session.expires_in());
    assert_eq!(left, Some(week));
    node.pass(6 * days);
    assert!(node.get::<String>(&cookie, "who").is_some());
    let (_, cookie) = node.request(&cookie, |session| session.login("ann"));
    let (left, _) = node.request(&cookie, |session| session.expires_in());
    let left = left.unwrap().as_secs_f64().round();
    assert_eq!(left, 172_800.0, "the absolute end counts from creation");
    let (_, cookie) = node.request(&cookie, |session| session.login("bob"));
    let (left, _) = node.request(&cookie, |session| session.expires_in());
    assert_eq!(left, Some(Duration::from_secs(days)), "as configured");
}

#[test]
pub(super) fn shorter_timeouts_hold_at_once_and_senseless_ones_are_refused() {
    let node = Node::new();
    let minute = Duration::from_secs(60);
    let (_, cookie) = node.request("", |session| {
        session.set("a", 1)?;
        session.set_timeouts(minute, minute * 2)
    });
    node.pass(60);
    assert_eq!(node.get::<u8>(&cookie, "a"), None);
    let session = node.open("");
    for (idle, absolute) in
        [(Duration::ZERO, minute), (minute * 2, minute), (minute, Duration::from_secs(1 << 40))]
    {
        let failed = session.set_timeouts(idle, absolute);
        assert_eq!(super::kind(failed), crate::ErrorKind::SessionValue);
    }
}

#[test]
pub(super) fn a_remembered_visitor_has_a_cookie_that_outlives_the_browser_window() {
    let node = Node::with(|_, policy| policy.lifespan = Duration::ZERO);
    let session = node.open("");
    session.login("ann").unwrap();
    session.remember().unwrap();
    let change = node.commit(&session);
    let CookieChange::Set(line) = &change else { panic!("{change:?}") };
    assert!(line.contains("Max-Age=2592000;"), "{line}");
    let cookie = super::after("", &change);
    node.pass(29 * 86_400);
    let session = node.open(&cookie);
    assert_eq!(session.user().unwrap().as_deref(), Some("ann"));
    let CookieChange::Set(line) = node.commit(&session) else { panic!("it is renewed") };
    assert!(line.contains("Max-Age=2592000;"), "{line}");
    // A change of id keeps it, and the index of the user lives as long.
    let (_, cookie) = node.request(&cookie, |session| session.rotate());
    for _ in 0..2 {
        node.pass(29 * 86_400);
        let (devices, _) = node.request(&cookie, |session| session.sessions_of("ann"));
        assert_eq!(devices.len(), 1);
    }
    node.pass(4 * 86_400);
    assert_eq!(node.request(&cookie, |session| session.user()).0, None, "90 days are over");
}
