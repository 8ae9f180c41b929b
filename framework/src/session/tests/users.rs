//! SESSIONS.md section 8: users, their devices, and ending sessions.

use std::time::Duration;

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, after, kind};
use crate::error::ErrorKind;
use crate::session::events::Event;
use crate::session::{Device, Handle, Session};

pub(super) fn login(node: &Node, user: &str) -> String {
    node.request("", |session| session.login(user)).1
}

fn user(node: &Node, cookie: &str) -> Option<String> {
    node.request(cookie, Session::user).0
}

pub(super) fn is_in(node: &Node, cookie: &str) -> bool {
    user(node, cookie).is_some()
}

pub(super) fn devices(node: &Node, cookie: &str, user: &str) -> Vec<Device> {
    node.request(cookie, |session| session.sessions_of(user)).0
}

fn handle(node: &Node, cookie: &str) -> Handle {
    node.request(cookie, Session::handle).0.unwrap()
}

#[test]
pub(super) fn a_bound_session_costs_two_more_lookups_and_an_anonymous_one_none() {
    let node = Node::new();
    let (anonymous, bound) = (node.visitor(), login(&node, "ann"));
    node.store.calls();
    node.request(&anonymous, |session| session.get::<u8>("a"));
    assert_eq!(node.store.calls(), ["load"]);
    node.request(&bound, |session| session.get::<u8>("a"));
    assert_eq!(node.store.calls(), ["load", "load_many", "load", "load"], "the two in one call");
}

#[test]
pub(super) fn your_devices_are_listed_with_all_that_is_known() {
    let node = Node::new();
    let phone = login(&node, "ann");
    node.pass(100);
    let laptop = login(&node, "ann");
    let other = login(&node, "bob");
    let listed = devices(&node, &laptop, "ann");
    let [first, second] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(first.is_current && !second.is_current, "the last used first");
    assert_eq!((first.handle, second.handle), (handle(&node, &laptop), handle(&node, &phone)));
    let ago = |time| node.clock.now().duration_since(time).unwrap().as_secs();
    assert_eq!((ago(second.created), second.logged_in.map(ago)), (100, Some(100)));
    assert_eq!(second.user_agent.as_deref(), Some("A Browser/1.0"));
    assert_eq!(second.address, Some([10, 0, 0, 1].into()));
    assert_eq!(devices(&node, &other, "bob").len(), 1);
    assert_eq!(devices(&node, &other, "nobody"), []);
}

#[test]
pub(super) fn a_change_of_id_keeps_the_device_and_its_handle() {
    let node = Node::new();
    let mut cookie = login(&node, "ann");
    let before = devices(&node, &cookie, "ann");
    for change in [Session::rotate, Session::regenerate, Session::rotate] {
        cookie = node.request(&cookie, change).1;
        assert_eq!(devices(&node, &cookie, "ann"), before);
    }
    node.request(&cookie, |session| session.clear());
    assert_eq!(devices(&node, &cookie, "ann"), before);
}

#[test]
pub(super) fn one_device_is_revoked_by_its_handle_and_only_by_its_user() {
    let node = Node::new();
    let (phone, laptop) = (login(&node, "ann"), login(&node, "ann"));
    let target = handle(&node, &phone);
    let revoke = |by: &str, user: &str| node.request(by, |session| session.revoke(user, target)).0;
    assert!(!revoke(&login(&node, "eve"), "eve"), "somebody else's handle");
    assert!(is_in(&node, &phone));
    assert!(revoke(&laptop, "ann"));
    assert!(!revoke(&laptop, "ann"), "once");
    assert!(!is_in(&node, &phone));
    assert!(is_in(&node, &laptop));
    assert_eq!(devices(&node, &laptop, "ann").len(), 1);
}

/// A replica that is silent, say: the end may be undone by a failover.
#[test]
pub(super) fn revoking_is_tried_again_until_the_end_holds_everywhere() {
    let node = Node::new();
    let (phone, laptop) = (login(&node, "ann"), login(&node, "ann"));
    let target = handle(&node, &phone);
    node.store.break_settling(true);
    for attempt in ["the first", "another"] {
        let error = node.open(&laptop).revoke("ann", target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{attempt}: {}", error.chain());
    }
    node.store.break_settling(false);
    assert!(!node.request(&laptop, |session| session.revoke("ann", target)).0, "ended before");
    assert!(!is_in(&node, &phone) && is_in(&node, &laptop));
}

#[test]
pub(super) fn revoking_the_own_session_deletes_the_cookie() {
    let node = Node::new();
    let cookie = login(&node, "ann");
    let own = handle(&node, &cookie);
    let (revoked, left) = node.request(&cookie, |session| session.revoke("ann", own));
    assert!(revoked);
    assert_eq!(left, "");
    assert!(!is_in(&node, &cookie));
}

#[test]
pub(super) fn a_revoked_session_is_found_though_it_changes_its_id_just_then() {
    for step in 0..4 {
        for change in [Session::rotate, Session::regenerate] {
            let node = Node::new();
            let other = node.other();
            let (phone, laptop) = (login(&node, "ann"), login(&node, "ann"));
            let target = handle(&node, &phone);
            let session = node.open(&phone);
            change(&session).unwrap();
            // The steps of a change of id: index, pending record, tombstone, completion.
            node.store.before_swap(step, move || {
                assert!(other.request(&laptop, |s| s.revoke("ann", target)).0, "step {step}");
            });
            let fresh = after(&phone, &node.commit(&session));
            assert!(!is_in(&node, &fresh) && !is_in(&node, &phone), "step {step}");
        }
    }
}

#[test]
pub(super) fn a_session_that_changed_its_id_after_the_index_was_read_is_revoked_too() {
    let node = Node::new();
    let other = node.other();
    let (phone, laptop) = (login(&node, "ann"), login(&node, "ann"));
    let target = handle(&node, &phone);
    let fresh = std::sync::Arc::new(crate::sync::Mutex::new(String::new()));
    let (told, old) = (std::sync::Arc::clone(&fresh), phone.clone());
    // Loads of the revoking request: its session, two epochs, the index; then this.
    node.store.before_load(4, move || {
        let rotated = other.request(&old, Session::rotate).1;
        *told.lock() = other.request(&rotated, Session::regenerate).1;
    });
    assert!(node.request(&laptop, |session| session.revoke("ann", target)).0);
    let fresh = fresh.lock().clone();
    assert_ne!(fresh, phone);
    assert!(!fresh.is_empty() && !is_in(&node, &fresh));
    assert!(is_in(&node, &laptop));
}

#[test]
pub(super) fn all_sessions_of_a_user_end_in_one_step_and_nobody_elses() {
    let node = Node::new();
    let other = node.other();
    let anns: Vec<_> = (0..5).map(|_| login(&node, "ann")).collect();
    let (bob, anonymous) = (login(&node, "bob"), node.visitor());
    let in_flight = other.open(&anns[0]);
    in_flight.set("a", 1).unwrap();
    node.store.calls();
    node.request(&anonymous, |session| session.revoke_all("ann"));
    let calls = node.store.calls();
    assert_eq!(calls.iter().filter(|call| **call == "swap").count(), 1, "{calls:?}");
    other.commit(&in_flight);
    for cookie in &anns {
        assert!(!is_in(&node, cookie));
        assert_eq!(other.get::<u8>(cookie, "a"), None);
    }
    assert!(is_in(&node, &bob) && node.get::<String>(&anonymous, "who").is_some());
    assert_eq!(devices(&node, &bob, "ann"), []);
    assert!(node.count(Event::Revoked) >= 5);
    let again = login(&node, "ann");
    assert!(is_in(&node, &again), "the next login is good");
    node.request(&anonymous, |session| session.revoke_all("ann"));
    assert!(!is_in(&node, &again));
}

#[test]
pub(super) fn revoking_all_is_right_though_the_index_is_lost() {
    let node = Node::new();
    let cookie = login(&node, "ann");
    let index = node.manager.keyring.reserved("sessions of\0ann");
    node.store.forget(&index);
    assert_eq!(devices(&node, &cookie, "ann"), []);
    let anonymous = node.visitor();
    node.request(&anonymous, |session| session.revoke_all("ann"));
    assert!(!is_in(&node, &cookie));
}

#[test]
pub(super) fn a_revocation_outlives_every_session_it_ended() {
    let node = Node::with(|settings, _| {
        settings.idle_timeout = Duration::from_secs(10 * 365 * 86_400);
        settings.absolute_timeout = settings.idle_timeout;
    });
    let cookie = login(&node, "ann");
    node.request("", |session| session.revoke_all("ann"));
    node.pass(10 * 365 * 86_400 - 1);
    assert!(!is_in(&node, &cookie));
    // Its record may go then, and the next one still ends what was bound in between.
    node.pass(2 * 366 * 86_400);
    let later = login(&node, "ann");
    assert!(is_in(&node, &later));
    node.request("", |session| session.revoke_all("ann"));
    assert!(!is_in(&node, &later));
}

#[test]
pub(super) fn revoking_everybody_leaves_anonymous_sessions() {
    let node = Node::new();
    let (ann, bob, anonymous) = (login(&node, "ann"), login(&node, "bob"), node.visitor());
    let (_, left) = node.request(&bob, |session| session.revoke_everybody());
    assert_eq!(left, "", "the own session, too");
    assert!(!is_in(&node, &ann) && !is_in(&node, &bob));
    assert!(node.get::<String>(&anonymous, "who").is_some());
    assert!(is_in(&node, &login(&node, "ann")));
}

#[test]
pub(super) fn revoking_all_of_the_own_user_deletes_the_cookie_and_allows_a_farewell() {
    let node = Node::new();
    let cookie = login(&node, "ann");
    let (_, fresh) = node.request(&cookie, |session| {
        session.revoke_all("ann")?;
        session.flash("notice", "bye")
    });
    assert!(fresh != cookie && !fresh.is_empty());
    assert_eq!(user(&node, &fresh), None);
    let taken = node.request(&fresh, |session| session.take_flash::<String>("notice")).0;
    assert_eq!(taken.as_deref(), Some("bye"));
}

#[test]
pub(super) fn revoking_the_others_keeps_the_one_that_asks() {
    let node = Node::new();
    let (here, there) = (login(&node, "ann"), login(&node, "ann"));
    let (_, same) = node.request(&here, |session| {
        session.increment("n", 1)?;
        session.revoke_others()?;
        session.increment("n", 1)
    });
    assert_eq!(same, here);
    assert_eq!(node.get(&here, "n"), Some(2));
    assert!(is_in(&node, &here) && !is_in(&node, &there));
    let anonymous = node.visitor();
    let failed = node.open(&anonymous).revoke_others();
    assert_eq!(kind(failed), ErrorKind::LoginRequired);
}

/// A replica that is silent, say.
#[test]
pub(super) fn the_one_that_asks_lives_also_when_nobody_knows_whether_the_others_ended_everywhere() {
    let node = Node::new();
    let (here, there) = (login(&node, "ann"), login(&node, "ann"));
    let session = node.open(&here);
    session.user().unwrap();
    node.store.break_settling(true);
    assert_eq!(kind(session.revoke_others()), ErrorKind::StoreUnavailable);
    node.manager.commit(&session, Outcome::Discard).unwrap();
    node.store.break_settling(false);
    assert!(is_in(&node, &here) && !is_in(&node, &there));
    node.request(&here, |session| session.revoke_others());
    assert!(is_in(&node, &here));
}

/// A replica that is silent, say: the sessions that ended before stand in nobody's way.
#[test]
pub(super) fn revoking_one_ends_it_though_nobody_knows_whether_others_ended_everywhere() {
    let node = Node::new();
    let (laptop, phone, tablet) = (login(&node, "ann"), login(&node, "ann"), login(&node, "ann"));
    let target = handle(&node, &phone);
    node.request(&tablet, Session::logout);
    node.store.break_settling(true);
    assert_eq!(kind(node.open(&laptop).revoke("ann", target)), ErrorKind::StoreUnavailable);
    node.store.break_settling(false);
    assert!(!is_in(&node, &phone) && is_in(&node, &laptop));
}

/// As for an end that is not known everywhere: whoever is told that he left must have left.
#[test]
pub(super) fn a_logout_of_who_was_revoked_is_answered_when_that_holds_everywhere() {
    let node = Node::new();
    let (here, there) = (login(&node, "ann"), login(&node, "ann"));
    for everybody in [false, true] {
        node.store.break_settling(true);
        let revoked = match everybody {
            true => node.manager.revoke_everybody(),
            false => node.open(&here).revoke_all("ann"),
        };
        assert_eq!(kind(revoked), ErrorKind::StoreUnavailable);
        assert_eq!(kind(node.open(&there).logout()), ErrorKind::StoreUnavailable, "nobody knows");
        node.store.break_settling(false);
        assert!(!is_in(&node, &there));
        node.request(&there, Session::logout);
    }
}

#[test]
pub(super) fn a_password_change_that_fails_afterwards_leaves_the_session_usable() {
    let node = Node::new();
    let (here, there) = (login(&node, "ann"), login(&node, "ann"));
    let session = node.open(&here);
    session.login("ann").unwrap();
    session.revoke_others().unwrap();
    node.manager.commit(&session, Outcome::Discard).unwrap();
    assert!(is_in(&node, &here) && !is_in(&node, &there));
}

#[test]
pub(super) fn login_and_revoking_the_others_in_one_request() {
    let node = Node::new();
    let (there, cookie) = (login(&node, "ann"), node.visitor());
    let (_, here) = node.request(&cookie, |session| {
        session.login("ann")?;
        session.revoke_others()
    });
    assert!(is_in(&node, &here) && !is_in(&node, &there));
}

#[test]
pub(super) fn of_two_who_revoke_each_other_one_is_left_at_most() {
    let node = Node::new();
    let other = node.other();
    let (a, b) = (login(&node, "ann"), login(&node, "ann"));
    let (first, second) = (node.open(&a), b.clone());
    first.user().unwrap();
    // Between the first one's new epoch and its binding again.
    node.store.before_swap(1, move || {
        let session = other.open(&second);
        assert_eq!(session.user().unwrap(), None, "revoked already");
        other.commit(&session);
    });
    first.revoke_others().unwrap();
    node.commit(&first);
    assert!(is_in(&node, &a) && !is_in(&node, &b));

    let node = Node::new();
    let other = node.other();
    let (a, b) = (login(&node, "ann"), login(&node, "ann"));
    let (first, second) = (node.open(&a), other.open(&b));
    first.user().unwrap();
    second.user().unwrap();
    first.revoke_others().unwrap();
    assert_eq!(kind(second.revoke_others()), ErrorKind::SessionGone);
    assert!(!is_in(&node, &b));
}

#[test]
pub(super) fn a_login_that_began_before_the_revocation_is_void() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    // The old password was right just now.
    session.login("ann").unwrap();
    node.request("", |session| session.revoke_all("ann"));
    let fresh = after(&cookie, &node.commit(&session));
    assert!(!is_in(&node, &fresh));
}

#[test]
pub(super) fn revocations_survive_lost_answers() {
    for fault in [Fault::Lost, Fault::AnswerLost] {
        let node = Node::new();
        let (here, there) = (login(&node, "ann"), login(&node, "ann"));
        node.store.swaps_meet([fault]);
        node.request(&here, |session| session.revoke_others());
        assert!(is_in(&node, &here) && !is_in(&node, &there), "{fault:?}");
        node.store.swaps_meet([Fault::Fine, fault]);
        node.request(&here, |session| session.revoke_others());
        assert!(is_in(&node, &here), "{fault:?}");
    }
    let node = Node::new();
    let cookie = login(&node, "ann");
    node.store.swaps_meet([Fault::Lost; 8]);
    assert_eq!(kind(node.open(&cookie).revoke_all("ann")), ErrorKind::StoreUnavailable);
}

#[test]
pub(super) fn a_full_store_revokes_all_the_same() {
    let node = Node::new();
    let cookies: Vec<_> = (0..3).map(|_| login(&node, "ann")).collect();
    let bob = login(&node, "bob");
    node.store.swaps_meet([Fault::Full]);
    node.request("", |session| session.revoke_all("ann"));
    assert!(cookies.iter().all(|cookie| !is_in(&node, cookie)));
    assert!(is_in(&node, &bob));
}

#[test]
pub(super) fn no_session_slips_through_a_revocation_by_changing_its_id_meanwhile() {
    let node = std::sync::Arc::new(Node::new());
    let other = std::sync::Arc::new(node.other());
    let workers: Vec<_> = (0..10)
        .map(|n| {
            let node = std::sync::Arc::clone(if n % 2 == 0 { &node } else { &other });
            let mut cookie = login(&node, "ann");
            crate::runtime::spawn(move || {
                for step in 0..20 {
                    let session = node.open(&cookie);
                    // A revoked one is an empty session, of which a rotation is nothing.
                    if step % 2 == 0 { session.rotate() } else { session.regenerate() }.unwrap();
                    if session.user().unwrap().is_some() {
                        session.increment("n", 1).unwrap();
                    }
                    cookie = after(&cookie, &node.commit(&session));
                    crate::runtime::sleep(Duration::from_micros(100));
                }
                cookie
            })
            .unwrap()
        })
        .collect();
    node.request("", |session| session.revoke_all("ann"));
    for worker in workers {
        assert!(!is_in(&node, &worker.join().unwrap()));
    }
}

#[test]
pub(super) fn a_store_that_does_not_know_the_epochs_lets_nobody_in() {
    let node = Node::new();
    let cookie = login(&node, "ann");
    let store = std::sync::Arc::clone(&node.store);
    node.store.before_load(1, move || store.break_loads(true));
    let session = node.open(&cookie);
    assert_eq!(kind(session.user()), ErrorKind::StoreUnavailable);
    assert_eq!(node.commit(&session), CookieChange::None);
    node.store.break_loads(false);
    assert!(is_in(&node, &cookie));
}

#[test]
pub(super) fn a_bound_user_without_login_keeps_the_id_and_has_no_recent_login() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_, same) = node.request(&cookie, |session| session.bind_user("ann"));
    assert_eq!(same, cookie);
    assert_eq!(user(&node, &cookie).as_deref(), Some("ann"));
    assert_eq!(devices(&node, &cookie, "ann").len(), 1);
    let recent = |session: &Session| session.require_recent_login(Duration::from_secs(300));
    assert_eq!(kind(recent(&node.open(&cookie))), ErrorKind::LoginRequired);
    node.request("", |session| session.revoke_all("ann"));
    assert!(!is_in(&node, &cookie));
}

#[test]
pub(super) fn a_login_is_recent_for_so_long() {
    let node = Node::new();
    let within = Duration::from_secs(300);
    let recent = |session: &Session| session.require_recent_login(within);
    let nobody = recent(&node.open("")).unwrap_err();
    assert_eq!(nobody.status(), crate::StatusCode::FORBIDDEN);
    let (_, cookie) = node.request("", |session| {
        session.login("ann")?;
        recent(session)
    });
    node.pass(299);
    node.request(&cookie, recent);
    node.pass(2);
    assert_eq!(kind(recent(&node.open(&cookie))), ErrorKind::LoginRequired);
    assert_eq!(kind(node.open("").require_user()), ErrorKind::LoginRequired);
    let (_, cookie) = node.request(&cookie, |session| session.login("ann"));
    node.request(&cookie, recent);
    // Binding another user does not inherit it.
    let session = node.open(&cookie);
    session.bind_user("bob").unwrap();
    assert_eq!(kind(recent(&session)), ErrorKind::LoginRequired);
    node.commit(&session);
    assert_eq!(kind(recent(&node.open(&cookie))), ErrorKind::LoginRequired);
}

#[test]
pub(super) fn a_long_or_odd_user_agent_is_cut_and_cleaned() {
    let agent = format!("a\u{7}b{}", "é".repeat(300));
    let Ok(operation) = crate::session::users::note_device(Some(agent), None) else {
        panic!("it can be noted")
    };
    let mut data = crate::session::data::Data::default();
    crate::session::operations::apply([&operation], &mut data).unwrap();
    assert!(data.encoded_len() < 300);
}
