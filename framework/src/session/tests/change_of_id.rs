//! SESSIONS.md section 5: login, regenerate, rotate.

use std::sync::Arc;

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, after, kind};
use crate::error::{ErrorKind, Result};
use crate::session::Session;
use crate::session::events::Event;
use crate::session::record::Entry;

#[test]
pub(super) fn login_gives_a_fresh_id_binds_the_user_and_keeps_the_data() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_, fresh) = node.request(&cookie, |session| {
        session.login("ann")?;
        assert_eq!(session.user()?.as_deref(), Some("ann"));
        session.set("after", 1)
    });
    assert_ne!(fresh, cookie);
    let (user, _) = node.request(&fresh, |session| session.user());
    assert_eq!(user.as_deref(), Some("ann"));
    assert_eq!(node.get(&fresh, "who"), Some("me".to_owned()));
    assert_eq!(node.get(&fresh, "after"), Some(1));
    assert_eq!(node.get::<String>(&cookie, "who"), None, "the old id is dead");
    let (_, straight) = node.request("", |session| session.login("bob"));
    assert_eq!(node.request(&straight, |session| session.user()).0.as_deref(), Some("bob"));
    assert_eq!(kind(node.open("").login("")), ErrorKind::SessionValue);
}

#[test]
pub(super) fn a_login_that_fails_later_leaves_the_old_session_usable() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.login("ann").unwrap();
    let committed = node.manager.commit(&session, Outcome::Discard).unwrap();
    assert_eq!(committed.cookie, CookieChange::None);
    assert_eq!(node.get(&cookie, "who"), Some("me".to_owned()));
    assert_eq!(node.request(&cookie, |session| session.user()).0, None);
    assert_eq!(node.store.records().len(), 1);
}

#[test]
pub(super) fn a_change_of_id_that_surely_failed_leaves_no_pending_record() {
    type Change = fn(&Session) -> Result<()>;
    let changes: [(usize, Change); 3] =
        [(1, Session::regenerate), (1, Session::rotate), (2, |session| session.login("ann"))];
    for (steps_before, change) in changes {
        // At the placing, and at the commit point.
        for (skip, fault, times) in [
            (0, Fault::Refused, 1),
            (0, Fault::Full, 1),
            (1, Fault::Refused, 1),
            (1, Fault::Conflict, 65),
        ] {
            let node = Node::new();
            let cookie = node.visitor();
            let before = node.living();
            let session = node.open(&cookie);
            change(&session).unwrap();
            let fine = std::iter::repeat_n(Fault::Fine, steps_before - 1 + skip);
            node.store.swaps_meet(fine.chain(std::iter::repeat_n(fault, times)));
            let error = node.manager.commit(&session, Outcome::Keep).unwrap_err();
            assert_eq!(node.store.faults_left(), 0, "{error:?}");
            assert_eq!(node.living(), before, "{steps_before} {skip} {fault:?}: {error:?}");
            let (_, fresh) = node.request(&cookie, change);
            assert_eq!(node.get(&fresh, "who"), Some("me".to_owned()));
        }
    }
}

/// Its right to be read may come yet.
#[test]
pub(super) fn a_change_of_id_in_doubt_keeps_its_pending_record() {
    for fault in [Fault::Lost, Fault::Late] {
        let node = Node::new();
        let cookie = node.visitor();
        let session = node.open(&cookie);
        session.regenerate().unwrap();
        node.store.swaps_meet([Fault::Fine, Fault::Lost, Fault::Lost, fault]);
        node.manager.commit(&session, Outcome::Keep).unwrap_err();
        assert_eq!(node.living().len(), 2, "{fault:?}");
    }
}

#[test]
pub(super) fn requests_with_the_old_id_see_nothing_new_and_leave_the_new_cookie_alone() {
    let node = Node::new();
    let cookie = node.visitor();
    let in_flight = node.open(&cookie);
    in_flight.set("stolen", 1).unwrap();
    let (_, fresh) = node.request(&cookie, |session| session.regenerate());
    node.request(&fresh, |session| session.set("later", 1));

    assert_eq!(node.commit(&in_flight), CookieChange::None);
    let late = node.open(&cookie);
    assert_eq!(late.get::<u8>("later").unwrap(), None);
    late.set("late", 1).unwrap();
    assert_eq!(kind(late.login("eve")), ErrorKind::SessionGone);
    assert_eq!(node.commit(&late), CookieChange::None);
    assert_eq!(node.get(&fresh, "later"), Some(1));
    assert_eq!(node.get::<u8>(&fresh, "stolen"), None);
    assert_eq!(node.store.records().len(), 2, "the new session and a tombstone");
}

#[test]
pub(super) fn what_another_node_wrote_meanwhile_comes_along() {
    let node = Node::new();
    let other = node.other();
    let (_, cookie) = node.request("", |session| session.set("n", 1));
    let session = node.open(&cookie);
    session.increment("n", 10).unwrap();
    session.login("ann").unwrap();
    let old = cookie.clone();
    // Between the pending record and the tombstone.
    node.store.before_swap(2, move || {
        other.request(&old, |session| session.increment("n", 100));
    });
    let fresh = after(&cookie, &node.commit(&session));
    assert_eq!(node.get(&fresh, "n"), Some(111));
    assert_eq!(node.get::<i64>(&cookie, "n"), None);
}

#[test]
pub(super) fn a_crash_between_the_steps_leaves_the_old_session_or_the_new() {
    // The index of the user, the pending record, the tombstone, the completion.
    for step in 0..4 {
        let node = Node::new();
        let cookie = node.visitor();
        let session = node.open(&cookie);
        session.login("ann").unwrap();
        let store = Arc::clone(&node.store);
        let snapshot = Arc::new(crate::runtime::sync::ShortLock::new(Vec::new()));
        let taken = Arc::clone(&snapshot);
        node.store.before_swap(step, move || taken.with(|taken| *taken = store.records()));
        let fresh = after(&cookie, &node.commit(&session));
        // Everything as it was just before that step.
        let survivor = node.other();
        let crashed = Node::new();
        snapshot.with(|records| {
            for (key, stored) in records.drain(..) {
                crashed.store.put(key, &stored);
            }
        });
        let crashed = Node { clock: survivor.clock.clone(), ..crashed };
        let manager = crate::session::Manager::new(
            "test",
            crashed.store.clone(),
            node.manager.settings.clone(),
            node.manager.cookie.clone(),
            crashed.clock.clock(),
        );
        let crashed = Node { manager: Arc::new(manager.unwrap()), ..crashed };
        let old = crashed.get::<String>(&cookie, "who");
        let new = crashed.get::<String>(&fresh, "who");
        assert_eq!((old.is_some(), new.is_some()), (step < 3, step == 3), "before step {step}");
    }
}

#[test]
pub(super) fn a_pending_record_whose_completion_failed_is_completed_by_the_next_reader() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.login("ann").unwrap();
    node.store.swaps_meet([Fault::Fine; 3]);
    node.store.swaps_meet([Fault::Lost; 4]);
    let fresh = after(&cookie, &node.commit(&session));
    assert_eq!(node.get(&fresh, "who"), Some("me".to_owned()));
    let pending = node.store.records().into_iter().any(|(_, stored)| {
        matches!(Entry::decode(stored.bytes), Ok(Entry::Session(r)) if r.pending.is_some())
    });
    assert!(!pending);
    node.pass(300);
    assert_eq!(node.get(&fresh, "who"), Some("me".to_owned()), "its deadline is the full one");
}

#[test]
pub(super) fn lost_answers_at_any_step_of_a_login_do_not_lose_the_session() {
    for step in 0..4 {
        for fault in [Fault::Lost, Fault::AnswerLost] {
            let node = Node::new();
            let cookie = node.visitor();
            let session = node.open(&cookie);
            session.increment("n", 1).unwrap();
            session.login("ann").unwrap();
            node.store.swaps_meet((0..step).map(|_| Fault::Fine).chain([fault]));
            let fresh = after(&cookie, &node.commit(&session));
            assert_ne!(fresh, cookie);
            assert_eq!(node.get(&fresh, "n"), Some(1), "{step} {fault:?}");
            assert_eq!(node.request(&fresh, |s| s.user()).0.as_deref(), Some("ann"));
            assert_eq!(node.get::<i64>(&cookie, "n"), None);
        }
    }
}

/// The commit point is passed late, by an attempt without an answer; that the next one is refused
/// says nothing of it.
#[test]
pub(super) fn a_refusal_after_a_lost_answer_does_not_lose_the_session() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.login("ann").unwrap();
    // The index, the pending record, the tombstone.
    node.store.swaps_meet([Fault::Fine, Fault::Fine, Fault::Late, Fault::Refused]);
    let fresh = after(&cookie, &node.commit(&session));
    assert_ne!(fresh, cookie);
    assert_eq!(node.request(&fresh, |s| s.user()).0.as_deref(), Some("ann"));
    assert_eq!(node.get::<String>(&cookie, "who"), None);
}

#[test]
pub(super) fn two_logins_of_one_id_leave_one_session() {
    let node = Node::new();
    let cookie = node.visitor();
    let (a, b) = (node.open(&cookie), node.open(&cookie));
    a.login("ann").unwrap();
    b.login("bob").unwrap();
    let fresh = after(&cookie, &node.commit(&a));
    assert_eq!(node.commit(&b), CookieChange::None);
    assert_eq!(node.request(&fresh, |session| session.user()).0.as_deref(), Some("ann"));
    assert_eq!(node.store.records().len(), 4, "session, tombstone and two indices");
}

#[test]
pub(super) fn rotations_at_once_give_every_response_the_same_new_id() {
    let node = Node::new();
    let other = node.other();
    let cookie = node.visitor();
    let sessions: Vec<_> = [&node, &other, &node, &other].map(|n| (n, n.open(&cookie))).into();
    for (_, session) in &sessions {
        session.increment("n", 1).unwrap();
        session.rotate().unwrap();
    }
    let fresh: Vec<_> = sessions.iter().map(|(n, s)| after(&cookie, &n.commit(s))).collect();
    assert!(fresh.iter().all(|id| *id == fresh[0] && *id != cookie));
    assert_eq!(node.get(&fresh[0], "n"), Some(4));
    assert_eq!(node.store.records().len(), 2, "no orphan");
}

#[test]
pub(super) fn a_rotated_id_works_for_the_grace_time_and_is_then_dead() {
    let node = Node::new();
    let cookie = node.visitor();
    let writer = node.open(&cookie);
    writer.increment("n", 1).unwrap();
    let (_, fresh) = node.request(&cookie, |session| session.rotate());
    assert_eq!(after(&cookie, &node.commit(&writer)), fresh);
    let (_, late) = node.request(&cookie, |session| {
        session.rotate()?;
        session.increment("n", 1)
    });
    assert_eq!(late, fresh, "an id is rotated once");
    assert_eq!(node.get(&fresh, "n"), Some(2));
    node.pass(30);
    assert_eq!(node.get::<i64>(&cookie, "n"), None);
    assert_eq!(node.count(Event::LateReuse), 1);
    let (_, same) = node.request(&cookie, |session| session.set("late", 1));
    assert_eq!(same, cookie, "the new id's cookie is not replaced");
    assert_eq!(node.get(&fresh, "n"), Some(2));
    assert_eq!(node.store.records().len(), 2);
}

#[test]
pub(super) fn a_login_during_a_rotation_ends_the_rotated_id_too() {
    let node = Node::new();
    let cookie = node.visitor();
    let login = node.open(&cookie);
    login.login("ann").unwrap();
    let (_, rotated) = node.request(&cookie, |session| session.rotate());
    let fresh = after(&cookie, &node.commit(&login));
    assert_ne!(fresh, rotated);
    assert_eq!(node.request(&fresh, |session| session.user()).0.as_deref(), Some("ann"));
    assert_eq!(node.get::<String>(&rotated, "who"), None);
    assert_eq!(node.get::<String>(&cookie, "who"), None);
}

#[test]
pub(super) fn a_request_that_only_followed_or_saved_a_rotation_does_not_replace_a_newer_cookie() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_, rotated) = node.request(&cookie, |session| session.rotate());
    let follower = node.open(&cookie);
    assert!(follower.get::<String>("who").unwrap().is_some());
    let saver = node.open(&rotated);
    saver.rotate().unwrap();
    saver.save().unwrap();
    let failing = node.open(&cookie);
    failing.set("a", 1).unwrap();
    // The old id leads over two rotations; all of it ends with the login.
    node.request(&rotated, |session| session.login("ann"));
    assert_eq!(node.commit(&follower), CookieChange::None);
    assert_eq!(node.commit(&saver), CookieChange::None);
    let committed = node.manager.commit(&failing, Outcome::Discard).unwrap();
    assert_eq!(committed.cookie, CookieChange::None);
}

/// Found by the model: the renewal of an old id came after the cookie of its successor.
#[test]
pub(super) fn a_renewal_that_was_saved_before_a_rotation_takes_the_new_id_along() {
    let node = Node::new();
    let cookie = node.visitor();
    node.pass(60);
    let saver = node.open(&cookie);
    saver.set("a", 1).unwrap();
    saver.save().unwrap();
    let (_, rotated) = node.request(&cookie, |session| session.rotate());
    assert_eq!(after(&cookie, &node.commit(&saver)), rotated);
}

#[test]
pub(super) fn a_long_request_keeps_its_session_over_any_number_of_rotations_within_the_grace_time()
{
    let node = Node::new();
    let mut cookie = node.visitor();
    let (long, late) = (node.open(&cookie), cookie.clone());
    long.increment("n", 1).unwrap();
    for _ in 0..100 {
        cookie = node.request(&cookie, |session| session.rotate()).1;
    }
    assert_eq!(after(&late, &node.commit(&long)), cookie);
    assert_eq!(node.get(&cookie, "n"), Some(1));
    assert_eq!(node.get(&late, "n"), Some(1));
}

#[test]
pub(super) fn destroying_through_a_rotated_id_ends_the_session() {
    let node = Node::new();
    let cookie = node.visitor();
    let leaver = node.open(&cookie);
    leaver.destroy().unwrap();
    let (_, rotated) = node.request(&cookie, |session| session.rotate());
    assert!(matches!(node.commit(&leaver), CookieChange::Delete(_)));
    assert_eq!(node.get::<String>(&rotated, "who"), None);
    assert_eq!(node.get::<String>(&cookie, "who"), None);
}
