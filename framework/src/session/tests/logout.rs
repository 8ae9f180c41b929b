//! A logout against a change of id: who is told that it worked is logged out, under whatever id.

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, after, kind};
use crate::error::{ErrorKind, Result};
use crate::session::Session;
use crate::session::events::Event;
use crate::session::record::Entry;

/// The sessions in the store.
fn living(node: &Node) -> usize {
    let entries = node.store.records().into_iter().map(|(_, stored)| Entry::decode(stored.bytes));
    entries.filter(|entry| matches!(entry, Ok(Entry::Session(_)))).count()
}

fn is_deletion(change: &CookieChange) -> bool {
    matches!(change, CookieChange::Delete(_))
}

/// A request that has loaded the session and wants to end it.
fn leaver(node: &Node, cookie: &str) -> Session {
    let session = node.open(cookie);
    session.logout().unwrap();
    session
}

/// A request that is about to give the session another id, and the end of one on another node that
/// wants to end it.
fn changer_and_leaver(
    node: &Node,
    cookie: &str,
) -> (Session, impl FnOnce() -> CookieChange + use<>) {
    let other = node.other();
    let leaver = leaver(&other, cookie);
    let changer = node.open(cookie);
    changer.regenerate().unwrap();
    (changer, move || other.commit(&leaver))
}

#[test]
pub(super) fn whatever_changed_the_id_meanwhile_a_logout_ends_the_session() {
    type Change = fn(&Session) -> Result<()>;
    let changes: [Change; 4] = [
        Session::regenerate,
        Session::rotate,
        |session| session.login("ann"),
        |session| {
            session.login("ann")?;
            session.save()?;
            session.rotate()
        },
    ];
    for change in changes {
        for passed in [0, 31, 59] {
            let node = Node::new();
            let other = node.other();
            let cookie = node.visitor();
            let leaver = leaver(&node, &cookie);
            let (_, fresh) = other.request(&cookie, change);
            node.pass(passed);
            assert!(is_deletion(&node.commit(&leaver)));
            assert_eq!(living(&node), 0);
            for id in [&cookie, &fresh] {
                assert_eq!(other.get::<String>(id, "who"), None);
                assert_eq!(other.request(id, |session| session.user()).0, None);
            }
            assert_eq!(node.count(Event::Destroyed), 1);
        }
    }
}

#[test]
pub(super) fn a_logout_follows_any_number_of_changes_of_id() {
    let node = Node::new();
    let first = node.visitor();
    let leaver = leaver(&node, &first);
    let mut cookie = first;
    for turn in 0..40 {
        cookie = node
            .request(&cookie, |session| match turn % 3 {
                0 => session.regenerate(),
                1 => session.rotate(),
                _ => session.login(turn),
            })
            .1;
    }
    // And once more while it is about to end the last one.
    let (other, last) = (node.other(), cookie.clone());
    node.store.before_swap(1, move || drop(other.request(&last, |session| session.regenerate())));
    assert!(is_deletion(&node.commit(&leaver)));
    assert_eq!(living(&node), 0);
    assert_eq!(node.get::<String>(&cookie, "who"), None);
}

#[test]
pub(super) fn a_logout_ends_a_session_whose_change_of_id_is_not_completed_yet() {
    for (step, ends_pending) in [(1, false), (2, true)] {
        let node = Node::new();
        let cookie = node.visitor();
        let (changer, leave) = changer_and_leaver(&node, &cookie);
        // The pending record, the tombstone, the completion.
        node.store.before_swap(step, move || assert!(is_deletion(&leave())));
        let fresh = after(&cookie, &node.commit(&changer));
        assert_eq!(fresh != cookie, ends_pending, "a cookie that is worth nothing");
        assert_eq!(living(&node), 0);
        assert_eq!(node.get::<String>(&fresh, "who"), None);
    }
}

/// The pending record ran out before its completion, which makes it again: not after a logout.
#[test]
pub(super) fn nor_can_a_slow_change_of_id_bring_it_back() {
    let node = Node::new();
    let cookie = node.visitor();
    let (changer, leave) = changer_and_leaver(&node, &cookie);
    let store = std::sync::Arc::clone(&node.store);
    node.store.before_swap(2, move || {
        let is_session = |entry| matches!(entry, Ok(Entry::Session(_)));
        let pending =
            store.records().into_iter().find(|it| is_session(Entry::decode(it.1.bytes.clone())));
        store.forget(&pending.unwrap().0);
        leave();
    });
    let fresh = after(&cookie, &node.commit(&changer));
    assert_eq!(living(&node), 0);
    assert_eq!(node.get::<String>(&fresh, "who"), None);
}

#[test]
pub(super) fn a_request_that_has_heard_of_the_new_id_can_end_it() {
    type Hear = fn(&Session);
    let ways: [Hear; 4] = [
        |session| session.reload().unwrap(),
        |session| drop(session.take::<String>("who").unwrap()),
        |session| {
            session.set("late", 1).unwrap();
            assert_eq!(kind(session.save()), ErrorKind::SessionGone);
        },
        |session| session.lock().unwrap(),
    ];
    for hear in ways {
        let node = Node::new();
        let cookie = node.visitor();
        let leaver = node.open(&cookie);
        leaver.get::<String>("who").unwrap();
        let (_, fresh) = node.request(&cookie, |session| session.regenerate());
        hear(&leaver);
        assert_eq!(kind(leaver.login("eve")), ErrorKind::SessionGone);
        leaver.logout().unwrap();
        leaver.save().unwrap();
        assert!(is_deletion(&node.commit(&leaver)));
        assert_eq!(node.get::<String>(&fresh, "who"), None);
    }
}

#[test]
pub(super) fn an_id_that_ended_before_ends_nobody() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_, fresh) = node.request(&cookie, |session| session.login("ann"));
    let (_, newest) = node.request(&fresh, |session| session.rotate());
    let late = node.open(&cookie);
    assert_eq!(kind(late.logout()), ErrorKind::SessionGone);
    assert_eq!(node.commit(&late), CookieChange::None);
    assert_eq!(node.request(&newest, |session| session.user()).0.as_deref(), Some("ann"));
    // A rotated one is as dead after its grace time.
    node.pass(30);
    let late = node.open(&fresh);
    assert_eq!(kind(late.destroy()), ErrorKind::SessionGone);
    assert_eq!(node.commit(&late), CookieChange::None);
    assert_eq!(node.request(&newest, |session| session.user()).0.as_deref(), Some("ann"));
    // When all has ended, there is nothing left to refuse.
    node.request(&newest, Session::logout);
    for id in [&cookie, &fresh, &newest] {
        assert_eq!(&node.request(id, Session::logout).1, id);
    }
}

#[test]
pub(super) fn an_id_that_ended_long_ago_is_just_unknown() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_, fresh) = node.request(&cookie, |session| session.regenerate());
    node.pass(61);
    assert_eq!(node.request(&cookie, Session::logout).1, cookie);
    assert_eq!(node.get(&fresh, "who"), Some("me".to_owned()));
}

#[test]
pub(super) fn a_logout_that_cannot_know_what_became_of_the_id_is_no_success() {
    let node = Node::new();
    let cookie = node.visitor();
    let (late, later) = (leaver(&node, &cookie), node.open(&cookie));
    later.get::<String>("who").unwrap();
    let (_, fresh) = node.request(&cookie, |session| session.regenerate());
    node.pass(61);
    let answer = node.manager.commit(&late, Outcome::Keep);
    assert_eq!(kind(answer), ErrorKind::SessionGone);
    // That it heard of the end only now does not tell how long ago that was.
    later.reload().unwrap();
    later.logout().unwrap();
    assert_eq!(kind(later.save()), ErrorKind::SessionGone);
    assert_eq!(node.get(&fresh, "who"), Some("me".to_owned()));
    // While a tombstone would be there, its absence tells that nothing took its place.
    let node = Node::new();
    let cookie = node.visitor();
    let leaver = leaver(&node, &cookie);
    node.store.forget(&node.store.records()[0].0);
    node.pass(29);
    node.commit(&leaver);
}

#[test]
pub(super) fn faults_on_the_way_leave_it_whole_or_ended_and_never_a_false_success() {
    let faults = [Fault::Lost, Fault::AnswerLost, Fault::Conflict, Fault::Refused, Fault::Late];
    for (step, times, fault) in (0..3)
        .flat_map(|step| (1..4).map(move |times| (step, times)))
        .flat_map(|(step, times)| faults.map(|fault| (step, times, fault)))
    {
        let node = Node::new();
        let other = node.other();
        let cookie = node.visitor();
        let leaver = leaver(&node, &cookie);
        let (_, fresh) = other.request(&cookie, |session| session.regenerate());
        let fine = std::iter::repeat_n(Fault::Fine, step);
        node.store.swaps_meet(fine.chain(std::iter::repeat_n(fault, times)));
        let answer = node.manager.commit(&leaver, Outcome::Keep);
        let due = node.manager.after_failure(&leaver).cookie;
        let lives = other.get::<String>(&fresh, "who").is_some();
        let context = format!("{step} {times} {fault:?}: {answer:?}");
        match answer {
            Ok(answer) => assert!(!lives && is_deletion(&answer.cookie), "{context}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{context}");
                assert!(due == CookieChange::None || !lives, "{context}");
            }
        }
    }
}

#[test]
pub(super) fn after_the_logout_a_new_session_may_begin() {
    let node = Node::new();
    let cookie = node.visitor();
    let leaver = leaver(&node, &cookie);
    leaver.flash("notice", "bye").unwrap();
    let (_, fresh) = node.request(&cookie, |session| session.login("ann"));
    let farewell = after(&cookie, &node.commit(&leaver));
    assert!(![&cookie, &fresh].contains(&&farewell));
    let (notice, _) = node.request(&farewell, |session| session.take_flash::<String>("notice"));
    assert_eq!(notice.as_deref(), Some("bye"));
    assert_eq!(node.request(&farewell, |session| session.user()).0, None);
    assert_eq!(node.request(&fresh, |session| session.user()).0, None);
}

/// What the id that came had been through is nothing to the session begun after its end.
#[test]
pub(super) fn a_session_begun_after_the_end_of_a_renewed_id_is_one_like_any_other() {
    let begin_anew = |node: &Node, cookie: &str| {
        node.request(cookie, |session| session.rotate());
        let session = node.open(cookie);
        session.logout().unwrap();
        session.set("notice", "bye").unwrap();
        session.save().unwrap();
        session
    };
    let node = Node::new();
    let cookie = node.visitor();
    let session = begin_anew(&node, &cookie);
    session.set("more", 1).unwrap();
    node.store.swaps_meet([Fault::Refused]);
    node.manager.commit(&session, Outcome::Keep).unwrap_err();
    let cookie = after(&cookie, &node.manager.after_failure(&session).cookie);
    assert_eq!(node.get(&cookie, "notice"), Some("bye".to_owned()), "its cookie was sent");

    let node = Node::new();
    let cookie = node.visitor();
    let session = begin_anew(&node, &cookie);
    let rotated = node.count(Event::Rotated);
    session.rotate().unwrap();
    let cookie = after(&cookie, &node.commit(&session));
    assert_eq!(node.count(Event::Rotated), rotated + 1, "it can be rotated");
    assert_eq!(node.get(&cookie, "notice"), Some("bye".to_owned()));
}

#[test]
pub(super) fn a_users_list_forgets_the_session_and_no_other() {
    let node = Node::new();
    let (_, elsewhere) = node.request("", |session| session.login("ann"));
    let (_, cookie) = node.request("", |session| session.login("ann"));
    let leaver = leaver(&node, &cookie);
    node.request(&cookie, |session| session.regenerate());
    assert!(is_deletion(&node.commit(&leaver)));
    let devices = node.request(&elsewhere, |session| session.sessions_of("ann")).0;
    assert_eq!(devices.iter().map(|device| device.is_current).collect::<Vec<_>>(), [true]);
}

/// A replica that is silent, say: the end may be undone by a failover.
#[test]
pub(super) fn who_was_not_told_of_the_end_keeps_the_cookie_and_is_told_when_it_holds() {
    type Change = fn(&Session) -> Result<()>;
    let changes: [Change; 3] = [|_| Ok(()), Session::rotate, Session::regenerate];
    for (turn, change) in changes.into_iter().enumerate() {
        let node = Node::new();
        let other = node.other();
        let cookie = node.visitor();
        let leaver = leaver(&node, &cookie);
        other.request(&cookie, change);
        node.store.break_settling(true);
        let error = node.manager.commit(&leaver, Outcome::Keep).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{turn}: {}", error.chain());
        assert_eq!(node.manager.after_failure(&leaver).cookie, CookieChange::None, "{turn}");
        let again = node.open(&cookie);
        assert_eq!(kind(again.logout()), ErrorKind::StoreUnavailable, "{turn}: nobody knows yet");
        node.store.break_settling(false);
        assert_eq!(living(&node), 0);
        other.request(&cookie, Session::logout);
    }
}
