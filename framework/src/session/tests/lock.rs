//! SESSIONS.md section 4: the lock.

use std::sync::Arc;
use std::time::Duration;

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, kind};
use crate::error::ErrorKind;

/// What loses updates without a lock.
fn add_one_by_hand(session: &crate::session::Session) -> crate::Result<()> {
    session.lock()?;
    let n: u32 = session.get_or("n", 0)?;
    crate::runtime::sleep(Duration::from_micros(200));
    session.set("n", n + 1)
}

#[test]
pub(super) fn get_and_set_under_the_lock_lose_nothing_within_and_across_nodes() {
    let node = Arc::new(Node::new());
    let other = Arc::new(node.other());
    let cookie: Arc<str> = node.visitor().into();
    let workers: Vec<_> = (0..20)
        .map(|n| {
            let node = Arc::clone(if n % 2 == 0 { &node } else { &other });
            let cookie = Arc::clone(&cookie);
            crate::runtime::spawn(move || {
                for _ in 0..5 {
                    node.request(&cookie, add_one_by_hand);
                }
            })
            .unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(node.get(&cookie, "n"), Some(100));
}

#[test]
pub(super) fn a_dead_holder_delays_others_by_its_lease_and_its_late_commit_is_an_error() {
    let node = Node::new();
    let other = node.other();
    let cookie = node.visitor();
    let dead = node.open(&cookie);
    dead.lock().unwrap();
    dead.set("n", "stale").unwrap();
    node.pass(31);
    let (_, _) = other.request(&cookie, add_one_by_hand);
    let failed = node.manager.commit(&dead, Outcome::Keep);
    assert_eq!(kind(failed), ErrorKind::SessionConflict);
    assert_eq!(node.get(&cookie, "n"), Some(1));
}

#[test]
pub(super) fn the_late_commit_fails_also_while_the_next_holder_has_written_nothing() {
    for changes_id in [false, true] {
        let node = Node::new();
        let other = node.other();
        let cookie = node.visitor();
        let dead = node.open(&cookie);
        dead.lock().unwrap();
        dead.set("n", "stale").unwrap();
        if changes_id {
            dead.regenerate().unwrap();
        }
        node.pass(31);
        let next = other.open(&cookie);
        next.lock().unwrap();
        assert_eq!(next.get::<String>("n").unwrap(), None);
        let failed = node.manager.commit(&dead, Outcome::Keep);
        assert_eq!(kind(failed), ErrorKind::SessionConflict);
        next.set("n", "new").unwrap();
        other.commit(&next);
        assert_eq!(node.get(&cookie, "n"), Some("new".to_owned()));
    }
}

#[test]
pub(super) fn an_overdue_lock_that_nobody_took_is_still_good() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.lock().unwrap();
    session.set("n", 1).unwrap();
    node.pass(31);
    node.commit(&session);
    assert_eq!(node.get(&cookie, "n"), Some(1));
}

#[test]
pub(super) fn who_does_not_lock_is_merged() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.increment("n", 1).unwrap();
    session.lock().unwrap();
    session.increment("n", 1).unwrap();
    node.other().request(&cookie, |session| session.increment("n", 10));
    node.commit(&session);
    assert_eq!(node.get(&cookie, "n"), Some(12));
}

#[test]
pub(super) fn waiting_is_bounded() {
    let node = Node::with(|settings, _| settings.lock_lease = Duration::from_millis(5));
    let cookie = node.visitor();
    let holder = node.open(&cookie);
    holder.lock().unwrap();
    holder.lock().unwrap(); // twice is once
    // The test's clock stands still, so the lease does not run out.
    assert_eq!(kind(node.other().open(&cookie).lock()), ErrorKind::SessionConflict);
    assert_eq!(kind(node.open(&cookie).lock()), ErrorKind::SessionConflict);
    node.manager.commit(&holder, Outcome::Discard).unwrap();
    node.request(&cookie, add_one_by_hand);
    node.other().request(&cookie, add_one_by_hand);
    assert_eq!(node.get(&cookie, "n"), Some(2));
}

#[test]
pub(super) fn a_new_session_needs_no_lock_and_lost_answers_do_no_harm() {
    let node = Node::new();
    let session = node.open("");
    session.lock().unwrap();
    session.set("n", 0).unwrap();
    let cookie = super::after("", &node.commit(&session));
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::Conflict] {
        let before: u32 = node.get(&cookie, "n").unwrap();
        node.store.swaps_meet([fault]);
        node.request(&cookie, add_one_by_hand);
        assert_eq!(node.get(&cookie, "n"), Some(before + 1), "{fault:?}");
        node.pass(31);
    }
}

#[test]
pub(super) fn a_session_that_was_ended_before_the_lock_came_is_gone() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.get::<String>("who").unwrap();
    node.request(&cookie, |session| session.destroy());
    session.lock().unwrap();
    assert_eq!(session.get::<String>("who").unwrap(), None);
    session.set("n", 1).unwrap();
    assert_eq!(node.commit(&session), CookieChange::None);
}

#[test]
pub(super) fn with_concurrency_lock_whole_requests_take_turns() {
    let node = Arc::new(Node::with(|settings, _| settings.locks_requests = true));
    let other = Arc::new(node.other());
    let cookie: Arc<str> = node.visitor().into();
    let workers: Vec<_> = (0..10)
        .map(|n| {
            let node = Arc::clone(if n % 2 == 0 { &node } else { &other });
            let cookie = Arc::clone(&cookie);
            crate::runtime::spawn(move || {
                for _ in 0..5 {
                    node.request(&cookie, |session| {
                        let n: u32 = session.get_or("n", 0)?;
                        crate::runtime::sleep(Duration::from_micros(100));
                        session.set("n", n + 1)
                    });
                }
            })
            .unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(node.get(&cookie, "n"), Some(50));
}

#[test]
pub(super) fn a_lock_record_comes_back_and_garbage_is_a_deserted_lock() {
    use crate::session::reserved::{LockState, encode_lock, lock};
    let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    let stored = |bytes| crate::session::Stored {
        bytes,
        version: 1,
        deadline: at,
        last_seen: at,
        evictable: false,
    };
    for state in [LockState::Free, LockState::Held { mark: 7, until: at }] {
        assert_eq!(lock(&stored(encode_lock(state))), state);
    }
    for garbage in [vec![], vec![1, 5], vec![7; 18]] {
        let found = lock(&stored(garbage));
        assert!(matches!(found, LockState::Held { until, .. } if until < at));
    }
}
