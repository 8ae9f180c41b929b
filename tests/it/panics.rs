//! A panic anywhere in a request is that request's trouble alone.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use maypole::prelude::*;

use crate::support::{Journal, TestServer, serve};

fn fragile() -> TestServer {
    serve("[app]\nenv = production\nname = fragile\n[cookie]\nsecure = false\n", |app| {
        app.with(|ctx, next| {
            if ctx.query_string() == "before" {
                std::panic::panic_any("before the handler, on purpose");
            }
            let response = next.run(ctx);
            if ctx.query_string() == "after" {
                std::panic::panic_any("after the handler, on purpose");
            }
            response
        });
        app.get("/handler", |ctx| -> Result<()> {
            ctx.session.increment("n", 1)?;
            panic!("in the handler {}, on purpose", ctx.request_id())
        });
        app.get("/saved", |ctx| -> Result<()> {
            ctx.session.increment("n", 1)?;
            ctx.session.save()?;
            std::panic::panic_any("after a save, on purpose")
        });
        app.get("/pool", |_ctx| blocking(|| -> () { panic!("on the pool, on purpose") }));
        app.get("/update", |ctx| {
            ctx.session
                .update("n", |_: &mut i64| panic!("in an update, on purpose"))
                .map(|n| n.to_string())
        });
        // The closure runs once for the verb, and once more at commit if somebody else wrote
        // between the two: the client holds the request there by its `Expect: 100-continue`.
        app.post("/late-update", |ctx| {
            let runs = AtomicUsize::new(0);
            ctx.session.update("n", move |n: &mut i64| {
                if runs.fetch_add(1, Ordering::SeqCst) > 0 {
                    panic!("in a late update, on purpose");
                }
                *n += 100;
            })?;
            ctx.body_bytes()?;
            Ok("updated")
        });
        app.get("/child", |_ctx| {
            spawn(|| panic!("in a child, on purpose"))?.join()?;
            Ok("not reached")
        });
        app.get("/stream", |ctx| {
            ctx.session.increment("n", 1)?;
            Ok(Response::stream(|out| {
                out.write_all(b"x")?;
                std::panic::panic_any("in a stream, on purpose")
            }))
        });
        app.get("/count", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
        app.get("/n", |ctx| Ok(ctx.session.get_or("n", 0_i64)?.to_string()));
    })
}

#[test]
fn a_panic_is_500_on_a_connection_that_goes_on() {
    let server = fragile();
    let mut browser = server.browser();
    assert_eq!(browser.get("/count").text(), "1");
    let mut wire = server.connect();
    for path in
        ["/handler", "/pool", "/update", "/child", "/n?before", "/n?after", "/handler?after"]
    {
        let answer = browser.send_on(&mut wire, "GET", path, "");
        assert_eq!(answer.status, 500, "{path}");
        assert_eq!(answer.text(), "500 Internal Server Error\n", "{path}");
        assert_eq!(answer.headers("set-cookie"), Vec::<&str>::new(), "{path}");
    }
    assert_eq!(browser.send_on(&mut wire, "GET", "/n", "").text(), "1", "changes are discarded");
    drop(wire);
    server.expect_no_connections();
    assert_eq!(Journal::framework_panics(), Vec::<String>::new());
}

#[test]
fn the_log_names_the_panic_and_the_request() {
    let server = fragile();
    assert_eq!(server.connect().get("/handler").status, 500);
    let lines = Journal::lines_with("the handler panicked: in the handler");
    let line = lines.last().expect("a line about the panic");
    let (_, rest) = line.split_once("in the handler ").expect("the id in the panic's words");
    let id = &rest[..16];
    assert!(
        line.starts_with("ERROR GET /handler: ") && line.ends_with(&format!("[{id}]")),
        "{line}"
    );
}

#[test]
fn a_panic_before_the_first_write_makes_no_session() {
    let server = fragile();
    let answer = server.connect().get("/handler");
    assert_eq!((answer.status, answer.header("set-cookie")), (500, None));
    assert_eq!(server.sessions().files().iter().filter(|path| is_record(path)).count(), 0);
}

#[test]
fn what_was_saved_before_a_panic_stays_and_its_cookie_is_sent() {
    let server = fragile();
    let mut browser = server.browser();
    let answer = browser.get("/saved");
    assert_eq!((answer.status, answer.headers("set-cookie").len()), (500, 1));
    assert_eq!(browser.get("/n").text(), "1");
    assert_eq!(browser.get("/saved").status, 500);
    assert_eq!(browser.get("/n").text(), "2");
}

#[test]
fn a_panic_at_commit_is_500_and_stores_nothing() {
    let server = fragile();
    let mut browser = server.browser();
    assert_eq!(browser.get("/count").text(), "1");
    let mut late = server.connect();
    let head = browser.head("POST", "/late-update");
    late.send(head + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(late.answer().status, 100);
    assert_eq!(browser.get("/count").text(), "2");
    late.send("x");
    let answer = late.answer();
    assert_eq!((answer.status, answer.header("set-cookie")), (500, None));
    assert_eq!(late.get("/probe").text(), "probe");
    assert_eq!(browser.get("/count").text(), "3", "the session is usable, nothing was half done");
}

#[test]
fn a_panic_in_a_stream_keeps_what_was_committed_before_its_head() {
    let server = fragile();
    let mut browser = server.browser();
    let answer = browser.get("/stream");
    assert_eq!((answer.status, answer.is_whole), (200, false));
    assert_eq!(browser.get("/n").text(), "1");
    server.expect_no_connections();
}

#[test]
fn a_thousand_panics_leave_nothing_behind() {
    let server = fragile();
    let mut wire = server.connect();
    for number in 0..1000 {
        let path = ["/handler", "/pool", "/update", "/child"][number % 4];
        assert_eq!(wire.get(path).status, 500);
    }
    assert_eq!(wire.get("/probe").text(), "probe");
    assert_eq!(server.server().connections(), 1);
    drop(wire);
    server.expect_no_connections();
}

fn is_record(path: &std::path::Path) -> bool {
    path.file_name().is_some_and(|name| name.len() > 32)
}
