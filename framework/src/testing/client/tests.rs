//! The client's ways to be somebody, and to say what it wants.

use std::path::PathBuf;
use std::time::Duration;

use crate::prelude::*;
use crate::redis::tests::server::Server;
use crate::session::stores::{FileStore, FileStoreOptions};
use crate::session::{Blocking, Handle};
use crate::testing::{ChaosStore, Fault, ManualClock, StoreCall, TestClient, TestRequest};

/// A directory of its own for one test, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("maypole-test-client-{:016x}", getrandom::u64().unwrap());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// An app whose visitors can see who they are, with these lines in its `[session]`.
fn app(place: &Place, session: &str) -> App {
    let path = place.0.display();
    let config = format!(
        "[session]\n{session}\n[session.file]\npath = {path}/file\n\
         [session.table]\npath = {path}/table\n"
    );
    let mut app = App::with_config(Config::parse(&config, "test.ini").unwrap());
    app.get("/", |ctx| Ok(ctx.session.user()?.unwrap_or_else(|| "nobody".to_owned())));
    app.get("/required", |ctx| ctx.session.require_user());
    app.get("/visits", |ctx| Ok(ctx.session.increment("visits", 1)?.to_string()));
    app.get("/recent", |ctx| ctx.session.require_recent_login(Duration::from_secs(60)));
    app.get("/devices/{user}", |ctx| {
        let devices = ctx.session.sessions_of(&ctx.param::<String>("user")?)?;
        Ok(format!(
            "{:?}",
            devices.iter().map(|it| (it.is_current, it.address)).collect::<Vec<_>>()
        ))
    });
    app.get("/handle", |ctx| {
        Ok(ctx.session.handle()?.map_or_else(String::new, |it| it.to_string()))
    });
    app.post("/revoke/{user}/{handle}", |ctx| {
        let handle = Handle::parse(&ctx.param::<String>("handle")?).unwrap();
        Ok(ctx.session.revoke(&ctx.param::<String>("user")?, handle)?.to_string())
    });
    app.post("/revoke-all/{user}", |ctx| ctx.session.revoke_all(&ctx.param::<String>("user")?));
    app.get("/login/{user}", |ctx| ctx.session.login(ctx.param::<String>("user")?));
    app
}

fn get(client: &TestClient, path: &str) -> String {
    client.get(path).send().text()
}

/// What a logged-in visitor has, whatever the store.
fn is_a_real_login(stranger: &TestClient) {
    assert_eq!(stranger.get("/required").send().status(), 403);
    let laptop = stranger.another_visitor().acting_as("ada").unwrap();
    assert_eq!(get(&laptop, "/required"), "ada");
    assert_eq!(laptop.get("/recent").send().status(), 204);
    assert_eq!(get(&laptop, "/devices/ada"), "[(true, Some(127.0.0.1))]");
    assert_eq!(get(stranger, "/"), "nobody", "another jar");

    let phone = stranger.another_visitor();
    assert_eq!(get(&phone, "/login/ada"), "");
    assert_eq!(get(&phone, "/devices/ada").matches("127.0.0.1").count(), 2, "side by side");
    let handle = get(&laptop, "/handle");
    assert_eq!(phone.post(&format!("/revoke/ada/{handle}")).send().text(), "true");
    assert_eq!(get(&laptop, "/"), "nobody");
    assert_eq!(get(&phone, "/"), "ada");

    laptop.acting_as("ada").unwrap();
    assert_eq!(get(&laptop, "/"), "ada", "from a jar whose session has ended");
    assert_eq!(phone.post("/revoke-all/ada").send().status(), 204);
    assert_eq!((get(&laptop, "/"), get(&phone, "/")), ("nobody".to_owned(), "nobody".to_owned()));
}

#[test]
fn acting_as_somebody_is_a_real_login_on_every_store() {
    for backend in ["file", "table"] {
        let place = Place::new();
        is_a_real_login(&app(&place, &format!("backend = {backend}")).test_client().unwrap());
    }
    for backend in ["redis", "tiered"] {
        let (server, place) = (Server::start(), Place::new());
        let session = format!(
            "backend = {backend}\nredis_connection_pool = mine\n\
             [redis.mine]\nurl = redis://127.0.0.1:{}",
            server.port()
        );
        is_a_real_login(&app(&place, &session).test_client().unwrap());
    }
}

#[test]
fn acting_as_somebody_keeps_the_data_and_ends_the_id() {
    let place = Place::new();
    let browser = app(&place, "").test_client().unwrap();
    let tab = browser.clone();
    assert_eq!(get(&browser, "/visits"), "1");
    let planted = browser.cookie("session").unwrap();

    let same = browser.acting_as("ada").unwrap();
    for client in [&browser, &tab, &same] {
        assert_eq!(get(client, "/"), "ada", "all tabs");
    }
    assert_eq!(get(&tab, "/visits"), "2", "kept");
    let thief = browser.another_visitor();
    thief.set_cookie("session", &planted);
    assert_eq!(get(&thief, "/"), "nobody", "a session id that somebody planted");

    tab.acting_as("bob").unwrap();
    assert_eq!((get(&browser, "/"), get(&browser, "/visits")), ("bob".to_owned(), "3".to_owned()));
    assert_eq!(get(&browser, "/devices/ada"), "[]");
    assert_eq!(get(&browser, "/devices/bob"), "[(true, Some(127.0.0.1))]");
}

#[test]
fn acting_as_somebody_asks_no_middleware_and_goes_by_the_apps_clock() {
    let (place, clock) = (Place::new(), ManualClock::new());
    let mut app = app(&place, "");
    app.clock(clock.clock());
    app.with(|ctx, next| match *ctx.method() {
        Method::POST => StatusCode::FORBIDDEN.into_response(),
        _ => next.run(ctx),
    });
    let browser = app.test_client().unwrap();
    // Within a coroutine as well as from a thread.
    let elsewhere = browser.clone();
    crate::spawn(move || elsewhere.acting_as(7).map(drop)).unwrap().join().unwrap().unwrap();
    assert_eq!(get(&browser, "/"), "7");
    clock.advance(Duration::from_secs(61));
    assert_eq!(browser.get("/recent").send().status(), 403);
    browser.acting_as(7).unwrap();
    assert_eq!(browser.get("/recent").send().status(), 204);
    clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(get(&browser, "/"), "nobody", "its session expires like any other");
}

#[test]
fn acting_as_somebody_fails_as_their_login_would() {
    let refusal = |client: &TestClient, user: &str| client.acting_as(user).unwrap_err().kind();

    let place = Place::new();
    let store = FileStore::open(FileStoreOptions::new(place.0.join("own"))).unwrap();
    let chaos = ChaosStore::new(Blocking::new(store));
    let mut chaotic = app(&place, "backend = chaos");
    let inner = chaos.clone();
    chaotic.session_store("chaos", move |_| Ok(inner));
    let browser = chaotic.test_client().unwrap();
    assert_eq!(refusal(&browser, ""), ErrorKind::SessionValue);
    for call in [StoreCall::Load, StoreCall::Swap] {
        chaos.always(call, Some(Fault::Refuse));
        assert_eq!(refusal(&browser, "ada"), ErrorKind::StoreUnavailable, "{call:?}");
        chaos.calm();
        assert_eq!(get(&browser, "/"), "nobody", "{call:?}");
    }
    let late = browser.another_visitor();
    assert_eq!(get(&browser, "/visits"), "1");
    late.set_cookie("session", &browser.cookie("session").unwrap());
    browser.acting_as("ada").unwrap();
    assert_eq!(refusal(&late, "eve"), ErrorKind::SessionGone, "its id was replaced");
    // Ended between the load and the save.
    let other = browser.clone();
    chaos.before(StoreCall::Swap, 0, move || drop(other.post("/revoke-all/ada").send()));
    assert_eq!(refusal(&browser, "ada"), ErrorKind::SessionGone);

    let place = Place::new();
    let limits = "max_sessions_per_user = 1\nmax_sessions_per_user_policy = refuse";
    let browser = app(&place, limits).test_client().unwrap();
    browser.acting_as("ada").unwrap();
    assert_eq!(refusal(&browser.another_visitor(), "ada"), ErrorKind::TooManySessions);
    let place = Place::new();
    let browser = app(&place, "use_cookies = false").test_client().unwrap();
    assert_eq!(refusal(&browser, "ada"), ErrorKind::Config);
}

#[test]
fn a_request_within_a_request_leaves_that_one_its_own() {
    let (place, beside) = (Place::new(), Place::new());
    let within = app(&beside, "").test_client().unwrap();
    let mut app = app(&place, "");
    app.get("/outer", move |_| {
        within.acting_as("ada")?;
        session().set("who", within.get("/required").send().text())?;
        Ok(request().map_or_else(String::new, |ctx| ctx.path().to_owned()))
    });
    app.get("/who", |ctx| ctx.session.get_or("who", String::new()));
    let browser = app.test_client().unwrap();
    assert_eq!(get(&browser, "/outer"), "/outer");
    assert_eq!(get(&browser, "/who"), "ada");
    assert_eq!(get(&browser, "/"), "nobody");
}

type Verb = fn(&TestClient, &str) -> TestRequest;

#[test]
fn every_verb_reaches_its_route_with_its_body() {
    let mut app = App::with_defaults();
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        app.route(method, "/echo", |ctx| Ok(format!("{} {}", ctx.method(), ctx.text()?)));
    }
    app.get("/page", |ctx| ctx.method().to_string());
    let client = app.test_client().unwrap();
    let verbs: [(&str, Verb); 5] = [
        ("POST", TestClient::post),
        ("PUT", TestClient::put),
        ("PATCH", TestClient::patch),
        ("DELETE", TestClient::delete),
        ("OPTIONS", TestClient::options),
    ];
    for (name, verb) in verbs {
        assert_eq!(verb(&client, "/echo").body("tea").send().text(), format!("{name} tea"));
        assert_eq!(verb(&client, "/echo").json(&[1]).send().text(), format!("{name} [1]"));
        assert_eq!(verb(&client, "/echo").form(&[("a", 1)]).send().text(), format!("{name} a=1"));
    }
    let head = client.head("/page").send();
    assert_eq!((head.status(), head.text().as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(client.options("/page").send().header("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(client.options("*").send().status(), 204);
}

#[test]
fn without_cookies_none_is_read_either() {
    let place = Place::new();
    let browser = app(&place, "").test_client().unwrap();
    assert_eq!((get(&browser, "/visits"), get(&browser, "/visits")), ("1".into(), "2".into()));
    let without = app(&place, "use_cookies = false").test_client().unwrap();
    without.set_cookie("session", &browser.cookie("session").unwrap());
    assert_eq!(get(&without, "/visits"), "1");
    assert_eq!(get(&browser, "/visits"), "3");
}
