//! Whole requests on the stores that config.ini chooses.

use super::PATIENCE;
use crate::config::Config;
use crate::redis::tests::server::{Server, eventually};
use crate::testing::TestClient;
use crate::{App, ErrorKind};

fn settings(server: &Server, backend: &str, command_timeout: &str) -> Config {
    let text = format!(
        "[session]\nbackend = {backend}\nredis_connection_pool = sessions\n\
         [redis.sessions]\nurl = redis://127.0.0.1:{}\ncommand_timeout = {command_timeout}\n",
        server.port()
    );
    Config::parse(&text, "test.ini").unwrap()
}

/// A server whose redis may take its time.
fn counter(server: &Server, backend: &str) -> TestClient {
    counter_with(settings(server, backend, "20s"))
}

fn counter_with(settings: Config) -> TestClient {
    let mut app = App::with_config(settings);
    app.get("/", |ctx| Ok(ctx.session.increment("visits", 1)?.to_string()));
    app.get("/free", |_ctx| "no session here");
    app.get("/out", |ctx| ctx.session.logout());
    app.test_client().unwrap()
}

#[test]
fn a_server_starts_without_redis_and_its_sessions_come_when_redis_does() {
    for backend in ["redis", "tiered"] {
        let mut server = Server::prepare(&[]);
        let browser = counter(&server, backend);
        assert_eq!(browser.get("/free").send().text(), "no session here");
        let refused = browser.get("/").send();
        assert_eq!(refused.status(), 503, "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
        assert!(refused.header("set-cookie").is_none(), "nothing is minted");
        server.launch_and_wait();
        eventually("sessions are there", PATIENCE, || browser.get("/").send().status() == 200);
        assert_eq!(browser.get("/").send().text(), "2");
        server.kill();
        let refused = browser.get("/").send();
        assert_eq!(refused.status(), 503);
        assert!(refused.header("set-cookie").is_none(), "the cookie is left alone");
        assert_eq!(browser.get("/free").send().status(), 200);
    }
}

/// A save whose answer is late is looked up, or reported as unknown; never applied twice.
#[test]
fn a_redis_that_pauses_counts_no_visit_twice() {
    for backend in ["redis", "tiered"] {
        let server = Server::start();
        let browser = counter_with(settings(&server, backend, "500ms"));
        // Whoever is refused has no cookie yet, and comes for the first time again.
        eventually("a session is there", PATIENCE, || browser.get("/").send().text() == "1");
        let (mut acknowledged, mut unknown, mut last) = (1_u64, 0_u64, 1_u64);
        for round in 0..6 {
            let pause = ["50", "150", "250"][round % 3];
            server.cli(&["CLIENT", "PAUSE", pause, "ALL"]);
            for _ in 0..5 {
                let answer = browser.get("/").send();
                if answer.status() == 200 {
                    let visits: u64 = answer.text().parse().unwrap();
                    assert!(visits > last, "{visits} after {last}: a visit got lost");
                    (acknowledged, last) = (acknowledged + 1, visits);
                } else {
                    assert_eq!(answer.status(), 503);
                    unknown += 1;
                }
            }
        }
        eventually("redis is back", PATIENCE, || {
            let answer = browser.get("/").send();
            let is_back = answer.status() == 200;
            if is_back {
                (acknowledged, last) = (acknowledged + 1, answer.text().parse().unwrap());
            } else {
                unknown += 1;
            }
            is_back
        });
        assert!((acknowledged..=acknowledged + unknown).contains(&last), "{last} visits");
        println!("{backend}: {acknowledged} acknowledged, {unknown} unknown, {last} counted");
    }
}

#[test]
fn a_logout_on_one_server_is_a_logout_on_all() {
    for backend in ["redis", "tiered"] {
        let server = Server::start();
        let (here, there) = (counter(&server, backend), counter(&server, backend));
        for _ in 0..20 {
            let visitor = here.another_visitor();
            assert_eq!(visitor.get("/").send().text(), "1");
            let cookie = visitor.cookie("session").unwrap();
            let elsewhere = there.another_visitor();
            elsewhere.set_cookie("session", &cookie);
            assert_eq!(elsewhere.get("/").send().text(), "2");
            assert_eq!(visitor.get("/out").send().status(), 204);
            elsewhere.set_cookie("session", &cookie);
            assert_eq!(elsewhere.get("/").send().text(), "1", "a new, empty session");
        }
    }
}

#[test]
fn a_wrong_password_is_said_at_the_start() {
    let server = Server::start_with(&["--requirepass", "right"]);
    let app = App::with_config(settings(&server, "redis", "20s"));
    let error = app.test_client().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Start);
}
