//! Every example does what its first lines promise.

use maypole::prelude::*;
use maypole::testing::TestClient;

use crate::live;
use crate::support::{Answer, Browser, TempDir, TestServer, Wire, serve};

/// The examples as modules; their `main` is for people.
macro_rules! examples {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(
            #[path = $file]
            #[expect(dead_code, unreachable_pub, reason = "written as a program")]
            pub(crate) mod $name;
        )*
    };
}

examples! {
    hello = "../../examples/01_hello.rs",
    routes = "../../examples/02_routes.rs",
    json = "../../examples/03_json.rs",
    session_counter = "../../examples/04_session_counter.rs",
    login = "../../examples/05_login.rs",
    flash = "../../examples/06_flash.rs",
    backends = "../../examples/07_backends.rs",
    errors = "../../examples/08_errors.rs",
    streaming = "../../examples/09_streaming.rs",
    graceful_stop = "../../examples/10_graceful_stop.rs",
    basket = "../../examples/11_basket.rs",
    accounts = "../../examples/12_accounts.rs",
    single_sign_on = "../../examples/13_single_sign_on.rs",
    websocket = "../../examples/14_websocket.rs",
    server_sent_events = "../../examples/15_server_sent_events.rs",
    live_counter = "../../examples/16_live_counter.rs",
    chat = "../../examples/17_chat.rs",
}

/// A browser at an app with these routes; its sessions go with the directory.
fn visit(routes: impl FnOnce(&mut App)) -> (TestClient, TempDir) {
    visit_with("", routes)
}

fn visit_with(config: &str, routes: impl FnOnce(&mut App)) -> (TestClient, TempDir) {
    let directory = TempDir::new();
    let mut app = App::with_config(Config::parse(config, "test.ini").unwrap());
    app.config_mut().session_file.path = directory.path().join("sessions");
    routes(&mut app);
    (app.test_client().unwrap(), directory)
}

#[test]
fn hello_says_hello() {
    let (browser, _directory) = visit(hello::routes);
    assert_eq!(browser.get("/").send().text(), "Hello\n");
}

#[test]
fn routes_find_their_way() {
    let (browser, _directory) = visit(routes::routes);
    for (path, status, text) in [
        ("/users/7", 200, "user 7\n"),
        ("/users/x", 400, "the part \"id\" of the address is not valid\n"),
        ("/files/a/b.txt", 200, "file a/b.txt\n"),
        ("/admin/", 403, "403 Forbidden\n"),
        ("/nowhere", 404, "nothing at /nowhere\n"),
    ] {
        let answer = browser.get(path).send();
        assert_eq!((answer.status().as_u16(), answer.text().as_str()), (status, text), "{path}");
    }
    assert_eq!(browser.get("/admin/").header("X-Admin", "yes").send().text(), "all of it\n");
}

#[test]
fn json_keeps_notes() {
    let (browser, _directory) = visit(json::routes);
    let note = serde_json::json!({"text": "buy milk"});
    let answer = browser.post("/notes").json(&note).send();
    assert_eq!(
        (answer.status().as_u16(), answer.text().as_str()),
        (201, r#"{"id":1,"text":"buy milk"}"#)
    );
    assert_eq!(browser.get("/notes").send().text(), r#"[{"id":1,"text":"buy milk"}]"#);
    let wrong = browser.post("/notes").json(&serde_json::json!({"txt": 1})).send();
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().starts_with("the JSON cannot be read: missing field `text`"));
    assert_eq!(browser.post("/notes").body("{}").send().status(), 415);
}

#[test]
fn session_counter_counts_each_visitor() {
    let (browser, _directory) = visit(session_counter::routes);
    for expected in 1..=3 {
        assert_eq!(browser.get("/count").send().text(), format!("visits: {expected}\n"));
    }
    assert!(browser.get("/").send().text().contains("<span id=\"visits\">4</span>"));
    assert_eq!(browser.another_visitor().get("/count").send().text(), "visits: 1\n");
    let forgotten = browser.post("/forget").send();
    assert_eq!((forgotten.status().as_u16(), forgotten.header("location")), (303, Some("/")));
    assert_eq!(browser.get("/count").send().text(), "visits: 1\n");
}

#[test]
fn login_knows_who_is_there() {
    let (browser, _directory) = visit(login::routes);
    let form = |password: &str| [("name", "ada".to_owned()), ("password", password.to_owned())];
    assert_eq!(browser.post("/login").form(&form("guess")).send().status(), 401);
    assert_eq!(browser.get("/").send().text(), "Who are you?\n");
    assert_eq!(browser.post("/login").form(&form("lovelace")).send().status(), 303);
    assert_eq!(browser.get("/").send().text(), "Hello ada\n");
    assert_eq!(browser.post("/logout").send().status(), 303);
    assert_eq!(browser.get("/").send().text(), "Who are you?\n");
}

#[test]
fn flash_is_shown_once() {
    let (browser, _directory) = visit(flash::routes);
    assert_eq!(browser.post("/save").send().status(), 303);
    assert_eq!(browser.get("/").send().text(), "Saved.\n");
    assert_eq!(browser.get("/").send().text(), "Nothing new.\n");
}

#[test]
fn backends_are_chosen_by_a_line() {
    for backend in ["file", "memory"] {
        let (browser, directory) =
            visit_with(&format!("[session]\nbackend = {backend}\n"), backends::routes);
        assert_eq!(browser.get("/").send().text(), "visits: 1\n");
        assert_eq!(browser.get("/").send().text(), "visits: 2\n", "{backend}");
        assert_eq!(directory.files().is_empty(), backend == "memory");
    }
}

#[test]
fn errors_become_answers() {
    let (browser, _directory) = visit(errors::routes);
    for (path, status) in [
        ("/articles/0", 200),
        ("/articles/9", 404),
        ("/articles/x", 400),
        ("/parse/7", 200),
        ("/parse/x", 500),
        ("/panic", 500),
    ] {
        let answer = browser.get(path).send();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        // A panic passes by the middleware; only the outermost layer makes an answer of it.
        let is_error = status != 200 && path != "/panic";
        assert_eq!(answer.header("x-request-id").is_some(), is_error, "{path}");
    }
}

#[test]
fn streaming_goes_both_ways() {
    let (browser, _directory) = visit(streaming::routes);
    let answer = browser.get("/countdown").send();
    assert_eq!((answer.text().as_str(), answer.is_whole()), ("3\n2\n1\n", true));
    let upload = browser.put("/count-bytes").body(vec![b'x'; 100_000]).send();
    assert_eq!(upload.text(), "100000 bytes\n");
}

#[test]
fn graceful_stop_has_something_to_wait_for() {
    let (browser, _directory) = visit(graceful_stop::routes);
    assert_eq!(browser.get("/slow").send().text(), "done, and nobody was cut off\n");
}

/// The text behind the redirect that a form answers with.
fn submit(browser: &TestClient, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = browser.post(path).form(&fields).send();
    assert_eq!(answer.status(), 303, "{path}: {}", answer.text());
    let location = answer.header("location").unwrap().to_owned();
    browser.get(&location).send().text()
}

#[test]
fn basket_keeps_what_every_tab_puts_in() {
    let (browser, _directory) = visit(basket::routes);
    let tabs: Vec<_> = (0..8)
        .map(|_| {
            let tab = browser.clone();
            submit(&tab, "/basket", &[("article", "tea")]);
            maypole::spawn(move || {
                tab.post("/basket").form(&[("article", "biscuits")]).send().status()
            })
            .unwrap()
        })
        .collect();
    for tab in tabs {
        assert_eq!(tab.join().unwrap(), 303);
    }
    let page = browser.get("/").send().text();
    assert!(page.contains("8 x tea") && page.contains("8 x biscuits"), "{page}");
    assert!(page.contains("total 59.20"), "{page}");
    let page = submit(&browser, "/basket/remove", &[("article", "tea")]);
    assert!(!page.contains("x tea"), "{page}");
    assert_eq!(browser.post("/basket").form(&[("article", "gold")]).send().status(), 422);
    assert_eq!(browser.post("/order").send().text(), "ordered for 20.00\n");
    assert_eq!(browser.post("/order").send().text(), "the basket is empty\n");
}

#[test]
fn accounts_know_their_devices() {
    let (browser, _directory) = visit(accounts::routes);
    let ada = [("name", "ada"), ("password", "correct horse")];
    assert!(browser.get("/").send().text().starts_with("Log in or register"));
    let short = submit(&browser, "/register", &[("name", "ada"), ("password", "short")]);
    assert!(short.starts_with("A name"), "{short}");
    let planted = browser.cookie("session");
    let page = submit(&browser, "/register", &ada);
    assert!(page.starts_with("Welcome, ada.\nada's devices:\n* "), "{page}");
    assert_ne!(browser.cookie("session"), planted, "a login gives a new id");
    assert!(!browser.get("/").send().text().contains("Welcome"), "a message is shown once");

    let phone = browser.another_visitor();
    assert!(submit(&phone, "/register", &ada).starts_with("That name is taken."));
    let wrong = [("name", "ada"), ("password", "wrong horse")];
    assert!(submit(&phone, "/login", &wrong).starts_with("Wrong name or password."));
    let nobody = [("name", "bob"), ("password", "correct horse")];
    assert!(submit(&phone, "/login", &nobody).starts_with("Wrong name or password."));
    let stay = [("name", "ada"), ("password", "correct horse"), ("stay", "on")];
    let page = submit(&phone, "/login", &stay);
    assert!(page.starts_with("Welcome back, ada."), "{page}");
    assert_eq!(page.matches("\n* ").count(), 2, "{page}");
    assert_eq!(page.matches("(this one)").count(), 1, "{page}");

    let stranger = browser.another_visitor();
    assert_eq!(stranger.post("/devices/end-others").send().status(), 403);
    assert!(
        submit(&browser, "/devices/end-others", &[]).starts_with("All other devices"),
        "the laptop ends the phone"
    );
    assert!(phone.get("/").send().text().starts_with("Log in or register"));
    let page = browser.get("/").send().text();
    assert_eq!(page.matches("\n* ").count(), 1, "{page}");

    phone.acting_as("ada").unwrap();
    let page = browser.get("/").send().text();
    let other = page.lines().find(|line| line.starts_with("* ") && !line.ends_with("(this one)"));
    let handle = other.and_then(|line| line.split(' ').nth(1)).unwrap();
    let ended = submit(&browser, &format!("/devices/end/{handle}"), &[]);
    assert!(ended.starts_with("That device is logged out."), "{ended}");
    assert!(phone.get("/").send().text().starts_with("Log in or register"));
    let none = submit(&browser, "/devices/end/AmwjUksVfLtfSkphL5AiOg", &[]);
    assert!(none.starts_with("There is no such device."), "{none}");
    assert!(submit(&browser, "/logout", &[]).starts_with("You are logged out."));
}

#[test]
fn single_sign_on_survives_the_redirect_of_the_first_visit() {
    let (browser, _directory) = visit(single_sign_on::routes);
    let there = browser.get("/login").send();
    assert_eq!(there.status(), 303);
    assert!(there.header("set-cookie").is_some(), "the state is stored with the redirect");
    let back = browser.get(there.header("location").unwrap()).send();
    let callback = back.header("location").unwrap().to_owned();
    assert_eq!(browser.another_visitor().get(&callback).send().status(), 403, "not begun there");
    assert_eq!(browser.get(&callback).send().status(), 303);
    assert_eq!(browser.get("/").send().text(), "You are ada.\n");
    assert_eq!(browser.get(&callback).send().status(), 403, "one answer to one question");
}

#[test]
fn websocket_counts_what_was_said() {
    let server = serve("", websocket::routes);
    let mut tab = live::open(&server, "/echo");
    tab.send(live::text("hello"));
    live::expect_text(&mut tab, "1: hello");
    tab.send(live::text("bye"));
    live::expect_text(&mut tab, "2: bye");
    assert_eq!(live::expect_close(&mut tab), 1000);
    assert_eq!(server.connect().get("/echo").status, 426);
}

#[test]
fn server_sent_events_go_on_where_the_client_left_off() {
    let (browser, _directory) = visit(server_sent_events::routes);
    assert_eq!(browser.get("/clock").send().text(), "event: tick\nid: 1\ndata: tick 1\n\n");
    let server = serve("", server_sent_events::routes);
    let mut wire = server.connect();
    wire.send("GET /clock HTTP/1.0\r\nLast-Event-ID: 2\r\n\r\n");
    let expected =
        "\r\n\r\nevent: tick\nid: 3\ndata: tick 3\n\nevent: tick\nid: 4\ndata: tick 4\n\n";
    let mut got = String::new();
    while !got.ends_with(expected) {
        got.push_str(&String::from_utf8(wire.take(1)).unwrap());
    }
}

#[test]
fn the_live_counter_tells_its_version_with_every_number() {
    let (browser, _directory) = visit(live_counter::routes);
    assert!(browser.get("/").send().text().contains(">0</output>"));
    let clicks = [1, 2].map(|_| browser.post("/click").send().text());
    let version = |text: &str| -> u64 {
        let (_, rest) = text.split_once("data-version=\"").unwrap();
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    assert!(clicks[0].ends_with(">1</output>") && clicks[1].ends_with(">2</output>"), "{clicks:?}");
    assert!(version(&clicks[0]) < version(&clicks[1]), "{clicks:?}");
    // Scripts come from here, not from elsewhere.
    for script in ["/htmx.js", "/hx-ws.js"] {
        assert_eq!(browser.get(script).send().header("content-type"), Some("text/javascript"));
    }
    // How tabs see it: browser_live.rs, in a real browser.
}

#[test]
fn the_chat_tells_everybody_and_keeps_the_last_lines() {
    let server = serve("", chat::routes);
    let mut ada = server.browser();
    assert!(ada.get("/").text().contains("id=\"door\""));
    assert_eq!(server.connect().get("/room").status, 403, "without a name");
    let enter = |browser: &mut Browser, name: &str| {
        assert_eq!(post_form(browser, "/name", &format!("text={name}")).status, 303);
    };
    enter(&mut ada, "ada");
    assert!(ada.get("/").text().contains("hx-ws:connect=\"/room\""));
    let mut bob = server.browser();
    enter(&mut bob, "bob");
    assert_eq!(post_form(&mut bob, "/name", "text=").status, 400);

    let list = |lines: &str, name: &str| {
        let me = format!("<b id=\"me\" hx-swap-oob=\"true\">{name}</b>");
        format!("<ul id=\"lines\" hx-swap-oob=\"true\">{lines}</ul>{me}")
    };
    let (mut at_ada, mut at_bob) = (open_room(&server, &ada), open_room(&server, &bob));
    live::expect_text(&mut at_ada, &list("", "ada"));
    live::expect_text(&mut at_bob, &list("", "bob"));
    at_ada.send(live::text("no JSON"));
    at_ada.send(live::text(r#"{"text": "<script>&\"", "headers": {}}"#));
    let said = "<li><b>ada</b> &lt;script&gt;&amp;&quot;</li>";
    live::expect_text(&mut at_ada, said);
    live::expect_text(&mut at_bob, said);

    // A new name is told to the own tabs, and that it is new to everybody.
    enter(&mut ada, "<i>");
    let renamed = "<li><i>ada is now &lt;i&gt;</i></li>";
    live::expect_text(&mut at_bob, renamed);
    let mut told = [live::take_text(&mut at_ada), live::take_text(&mut at_ada)];
    told.sort();
    assert_eq!(told, ["<b id=\"me\" hx-swap-oob=\"true\">&lt;i&gt;</b>", renamed]);

    for number in 0..60 {
        at_bob.send(live::text(&format!(r#"{{"text": "{number}"}}"#)));
        for tab in [&mut at_ada, &mut at_bob] {
            live::expect_text(tab, &format!("<li><b>bob</b> {number}</li>"));
        }
    }
    let last: String = (10..60).map(|number| format!("<li><b>bob</b> {number}</li>")).collect();
    live::expect_text(&mut open_room(&server, &bob), &list(&last, "bob"));

    assert_eq!(post_form(&mut ada, "/leave", "").status, 303);
    assert_eq!(live::expect_close(&mut at_ada), 4401);
    at_bob.send(live::text(r#"{"text": "gone?"}"#));
    live::expect_text(&mut at_bob, "<li><b>bob</b> gone?</li>");
    // How tabs see it: browser_chat.rs, in a real browser.
}

#[track_caller]
fn open_room(server: &TestServer, browser: &Browser) -> Wire {
    let session = browser.session().expect("a session");
    live::open_with(server, "/room", &format!("Cookie: session={session}\r\n"))
}

#[track_caller]
fn post_form(browser: &mut Browser, path: &str, body: &str) -> Answer {
    let mut wire = Wire::connect(browser.addr());
    wire.send(format!(
        "{}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        browser.head("POST", path),
        body.len()
    ));
    let answer = wire.answer();
    browser.keep_cookies(&answer);
    answer
}
