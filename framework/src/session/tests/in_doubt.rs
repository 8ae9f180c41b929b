//! SESSIONS.md section 5, the commit point whose answer is lost while the store stays away: the
//! browser holds two ids then, and exactly one of them leads to the session, with the rights it has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, after, kind};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime;
use crate::session::Session;
use crate::session::record::Entry;

type Change = fn(&Session) -> Result<()>;

/// With the number of swaps before the commit point.
const CHANGES: [(&str, usize, Change); 3] = [
    ("login", 2, |session| session.login("ann")),
    ("regenerate", 1, Session::regenerate),
    ("rotate", 1, Session::rotate),
];

/// What a browser holds under the two names.
#[derive(Debug, Clone, Default, PartialEq)]
struct Browser {
    own: String,
    next: String,
}

impl Browser {
    fn new(own: String) -> Self {
        Self { own, ..Self::default() }
    }

    fn open(&self, node: &Node) -> Session {
        let (name, next) = (node.manager.cookie_name(), node.manager.successor_name());
        let cookies = [(name, &*self.own), (&*next, &*self.next)];
        node.manager.begin(cookies.into_iter().filter(|it| !it.1.is_empty()), None)
    }

    /// A whole request, whether it fails or not.
    fn visit<T>(&mut self, node: &Node, handler: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        let session = self.open(node);
        let answer = handler(&session);
        let outcome = if answer.is_ok() { Outcome::Keep } else { Outcome::Discard };
        let committed = node.manager.commit(&session, outcome);
        let (cookies, answer) = match committed {
            Ok(cookies) => (cookies, answer),
            Err(error) => (node.manager.after_failure(&session), Err(error)),
        };
        self.own = after(&self.own, &cookies.cookie);
        self.next = after(&self.next, &cookies.successor);
        answer
    }

    fn who(&mut self, node: &Node) -> Option<String> {
        self.visit(node, |session| session.get("who")).unwrap()
    }

    fn user(&mut self, node: &Node) -> Option<String> {
        self.visit(node, |session| session.user()).unwrap()
    }
}

/// A visitor whose `change` of id got no answer at its commit point, for longer than the commit asks;
/// and the one who knows the old id.
fn in_doubt(
    node: &Node,
    browser: &mut Browser,
    (name, steps, change): (&str, usize, Change),
    fault: Fault,
) -> Browser {
    let old = browser.clone();
    let store = Arc::clone(&node.store);
    node.store.before_swap(steps, move || store.break_loads(true));
    node.store.swaps_meet((0..steps).map(|_| Fault::Fine).chain([fault]));
    let error = browser.visit(node, change).unwrap_err();
    node.store.break_loads(false);
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{name}: {}", error.chain());
    assert_eq!(browser.own, old.own, "{name}: a valid cookie is left alone");
    assert!(browser.next != old.next && !browser.next.is_empty(), "{name}: {fault:?}");
    old
}

fn visitor(node: &Node) -> Browser {
    Browser::new(node.visitor())
}

/// A store that is asked for two seconds in each case is asked in all cases at once.
fn at_once(cases: Vec<Box<dyn FnOnce() + Send>>) {
    let running: Vec<_> = cases.into_iter().map(|case| crate::spawn(case).unwrap()).collect();
    running.into_iter().for_each(|case| case.join().unwrap());
}

#[test]
pub(super) fn whichever_way_it_went_the_visitor_finds_one_session_with_its_rights() {
    let mut cases: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for (change, fault) in
        CHANGES.into_iter().flat_map(|it| [(it, Fault::Lost), (it, Fault::AnswerLost)])
    {
        let (node, is_passed) = (Node::new(), fault == Fault::AnswerLost);
        cases.push(Box::new(move || {
            let mut browser = visitor(&node);
            let old = in_doubt(&node, &mut browser, change, fault);
            let context = format!("{} {fault:?}", change.0);
            let next = browser.next.clone();
            assert_eq!(browser.who(&node), Some("me".to_owned()), "{context}");
            let user = (is_passed && change.0 == "login").then(|| "ann".to_owned());
            assert_eq!(browser.user(&node), user, "{context}");
            assert_eq!(old.clone().user(&node), None, "{context}: the old id has no rights");
            if is_passed {
                assert_eq!(browser, Browser::new(next), "{context}");
                node.pass(30);
                assert_eq!(old.clone().who(&node), None, "{context}: and is dead");
            } else {
                assert_eq!(browser.own, old.own, "{context}");
                // The id that was given out opens nothing by itself.
                let mut stolen = Browser { next: next.clone(), ..Browser::default() };
                assert_eq!(stolen.who(&node), None, "{context}");
                assert_eq!(Browser::new(next).who(&node), None, "{context}");
            }
            // Another try works, and settles what was in doubt.
            browser.visit(&node, |session| session.login("bob")).unwrap();
            assert_eq!(browser.user(&node).as_deref(), Some("bob"), "{context}");
            assert_eq!(browser.next, "", "{context}");
            node.pass(60);
            assert_eq!(browser.who(&node), Some("me".to_owned()), "{context}");
        }));
    }
    at_once(cases);
}

/// The store had taken the swap but not carried it out when it was away; it does so after the visitor
/// has been served under the old id once more.
#[test]
pub(super) fn a_swap_that_comes_true_late_loses_nobody() {
    let node = Node::new();
    let mut browser = visitor(&node);
    in_doubt(&node, &mut browser, CHANGES[0], Fault::Late);
    node.pass(45);
    assert_eq!(browser.user(&node), None);
    let mut tab = browser.clone();
    node.visitor();
    assert_eq!(browser.user(&node).as_deref(), Some("ann"));
    assert_eq!(browser.who(&node), Some("me".to_owned()));
    assert_eq!(tab.user(&node).as_deref(), Some("ann"), "another tab's request finds it as well");
    assert_eq!(tab, browser);
}

#[test]
pub(super) fn a_logout_ends_it_for_good_whichever_way_it_went() {
    let mut cases: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::Late] {
        let node = Node::new();
        cases.push(Box::new(move || {
            let mut browser = visitor(&node);
            let mut old = in_doubt(&node, &mut browser, CHANGES[0], fault);
            let mut tab = browser.clone();
            browser.visit(&node, Session::logout).unwrap();
            assert_eq!(browser, Browser::default(), "{fault:?}: both cookies are deleted");
            // What is late comes too late.
            node.visitor();
            for who in [&mut tab, &mut old] {
                assert_eq!(who.user(&node), None, "{fault:?}");
                assert_eq!(who.who(&node), None, "{fault:?}");
            }
        }));
    }
    at_once(cases);
}

/// Session fixation: an attacker who planted the old id, and got himself a successor of it in doubt,
/// never gets into the session that the visitor makes of it.
#[test]
pub(super) fn neither_the_old_id_nor_its_lost_successor_opens_the_session_of_a_later_login() {
    let node = Node::new();
    let mut visitor = visitor(&node);
    let mut attacker = visitor.clone();
    in_doubt(&node, &mut attacker, CHANGES[1], Fault::Lost);
    visitor.visit(&node, |session| session.login("ann")).unwrap();
    for mut eve in [attacker.clone(), Browser::new(attacker.next.clone()), {
        Browser { next: attacker.next.clone(), ..Browser::default() }
    }] {
        assert_eq!(eve.user(&node), None);
        assert_eq!(eve.who(&node), None);
    }
    // Nor does one that is planted beside a visitor's session take its place.
    let elsewhere = node.request("", |session| session.login("eve")).1;
    visitor.next = elsewhere;
    assert_eq!(visitor.user(&node).as_deref(), Some("ann"));
}

#[test]
pub(super) fn all_sessions_of_the_user_are_revoked_with_it() {
    let mut cases: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for fault in [Fault::Late, Fault::AnswerLost] {
        let node = Node::new();
        cases.push(Box::new(move || {
            let mut browser = visitor(&node);
            in_doubt(&node, &mut browser, CHANGES[0], fault);
            node.manager.revoke_all("ann").unwrap();
            assert_eq!(browser.user(&node), None, "{fault:?}");
        }));
    }
    at_once(cases);
}

#[test]
pub(super) fn it_is_on_the_list_of_the_users_devices() {
    let node = Node::new();
    let mut browser = visitor(&node);
    // The store is back as soon as the commit has given up.
    let store = Arc::clone(&node.store);
    node.store.before_swap(2, move || {
        let back = Arc::clone(&store);
        store.before_load(7, move || back.break_loads(false));
        store.break_loads(true);
    });
    node.store.swaps_meet([Fault::Fine, Fault::Fine, Fault::AnswerLost]);
    browser.visit(&node, |session| session.login("ann")).unwrap_err();
    assert!(!browser.next.is_empty());
    let devices = browser.visit(&node, |session| session.sessions_of("ann")).unwrap();
    assert_eq!(devices.iter().map(|device| device.is_current).collect::<Vec<_>>(), [true]);
}

/// The one that was given out first is the session's own by then.
#[test]
pub(super) fn a_second_doubt_on_the_way_loses_nobody() {
    let mut cases: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for (first, second) in [
        (Fault::AnswerLost, Fault::Lost),
        (Fault::AnswerLost, Fault::AnswerLost),
        (Fault::Lost, Fault::Lost),
        (Fault::Lost, Fault::AnswerLost),
    ] {
        let node = Node::new();
        cases.push(Box::new(move || {
            let mut browser = visitor(&node);
            in_doubt(&node, &mut browser, CHANGES[0], first);
            // Completed by a request whose answer never came.
            browser.clone().who(&node);
            let before = browser.next.clone();
            // One that is bound enters the index of its user first.
            let is_bound = first == Fault::AnswerLost;
            let (steps, change): (_, Change) =
                if is_bound { (2, Session::regenerate) } else { (1, Session::rotate) };
            let store = Arc::clone(&node.store);
            node.store.before_swap(steps, move || store.break_loads(true));
            node.store.swaps_meet((0..steps).map(|_| Fault::Fine).chain([second]));
            let answer = browser.visit(&node, change);
            node.store.break_loads(false);
            let context = format!("{first:?} {second:?}: {answer:?}");
            assert!(answer.is_err() && browser.next != before, "{context}");
            assert_eq!(browser.own == before, is_bound, "{context}");
            assert_eq!(browser.who(&node), Some("me".to_owned()), "{context}");
            let user = is_bound.then(|| "ann".to_owned());
            assert_eq!(browser.user(&node), user, "{context}");
        }));
    }
    at_once(cases);
}

#[test]
pub(super) fn a_handler_that_goes_on_after_the_failure_cannot_make_a_third_id() {
    let mut cases: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for fault in [Fault::Lost, Fault::AnswerLost] {
        let node = Node::new();
        cases.push(Box::new(move || {
            let mut browser = visitor(&node);
            let (_, steps, change) = CHANGES[0];
            let (store, back) = (Arc::clone(&node.store), Arc::clone(&node.store));
            node.store.before_swap(steps, move || store.break_loads(true));
            node.store.swaps_meet((0..steps).map(|_| Fault::Fine).chain([fault]));
            let failed = browser.visit(&node, |session| {
                change(session)?;
                assert_eq!(kind(session.save()), ErrorKind::StoreUnavailable);
                back.break_loads(false);
                Ok(())
            });
            assert_eq!(kind(failed), ErrorKind::StoreUnavailable);
            assert!(!browser.next.is_empty());
            let user = (fault == Fault::AnswerLost).then(|| "ann".to_owned());
            assert_eq!(browser.user(&node), user);
            // A handler that fails itself has told the browser as well.
            let mut browser = visitor(&node);
            in_doubt(
                &node,
                &mut browser,
                ("saved", steps, |session| {
                    session.login("ann")?;
                    session.save()?;
                    Err(Error::new(ErrorKind::Internal, "never comes here"))
                }),
                fault,
            );
            assert_eq!(browser.who(&node), Some("me".to_owned()));
        }));
    }
    at_once(cases);
}

/// The visitor takes longer than a tombstone is kept.
#[test]
pub(super) fn a_session_whose_store_is_back_in_time_waits_for_its_visitor() {
    let node = Node::new();
    let mut browser = visitor(&node);
    in_doubt(&node, &mut browser, CHANGES[0], Fault::AnswerLost);
    let is_pending = || {
        node.store.records().into_iter().any(|(_, stored)| {
            matches!(Entry::decode(stored.bytes), Ok(Entry::Session(it)) if it.pending.is_some())
        })
    };
    let begun = Instant::now();
    while is_pending() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody looked after it");
        runtime::sleep(Duration::from_millis(20));
    }
    node.pass(3600);
    assert_eq!(browser.user(&node).as_deref(), Some("ann"));
    assert_eq!(browser.next, "");
}

#[test]
pub(super) fn nothing_is_sent_where_the_outcome_is_known_or_cookies_are_not_used() {
    let node = Node::new();
    let mut browser = visitor(&node);
    for faults in [&[Fault::Refused][..], &[Fault::Fine, Fault::Refused], &[Fault::Lost; 4]] {
        node.store.swaps_meet(faults.iter().copied());
        let before = browser.clone();
        browser.visit(&node, Session::regenerate).unwrap_err();
        assert_eq!(browser, before, "{faults:?}");
        // Those that no swap has met.
        while node.store.faults_left() > 0 {
            browser.clone().visit(&node, |session| session.set("who", "me")).ok();
        }
    }
    let node = Node::with(|_, policy| policy.use_cookies = false);
    let store = Arc::clone(&node.store);
    let session = node.open("");
    session.set("who", "me").unwrap();
    session.save().unwrap();
    node.store.before_swap(1, move || store.break_loads(true));
    node.store.swaps_meet([Fault::Fine, Fault::AnswerLost]);
    session.regenerate().unwrap();
    node.manager.commit(&session, Outcome::Keep).unwrap_err();
    assert_eq!(node.manager.after_failure(&session).successor, CookieChange::None);
}

/// Two requests of a visitor who came back late, when the tombstone of the old id is gone.
#[test]
pub(super) fn who_comes_by_a_successor_that_was_replaced_meanwhile_is_told_so() {
    let node = Node::new();
    let mut browser = visitor(&node);
    in_doubt(&node, &mut browser, CHANGES[0], Fault::AnswerLost);
    browser.clone().who(&node);
    node.pass(61);
    let mut tab = browser.clone();
    browser.visit(&node, |session| session.login("bob")).unwrap();
    let before = tab.clone();
    let written = tab.visit(&node, |session| session.set("n", 1));
    assert!(written.is_err() || tab == before, "{written:?}");
    assert_eq!(tab, before, "no cookie in the way of the new one");
    assert_eq!(kind(tab.visit(&node, Session::logout)), ErrorKind::SessionGone);
    assert_eq!(browser.user(&node).as_deref(), Some("bob"));
}

#[test]
pub(super) fn what_was_given_out_for_a_change_that_never_came_is_taken_back() {
    let node = Node::new();
    let mut browser = visitor(&node);
    let old = in_doubt(&node, &mut browser, CHANGES[1], Fault::Lost);
    node.pass(40);
    assert_eq!(browser.who(&node), Some("me".to_owned()));
    assert_ne!(browser.next, "", "it may come true yet");
    node.pass(60);
    assert_eq!(browser.who(&node), Some("me".to_owned()));
    assert_eq!(browser, old, "nothing is left of it");
}
