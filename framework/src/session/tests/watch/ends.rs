//! Every way a session can end, seen from its own node and from another.

use std::time::Duration;

use super::{Pair, SessionEnd, eventually, follow};
use crate::error::Result;
use crate::session::Session;

/// Two followers of one bound session, on two nodes, are told of this end.
fn check(name: &str, end: fn(&Pair, &str), expected: SessionEnd) {
    for node in [0, 1] {
        let pair = Pair::with(|settings| settings.max_sessions_per_user = 1);
        let cookie = pair.a().visitor();
        let cookie = pair.a().request(&cookie, |session| session.login("ada")).1;
        let (_session, told, _watching) = follow(&pair.nodes[node], &cookie);
        end(&pair, &cookie);
        pair.nodes[node].manager.watchers.tick();
        eventually(&(name, Some(expected)), || (name, told.end()));
        eventually(&(0, 0, 0), || pair.nodes[node].manager.watchers.sizes());
        assert_eq!(pair.bus.followed(node), 0, "{name}");
    }
}

fn act(pair: &Pair, cookie: &str, handler: fn(&Session) -> Result<()>) {
    pair.a().request(cookie, handler);
}

#[test]
fn by_its_owner() {
    check("logout", |pair, cookie| act(pair, cookie, Session::logout), SessionEnd::Destroyed);
    check("destroy", |pair, cookie| act(pair, cookie, Session::destroy), SessionEnd::Destroyed);
    let regenerate = |pair: &Pair, cookie: &str| act(pair, cookie, Session::regenerate);
    check("regenerate", regenerate, SessionEnd::Replaced);
    let login = |pair: &Pair, cookie: &str| act(pair, cookie, |session| session.login("ada"));
    check("login", login, SessionEnd::Replaced);
}

#[test]
fn by_other_sessions_of_its_user() {
    let by_handle = |pair: &Pair, cookie: &str| {
        let handle = pair.a().request(cookie, Session::handle).0.unwrap();
        let admin = pair.a().visitor();
        assert!(pair.a().request(&admin, |session| session.revoke("ada", handle)).0);
    };
    check("revoke", by_handle, SessionEnd::Destroyed);
    let displaced = |pair: &Pair, _: &str| {
        let second = pair.a().visitor();
        act(pair, &second, |session| session.login("ada"));
    };
    check("displaced", displaced, SessionEnd::Destroyed);
    let all = |pair: &Pair, _: &str| {
        let admin = pair.a().visitor();
        act(pair, &admin, |session| session.revoke_all("ada"));
    };
    check("revoke_all", all, SessionEnd::Revoked);
    let everybody = |pair: &Pair, _: &str| {
        let admin = pair.a().visitor();
        act(pair, &admin, Session::revoke_everybody);
    };
    check("revoke_everybody", everybody, SessionEnd::Revoked);
}

#[test]
fn who_ends_all_others_is_not_ended() {
    let pair = Pair::new();
    let login = || {
        let cookie = pair.a().visitor();
        pair.a().request(&cookie, |session| session.login("ada")).1
    };
    let (own, other) = (login(), login());
    let following: Vec<_> =
        pair.nodes.iter().map(|node| (follow(node, &own), follow(node, &other))).collect();
    pair.b().request(&own, Session::revoke_others);
    for (_, (_, told, _)) in &following {
        eventually(&Some(SessionEnd::Revoked), || told.end());
    }
    pair.b().request(&own, |session| session.set("still", "here"));
    for ((_, told, _), _) in &following {
        eventually(&vec!["still".to_owned()], || told.keys());
    }
    // Longer than a revocation is doubted.
    crate::sleep(2 * Duration::from_millis(100));
    pair.nodes.iter().for_each(|node| assert!(node.manager.watchers.tick()));
    crate::sleep(Duration::from_millis(50));
    assert!(following.iter().all(|((_, told, _), _)| told.end().is_none()));
}

#[test]
fn by_time() {
    check("idle", |pair, _| pair.a().pass(24 * 3600), SessionEnd::Expired);
    let absolute = |pair: &Pair, cookie: &str| {
        for _ in 0..60 {
            pair.a().pass(12 * 3600);
            if pair.b().get::<String>(cookie, "who").is_none() {
                return;
            }
        }
    };
    check("absolute", absolute, SessionEnd::Expired);
}

#[test]
fn not_by_time_while_others_use_it() {
    let pair = Pair::new();
    let cookie = pair.a().visitor();
    let (_session, told, _watching) = follow(pair.a(), &cookie);
    for _ in 0..5 {
        pair.a().pass(20 * 3600);
        // Renews it without a new version, so no hint comes.
        assert!(pair.b().get::<String>(&cookie, "who").is_some());
        pair.a().manager.watchers.tick();
        crate::sleep(Duration::from_millis(10));
        assert_eq!(told.end(), None);
    }
    pair.a().pass(24 * 3600);
    pair.a().manager.watchers.tick();
    eventually(&Some(SessionEnd::Expired), || told.end());
}

#[test]
fn by_the_store() {
    let pair = Pair::new();
    let cookie = pair.a().visitor();
    let (_session, told, _watching) = follow(pair.a(), &cookie);
    for (key, _) in pair.a().store.records() {
        pair.a().store.forget(&key);
    }
    // Nobody tells of it: it is found when everything is looked at.
    for _ in 0..70 {
        pair.a().manager.watchers.tick();
    }
    eventually(&Some(SessionEnd::Evicted), || told.end());
}
