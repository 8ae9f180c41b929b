//! Hundreds of requests at once on few workers: each sees its own session and its own request,
//! wherever it is asked for and however often the handler waited in between.

use std::time::Duration;

use maypole::prelude::*;
use maypole::{request, session};

use crate::support::{TestServer, serve};

/// What the framework says about "me", deep below a handler and without a `ctx` in sight.
fn me() -> Result<String> {
    let ctx = request().ok_or_else(|| Error::new(ErrorKind::Internal, "no request here"))?;
    let name: String = session().get_or("name", "nobody".to_owned())?;
    Ok(format!("{}:{name}", ctx.query_string()))
}

/// Fails with both names when somebody else shows up.
fn expect_me(expected: &str, place: &str) -> Result<()> {
    let found = me()?;
    if found == expected {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, format!("{place}: {found} instead of {expected}")))
}

fn crowd() -> TestServer {
    serve("[session]\nnew_sessions_per_minute = 0\n[log]\naccess = false\n", |app| {
        app.post("/name", |ctx| ctx.session.set("name", ctx.query_string()));
        app.get("/waits", |_ctx| {
            let expected = me()?;
            for round in 0..5 {
                sleep(Duration::from_millis(1 + round % 3));
                expect_me(&expected, "after a sleep")?;
                session().increment("rounds", 1)?;
            }
            let own = expected.clone();
            spawn(move || {
                sleep(Duration::from_millis(1));
                expect_me(&own, "in a child")?;
                let own = own.clone();
                spawn(move || expect_me(&own, "in a child's child"))?.join()?
            })?
            .join()??;
            let (first, second) = (expected.clone(), expected.clone());
            scope(move |s| {
                s.spawn(move || {
                    sleep(Duration::from_millis(2));
                    session().push("seen", me().unwrap_or_else(|error| error.chain())).ok();
                })?;
                s.spawn(move || {
                    let found = if expect_me(&first, "in a scope").is_ok() {
                        second
                    } else {
                        "?".to_owned()
                    };
                    session().push("seen", &found).ok();
                })
            })?;
            expect_me(&expected, "after a scope")?;
            // On the pool the store must not be asked, but the session is loaded by now.
            let own = expected.clone();
            blocking(move || expect_me(&own, "on the pool"))??;
            expect_me(&expected, "after the pool")?;
            let seen: Vec<String> = session().get_or("seen", Vec::new())?;
            if seen.iter().any(|name| *name != expected) {
                return Err(Error::new(ErrorKind::Internal, format!("{seen:?} for {expected}")));
            }
            Ok(expected)
        });
        app.get("/rounds", |ctx| Ok(ctx.session.get_or("rounds", 0_i64)?.to_string()));
    })
}

#[test]
fn nobody_sees_another_visitors_session_or_request() {
    let server = crowd();
    let (threads, visitors, visits) = (8, 40, 2);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let server = &server;
            scope.spawn(move || one_thread(server, thread, visitors, visits));
        }
    });
    server.expect_no_connections();
}

/// All visitors of a thread have a request under way at the same time.
fn one_thread(server: &TestServer, thread: usize, visitors: usize, visits: usize) {
    let mut all: Vec<_> = (0..visitors)
        .map(|visitor| {
            let name = format!("{thread}-{visitor}");
            let (mut browser, mut wire) = (server.browser(), server.connect());
            let answer = browser.send_on(&mut wire, "POST", &format!("/name?{name}"), "");
            assert_eq!(answer.status, 204);
            (name, browser, wire)
        })
        .collect();
    for _ in 0..visits {
        for (name, browser, wire) in &mut all {
            wire.send(browser.head("GET", &format!("/waits?{name}")) + "\r\n");
        }
        for (name, _, wire) in &mut all {
            let answer = wire.answer();
            assert_eq!((answer.status, answer.text()), (200, format!("{name}:{name}")));
        }
    }
    for (_, browser, wire) in &mut all {
        let answer = browser.send_on(wire, "GET", "/rounds", "");
        assert_eq!(answer.text(), (5 * visits).to_string());
    }
}

#[test]
fn outside_a_request_there_is_none() {
    assert!(request().is_none());
    assert_eq!(session().get::<String>("name").unwrap_err().kind(), ErrorKind::NoRequest);
    let child = spawn(|| (request().is_none(), session().set("a", "b").is_err())).unwrap();
    assert_eq!(child.join().unwrap(), (true, true));
}

#[test]
fn a_child_that_outlives_its_request_finds_the_session_closed() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (go, gate) = maypole::sync::channel::<()>(1);
    let server = serve("", move |app| {
        app.get("/leave", move |ctx| {
            ctx.session.increment("n", 1)?;
            let (sender, gate) = (sender.clone(), gate.clone());
            spawn(move || {
                let _ = gate.recv();
                sender.send(session().increment("n", 1).map_err(|error| error.kind())).ok();
            })?;
            Ok("left")
        });
        app.get("/n", |ctx| Ok(ctx.session.get_or("n", 0_i64)?.to_string()));
    });
    let mut browser = server.browser();
    assert_eq!(browser.get("/leave").text(), "left");
    go.send(()).unwrap();
    assert_eq!(receiver.recv().unwrap(), Err(ErrorKind::SessionClosed));
    assert_eq!(browser.get("/n").text(), "1");
    server.expect_no_connections();
}

#[test]
fn a_job_on_the_pool_reads_what_is_loaded_and_asks_no_store() {
    let server = serve("[runtime]\nblocking_threads = 1\n", |app| {
        app.get("/unloaded", |_ctx| {
            let error = blocking(|| session().get::<i64>("n").unwrap_err())?;
            Ok(format!("{:?}", error.kind()))
        });
        app.get("/loaded", |ctx| {
            let before: i64 = ctx.session.get_or("n", 0)?;
            let after = blocking(|| session().increment("n", 1))??;
            Ok(format!("{before} {after}"))
        });
        app.get("/at-once", |_ctx| {
            // With the one thread of the pool waiting for the session, whose holder waits for the
            // pool, nobody would ever go on.
            scope(|s| {
                s.spawn(|| {
                    for _ in 0..2 {
                        session().increment("n", 1).and_then(|_| session().save()).ok();
                    }
                })?;
                s.spawn(|| {
                    blocking(|| session().increment("n", 1).map(drop)).ok();
                })
            })?;
            Ok("done")
        });
    });
    let mut browser = server.browser();
    assert_eq!(browser.get("/loaded").text(), "0 1");
    assert_eq!(browser.get("/loaded").text(), "1 2");
    assert_eq!(browser.get("/unloaded").text(), "SessionOnPool");
    std::thread::scope(|threads| {
        for _ in 0..16 {
            let mut browser = browser.clone();
            threads.spawn(move || {
                for _ in 0..10 {
                    assert_eq!(browser.get("/at-once").text(), "done");
                }
            });
        }
    });
}
