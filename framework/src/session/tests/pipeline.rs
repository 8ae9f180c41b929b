//! The session seen from outside: whole requests of a browser, through an app, on a store that has
//! bad days.

use std::sync::Arc;
use std::time::Duration;

use super::memory::MemoryStore;
use crate::prelude::{App, Config, Error, RequestContext, Result, StatusCode};
use crate::testing::{ChaosStore, Fault, StoreCall, TestClient, TestResponse};

pub(super) type Chaos = ChaosStore<MemoryStore>;

const CONFIG: &str = "[session]\nbackend = chaos\n[server]\ntrusted_proxies = 127.0.0.1\n";

fn app(routes: impl FnOnce(&mut App)) -> (TestClient, Chaos) {
    let store = ChaosStore::new(MemoryStore::default());
    let chaos = store.clone();
    let mut app = App::with_config(Config::parse(CONFIG, "config.ini").unwrap());
    app.session_store("chaos", move |_| Ok(chaos));
    app.get("/", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
    app.get("/read", |ctx| Ok(ctx.session.get_or("n", 0)?.to_string()));
    app.get("/login", |ctx| {
        ctx.session.login("ann")?;
        Ok("in")
    });
    app.get("/user", |ctx| Ok(ctx.session.user()?.unwrap_or_default()));
    routes(&mut app);
    (app.test_client().unwrap(), store)
}

pub(super) fn get(browser: &TestClient, path: &str) -> TestResponse {
    browser.get(path).send()
}

pub(super) fn cookies(response: &TestResponse) -> usize {
    response.headers().get_all("set-cookie").iter().count()
}

#[test]
fn a_store_that_cannot_be_read_is_a_503_and_the_cookie_is_left_alone() {
    let (browser, store) = app(|_| {});
    get(&browser, "/");
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        store.always(StoreCall::Load, Some(fault));
        for path in ["/", "/read", "/login"] {
            let response = get(&browser, path);
            assert_eq!((response.status(), cookies(&response)), (503.try_into().unwrap(), 0));
        }
        store.always(StoreCall::Load, None);
    }
    assert_eq!(get(&browser, "/").text(), "2");
}

#[test]
fn a_store_that_cannot_be_written_is_a_503_and_nothing_is_minted() {
    let (browser, store) = app(|_| {});
    store.always(StoreCall::Swap, Some(Fault::FailBefore));
    let response = get(&browser, "/");
    assert_eq!((response.status(), cookies(&response)), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert!(store.inner().records().is_empty());
    store.always(StoreCall::Swap, Some(Fault::Full));
    let response = get(&browser, "/");
    assert_eq!((response.status(), cookies(&response)), (StatusCode::SERVICE_UNAVAILABLE, 0));
    store.always(StoreCall::Swap, None);
    assert_eq!(get(&browser, "/").text(), "1");
    store.always(StoreCall::Swap, Some(Fault::FailBefore));
    assert_eq!(get(&browser, "/").status(), 503);
    store.always(StoreCall::Swap, None);
    assert_eq!(get(&browser, "/").text(), "2", "what the client was refused is not there");
}

/// The end stands, whatever is refused after it.
#[test]
fn an_end_that_is_not_known_everywhere_is_not_called_refused() {
    let (browser, store) = app(|app| {
        app.get("/out", |ctx| {
            ctx.session.logout()?;
            Ok(ctx.session.save().map_or_else(|error| error.chain(), |()| "saved".to_owned()))
        });
    });
    get(&browser, "/");
    store.at(StoreCall::Settle, 0, Fault::Refuse);
    let said = get(&browser, "/out").text();
    assert!(said.ends_with("unavailable: chaos: refused"), "{said}");
    assert_eq!(get(&browser, "/").text(), "1", "it has ended");
    store.at(StoreCall::Swap, 0, Fault::Refuse);
    let refused = get(&browser, "/");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(cookies(&refused), 0);
    assert_eq!(get(&browser, "/").text(), "2", "what was refused is not there");
}

#[test]
fn a_panic_in_the_store_is_an_answer_that_was_lost() {
    let (browser, store) = app(|_| {});
    get(&browser, "/");
    for fault in [Fault::PanicBefore, Fault::PanicAfter] {
        store.at(StoreCall::Load, 0, fault);
        let response = get(&browser, "/");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(cookies(&response), 0);
    }
    // A swap can be looked up: done or not, it is counted once.
    store.at(StoreCall::Swap, 0, Fault::PanicBefore);
    assert_eq!(get(&browser, "/").text(), "2");
    store.at(StoreCall::Swap, 0, Fault::PanicAfter);
    assert_eq!(get(&browser, "/").text(), "3");
    assert_eq!(get(&browser, "/").text(), "4");
}

#[test]
fn a_slow_store_delays_its_own_request_only() {
    let (browser, store) = app(|app| {
        app.get("/plain", |_| "no session");
    });
    get(&browser, "/");
    store.at(StoreCall::Swap, 0, Fault::Delay(Duration::from_millis(1)));
    assert_eq!(get(&browser, "/plain").text(), "no session");
    assert_eq!(get(&browser, "/").text(), "2");
}

#[test]
fn the_request_after_a_redirect_reads_what_was_written_on_the_first_visit() {
    let (browser, store) = app(|app| {
        app.get("/begin", |ctx| {
            ctx.session.set("state", "xyz")?;
            Ok(ctx.redirect("/callback"))
        });
        app.get("/callback", |ctx| ctx.session.get_or("state", String::new()));
    });
    let response = get(&browser, "/begin");
    assert_eq!((response.status(), cookies(&response)), (StatusCode::SEE_OTHER, 1));
    assert_eq!(store.inner().records().len(), 1, "stored before the head");
    assert_eq!(get(&browser, "/callback").text(), "xyz");
}

#[test]
fn one_response_has_one_session_cookie_at_most_whatever_the_handler_did() {
    let (browser, _) = app(|app| {
        app.get("/all", |ctx| {
            let session = &ctx.session;
            session.increment("n", 1)?;
            session.save()?;
            session.rotate()?;
            session.save()?;
            session.login("ann")?;
            session.save()?;
            session.logout()?;
            session.flash("bye", 1)?;
            Ok("")
        });
    });
    assert_eq!(cookies(&get(&browser, "/all")), 1);
    assert_eq!(cookies(&get(&browser, "/all")), 1);
    assert_eq!(cookies(&get(&browser, "/read")), 0);
    assert_eq!(cookies(&get(&browser.another_visitor(), "/read")), 0, "nor a reader's");
}

#[test]
fn what_children_write_is_all_there() {
    let (browser, _) = app(|app| {
        app.get("/children", |_| {
            crate::scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|| drop(crate::session().increment("n", 1)))?;
                }
                Ok::<_, Error>(())
            })?;
            crate::session().increment("n", 1)?;
            Ok("")
        });
    });
    get(&browser, "/");
    assert_eq!(get(&browser, "/children").status(), 200);
    assert_eq!(get(&browser, "/read").text(), "12");
}

#[test]
fn many_visitors_at_once_never_see_each_other() {
    let (browser, _) = app(|app| {
        app.get("/mine/{name}", |ctx| {
            let name: String = ctx.param("name")?;
            ctx.session.set("name", &name)?;
            crate::sleep(Duration::from_millis(1));
            let found: Option<String> = crate::session().get("name")?;
            Ok(if found == Some(name) { "mine" } else { "another's" })
        });
    });
    let visits: Vec<_> = (0..200)
        .map(|n| {
            let browser = browser.another_visitor();
            crate::spawn(move || get(&browser, &format!("/mine/{n}")).text()).unwrap()
        })
        .collect();
    for visit in visits {
        assert_eq!(visit.join().unwrap(), "mine");
    }
}

#[test]
fn devices_show_the_user_agent_and_the_clients_address_of_the_login() {
    fn list(ctx: &RequestContext) -> Result<String> {
        let devices = ctx.session.sessions_of(&ctx.session.require_user()?)?;
        let lines = devices.iter().map(|device| {
            let address = device.address.map(|address| address.to_string());
            format!("{:?} {address:?} {}\n", device.user_agent, device.is_current)
        });
        Ok(lines.collect())
    }
    let (phone, _) = app(|app| {
        app.get("/devices", list);
        app.get("/leave", |ctx| {
            ctx.session.revoke_others()?;
            Ok("")
        });
    });
    let laptop = phone.another_visitor();
    let login = phone.get("/login").header("user-agent", "Phone");
    assert_eq!(login.header("x-forwarded-for", "192.0.2.7").send().text(), "in");
    assert_eq!(laptop.get("/login").header("user-agent", "Laptop").send().text(), "in");
    let listed = get(&phone, "/devices").text();
    let mut lines: Vec<_> = listed.lines().collect();
    lines.sort_unstable();
    assert!(
        lines[0].starts_with("Some(\"Laptop\") Some(") && lines[0].ends_with("false"),
        "{listed}"
    );
    assert_eq!(lines[1], "Some(\"Phone\") Some(\"192.0.2.7\") true");
    get(&phone, "/leave");
    assert_eq!(get(&laptop, "/devices").status(), 403);
    assert_eq!(get(&phone, "/devices").text().lines().count(), 1);
}

#[test]
fn ten_tabs_that_count_at_once_count_to_ten() {
    let (browser, _) = app(|_| {});
    get(&browser, "/");
    let tabs: Vec<_> = (0..10)
        .map(|_| {
            let tab = browser.clone();
            crate::spawn(move || drop(get(&tab, "/"))).unwrap()
        })
        .collect();
    tabs.into_iter().for_each(|tab| tab.join().unwrap());
    assert_eq!(get(&browser, "/read").text(), "11");
}

#[test]
fn an_interleaved_logout_wins_over_a_writer() {
    let (browser, store) = app(|app| {
        app.get("/logout", |ctx| {
            ctx.session.logout()?;
            Ok("out")
        });
    });
    get(&browser, "/login");
    let cookie = browser.cookie("session").or(browser.cookie("__Host-session")).unwrap();
    let other = Arc::new(browser.another_visitor());
    let name = if browser.cookie("session").is_some() { "session" } else { "__Host-session" };
    other.set_cookie(name, &cookie);
    // While the writer's handler runs: it has loaded, and not yet committed.
    let leaver = Arc::clone(&other);
    store.before(StoreCall::Load, 2, move || {
        assert_eq!(get(&leaver, "/logout").text(), "out");
    });
    let response = get(&browser, "/");
    assert_eq!(cookies(&response), 0);
    assert_eq!(get(&browser, "/read").text(), "0");
}
