//! SESSIONS.md section 4: whatever a store does at any step of a change of id, the browser has the
//! old session or the new one afterwards; and a logout that was answered has ended the session.

use std::time::Duration;

use super::memory::MemoryStore;
use super::pipeline::{Chaos, cookies, get};
use crate::prelude::{App, Config, StatusCode};
use crate::session::record::Entry;
use crate::testing::{ChaosStore, Fault, StoreCall, TestClient, TestResponse};

const FAULTS: [Fault; 6] = [
    Fault::FailBefore,
    Fault::FailAfter,
    Fault::Refuse,
    Fault::PanicBefore,
    Fault::PanicAfter,
    Fault::Delay(Duration::from_millis(1)),
];

const CALLS: [StoreCall; 4] =
    [StoreCall::Load, StoreCall::Swap, StoreCall::Remove, StoreCall::Settle];

/// More than any of the requests makes of one kind.
const STEPS: u64 = 9;

fn app(config: &str) -> (TestClient, Chaos) {
    let store = ChaosStore::new(MemoryStore::default());
    let chaos = store.clone();
    let config = format!("[session]\nbackend = chaos\n{config}");
    let mut app = App::with_config(Config::parse(&config, "config.ini").unwrap());
    app.session_store("chaos", move |_| Ok(chaos));
    app.get("/", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
    app.get("/read", |ctx| Ok(ctx.session.get_or("n", 0)?.to_string()));
    app.get("/user", |ctx| Ok(ctx.session.user()?.unwrap_or_default()));
    app.get("/login", |ctx| ctx.session.login("ann").map(|()| "done"));
    app.get("/regenerate", |ctx| ctx.session.regenerate().map(|()| "done"));
    app.get("/rotate", |ctx| ctx.session.rotate().map(|()| "done"));
    app.get("/promote", |ctx| {
        ctx.session.set("rank", 1)?;
        ctx.session.regenerate().map(|()| "done")
    });
    app.get("/rank", |ctx| Ok(ctx.session.get_or("rank", 0)?.to_string()));
    app.get("/logout", |ctx| ctx.session.logout().map(|()| "done"));
    app.get("/logout-and-flash", |ctx| {
        ctx.session.logout()?;
        ctx.session.flash("notice", "bye")?;
        Ok("done")
    });
    app.get("/login-saved", |ctx| {
        ctx.session.login("ann")?;
        ctx.session.save()?;
        ctx.session.set("later", 1)?;
        Ok("done")
    });
    app.get("/login-then-panic", |ctx| -> crate::Result<&str> {
        ctx.session.login("ann")?;
        ctx.session.save()?;
        panic!("after the save");
    });
    (app.test_client().unwrap(), store)
}

/// How many lines of the answer set or delete the session's own cookie.
fn own_cookies(response: &TestResponse) -> usize {
    let lines = response.headers().get_all("set-cookie").iter();
    lines.filter(|line| line.to_str().unwrap().starts_with("session=")).count()
}

/// Somebody else with the same cookie.
fn copy(browser: &TestClient) -> TestClient {
    let copy = browser.another_visitor();
    copy.set_cookie("session", &browser.cookie("session").unwrap());
    copy
}

/// One visitor with a session, and what the store does to the request that changes its id.
fn try_out(config: &str, path: &str, before: &[&str], orders: &[(StoreCall, u64, Fault)]) {
    let (browser, store) = app(config);
    // The session that the login has to displace, where only one is allowed.
    let elsewhere = browser.another_visitor();
    before.iter().for_each(|path| drop(get(&elsewhere, path)));
    assert_eq!(get(&browser, "/").text(), "1");
    let old = copy(&browser);
    for (call, nth, fault) in orders {
        store.at(*call, *nth, *fault);
    }
    let response = get(&browser, path);
    store.calm();
    let context = format!("{path} {config:?} {orders:?}: {}", response.status());
    let is_done = response.status() == StatusCode::OK;
    assert!(is_done || response.status().is_server_error(), "{context}");
    assert_eq!(get(&browser, "/read").text(), "1", "{context}: neither");
    if path.starts_with("/login") {
        let user = get(&browser, "/user").text();
        assert!(user == "ann" || !is_done && own_cookies(&response) == 0, "{context}: {user}");
    }
    // The new cookie is there exactly if the old id has ended.
    if path != "/rotate" {
        let has_old = get(&old, "/read").text() == "1";
        assert_eq!(has_old, own_cookies(&response) == 0, "{context}");
    }
    assert_eq!(get(&browser, "/").text(), "2", "{context}: and it can be written");
}

fn at_every_step(mut try_out: impl FnMut(&[(StoreCall, u64, Fault)])) {
    for call in CALLS {
        for (nth, fault) in (0..STEPS).flat_map(|nth| FAULTS.map(|fault| (nth, fault))) {
            try_out(&[(call, nth, fault)]);
        }
    }
}

#[test]
fn one_fault_at_any_step_of_a_change_of_id_leaves_the_old_session_or_the_new() {
    for path in ["/login", "/regenerate", "/rotate", "/login-saved", "/login-then-panic"] {
        at_every_step(|orders| try_out("", path, &[], orders));
    }
}

#[test]
fn nor_does_a_fault_while_the_users_oldest_session_is_displaced() {
    for path in ["/login", "/login-saved"] {
        at_every_step(|orders| try_out("max_sessions_per_user = 1\n", path, &["/login"], orders));
    }
}

/// A commit gives up after three swaps without an answer, and one of them may have got through.
#[test]
fn several_faults_in_a_row_leave_the_old_session_or_the_new() {
    let swaps = [Fault::FailBefore, Fault::FailAfter, Fault::PanicAfter, Fault::Refuse];
    for path in ["/login", "/regenerate", "/rotate"] {
        for first in 0..4 {
            for (a, b, c) in [
                (0, 0, 1),
                (0, 1, 0),
                (1, 0, 0),
                (1, 1, 1),
                (0, 0, 2),
                (0, 0, 0),
                (0, 3, 0),
                (1, 3, 3),
                (3, 3, 3),
            ] {
                let mut orders: Vec<_> = [a, b, c]
                    .iter()
                    .zip(first..)
                    .map(|(fault, nth)| (StoreCall::Swap, nth, swaps[*fault]))
                    .collect();
                try_out("", path, &[], &orders);
                // And the store does not say at once which of them it was.
                orders.extend((1..4).map(|nth| (StoreCall::Load, nth, Fault::FailBefore)));
                try_out("", path, &[], &orders);
            }
        }
    }
}

#[test]
fn a_logout_that_was_answered_has_ended_the_session_and_any_other_left_it_whole_or_ended() {
    for path in ["/logout", "/logout-and-flash"] {
        at_every_step(|orders| {
            let (browser, store) = app("");
            get(&browser, "/");
            let old = copy(&browser);
            for (call, nth, fault) in orders {
                store.at(*call, *nth, *fault);
            }
            let response = get(&browser, path);
            store.calm();
            let is_done = response.status() == StatusCode::OK;
            let context = format!("{path} {orders:?}: {}", response.status());
            let is_dead = get(&old, "/read").text() == "0";
            assert!(is_dead || !is_done, "{context}: revived");
            let kept = get(&browser, "/read").text();
            assert_eq!(kept, if is_dead { "0" } else { "1" }, "{context}");
            let is_deleted = cookies(&response) > 0;
            assert!(is_deleted || !is_done, "{context}: the cookie goes with it");
            assert!(is_dead || !is_deleted, "{context}: a valid cookie stays");
            let next = if is_dead { "1" } else { "2" };
            assert_eq!(get(&browser, "/").text(), next, "{context}: it goes on");
        });
    }
}

/// The commit point was passed, but so slowly that the new record ran out before it was completed.
#[test]
fn a_pending_record_that_ran_out_is_made_again() {
    let (browser, store) = app("");
    get(&browser, "/");
    let (within, chaos) = (store.clone(), store.clone());
    // The index, the pending record, the tombstone, the completion.
    store.before(StoreCall::Swap, 3, move || {
        let pending = within.inner().records().into_iter().find(|(_, stored)| {
            matches!(Entry::decode(stored.bytes.clone()), Ok(Entry::Session(it)) if it.pending.is_some())
        });
        within.inner().forget(&pending.unwrap().0);
    });
    assert_eq!(get(&browser, "/login").status(), StatusCode::OK);
    assert_eq!(chaos.count(StoreCall::Swap), 1 + 5);
    assert_eq!(get(&browser, "/user").text(), "ann");
    assert_eq!(get(&browser, "/").text(), "2");
}

/// The commit point was passed unheard, or not at all, and then nothing is heard for longer than the
/// commit asks: the answer cannot know which of two cookies is the good one.
#[test]
fn a_store_that_stays_away_from_any_step_on_leaves_the_old_session_or_the_new() {
    let mut visits = Vec::new();
    for path in ["/login", "/login-saved", "/regenerate", "/rotate", "/promote"] {
        for (nth, fault) in
            (0..4).flat_map(|nth| [(nth, Fault::FailBefore), (nth, Fault::FailAfter)])
        {
            for old_comes_first in [false, true] {
                let visit = move || stays_away(path, nth, fault, old_comes_first);
                visits.push(crate::spawn(visit).unwrap());
            }
        }
    }
    // At the commit point of each, with the old one coming first and last.
    let in_doubt = visits.into_iter().filter_map(|visit| visit.join().unwrap().then_some(()));
    assert_eq!(in_doubt.count(), 5 * 2 * 2);
}

/// Whether the visitor was told of a second id.
fn stays_away(path: &str, nth: u64, fault: Fault, old_comes_first: bool) -> bool {
    let (browser, store) = app("");
    get(&browser, "/");
    let old = copy(&browser);
    let away = store.clone();
    store.before(StoreCall::Swap, nth, move || {
        away.always(StoreCall::Load, Some(Fault::FailBefore));
        away.always(StoreCall::Swap, Some(Fault::FailBefore));
    });
    store.at(StoreCall::Swap, nth, fault);
    let response = get(&browser, path);
    store.calm();
    let context = format!("{path} {nth} {fault:?} {old_comes_first}: {}", response.status());
    let is_done = response.status() == StatusCode::OK;
    assert!(is_done || response.status() == StatusCode::SERVICE_UNAVAILABLE, "{context}");
    // The last step can wait, but not the change after the save.
    let is_known = is_done || path == "/login-saved" && nth == 3;
    // A valid cookie is neither replaced nor deleted while nobody knows.
    assert_eq!(own_cookies(&response), usize::from(is_known), "{context}");
    let is_in_doubt = cookies(&response) > own_cookies(&response);
    assert!(!is_known || !is_in_doubt, "{context}");
    if is_in_doubt {
        let line = response.header("set-cookie").unwrap();
        let is_guarded = line.contains("; HttpOnly; SameSite=Lax;");
        assert!(line.starts_with("session-next=") && is_guarded, "{context}: {line}");
        assert_eq!(cookies(&response), 1, "{context}");
        assert!(response.header("retry-after").is_some(), "{context}");
        assert_eq!(response.header("cache-control"), Some("private, no-store"), "{context}");
    }
    let mut has_old = old_comes_first && get(&old, "/read").text() == "1";
    assert_eq!(get(&browser, "/read").text(), "1", "{context}: neither");
    has_old |= !old_comes_first && get(&old, "/read").text() == "1";
    let user = get(&browser, "/user").text();
    if path != "/rotate" {
        let is_committed = !has_old;
        let name = if is_committed && path.starts_with("/login") { "ann" } else { "" };
        assert_eq!(user, name, "{context}");
        let is_passed = is_known || is_in_doubt && fault == Fault::FailAfter;
        assert_eq!(is_committed, is_passed, "{context}");
        assert_eq!(get(&old, "/user").text(), "", "{context}: rights for the old id");
        let rank = get(&browser, "/rank").text();
        assert_eq!(rank, if is_committed && path == "/promote" { "1" } else { "0" }, "{context}");
        if is_committed {
            assert_eq!(browser.cookie("session-next"), None, "{context}: it is the session's own");
        }
    }
    assert_eq!(get(&browser, "/").text(), "2", "{context}: and it can be written");
    let entries = store.inner().records().into_iter().map(|it| Entry::decode(it.1.bytes));
    let living = entries.filter_map(|entry| match entry {
        Ok(Entry::Session(record)) if record.pending.is_none() => Some(()),
        _ => None,
    });
    assert_eq!(living.count(), 1, "{context}");
    is_in_doubt
}
