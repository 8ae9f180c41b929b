//! A store that is full: whoever has a session goes on, a newcomer is told to come later.

use super::routes;
use crate::support::{Answer, Browser, TestServer, serve};

const MAX_SESSIONS: usize = 40;

fn small(backend: &str) -> TestServer {
    let config = format!(
        "[session]\nbackend = {backend}\nmax_sessions = {MAX_SESSIONS}\nnew_sessions_per_minute = 0\n"
    );
    serve(&config, |app| {
        routes(app);
        app.get("/regenerate", |ctx| ctx.session.regenerate());
        app.get("/rotate", |ctx| ctx.session.rotate());
        app.get("/locked", |ctx| {
            ctx.session.lock()?;
            Ok(ctx.session.increment("n", 1)?.to_string())
        });
    })
}

/// Somebody who has been here twice: nobody gives him up for a newcomer.
fn visitor(server: &TestServer) -> Browser {
    let mut visitor = server.browser();
    assert_eq!(visitor.get("/count").text(), "1");
    assert_eq!(visitor.get("/count").text(), "2");
    visitor
}

/// Users log in until there is no room for a newcomer.
fn fill(server: &TestServer) -> Vec<Browser> {
    let mut users = Vec::new();
    while server.browser().get("/count").status == 200 {
        let mut user = server.browser();
        expect_done(&user.get(&format!("/login/user-{}", users.len())));
        users.push(user);
        assert!(users.len() <= MAX_SESSIONS, "nobody was ever refused");
    }
    assert!(users.len() >= MAX_SESSIONS / 4, "full with {} users", users.len());
    users
}

#[track_caller]
fn expect_a_refusal(server: &TestServer) {
    let mut newcomer = server.browser();
    let answer = newcomer.get("/count");
    assert_eq!((answer.status, answer.header("set-cookie")), (503, None), "{}", answer.head);
    let answer = newcomer.get("/read");
    assert_eq!((answer.status, answer.text().as_str()), (200, "0"), "who only looks is served");
}

fn whoever_has_a_session_goes_on(backend: &str) {
    let server = small(backend);
    let mut visitors = [(); 4].map(|()| visitor(&server));
    let mut users = fill(&server);
    expect_a_refusal(&server);
    let [logs_in, regenerates, rotates, locks] = &mut visitors;
    change_the_id(logs_in, "/login/ada");
    change_the_id(regenerates, "/regenerate");
    change_the_id(rotates, "/rotate");
    assert_eq!(locks.get("/locked").text(), "3", "{backend}");
    assert_eq!(logs_in.get("/user").text(), "ada");
    // The whole life goes on: more data, and the end.
    assert_eq!(regenerates.get("/set/filling/much").status, 204);
    expect_done(&users[0].get("/logout"));
    for (number, user) in users.iter_mut().enumerate().skip(1) {
        assert_eq!(user.get("/user").text(), format!("user-{number}"), "{backend}");
    }
    assert_eq!(users[0].get("/user").text(), "nobody");
    expect_a_refusal(&server);
}

#[track_caller]
fn change_the_id(visitor: &mut Browser, path: &str) {
    let before = visitor.session().map(str::to_owned);
    expect_done(&visitor.get(path));
    assert_ne!(visitor.session().map(str::to_owned), before, "{path}");
    assert_eq!(visitor.get("/count").text(), "3", "{path}");
}

#[track_caller]
fn expect_done(answer: &Answer) {
    assert!(matches!(answer.status, 200 | 204), "{}", answer.head);
}

#[test]
fn whoever_has_a_session_goes_on_on_files() {
    whoever_has_a_session_goes_on("file");
}

#[test]
fn whoever_has_a_session_goes_on_in_a_table() {
    whoever_has_a_session_goes_on("table");
}
