//! Clients that close early, at every place.

use std::io::Write;

use maypole::prelude::*;

use crate::support::{Journal, TestServer, serve};

fn server() -> TestServer {
    serve("", |app| {
        app.post("/echo", |ctx| ctx.body_bytes());
        app.get("/large", |_ctx| "x".repeat(8 * 1024 * 1024));
        app.get("/endless", |_ctx| {
            Response::stream(|out| {
                loop {
                    out.write_all(&[b'x'; 1000])?;
                }
            })
        });
        app.get("/session", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
    })
}

#[test]
fn nothing_leaks_when_clients_close_early() {
    let server = server();
    let whole = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    for at in 0..=whole.len() {
        drop_after(&server, &whole[..at]);
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    for path in ["/large", "/endless", "/session"] {
        for _ in 0..10 {
            drop_after(&server, &get(path));
            drop_after(&server, &get(path).repeat(20));
        }
    }
    server.expect_no_connections();
    assert_eq!(server.connect().get("/probe").text(), "probe");
    assert_eq!(Journal::framework_panics(), Vec::<String>::new());
}

#[test]
fn a_client_that_stops_reading_in_the_middle_of_a_stream_is_noticed() {
    let server = server();
    let mut wire = server.connect();
    wire.send("GET /endless HTTP/1.0\r\n\r\n");
    assert_eq!(wire.take(1000).len(), 1000);
    drop(wire);
    server.expect_no_connections();
    let errors = Journal::lines_with("GET /endless: ");
    let is_quiet = errors.iter().all(|line| line.starts_with("DEBUG"));
    assert!(is_quiet, "a client that leaves is no error of the server: {errors:?}");
}

fn drop_after(server: &TestServer, bytes: &str) {
    let mut wire = server.connect();
    wire.send(bytes);
}
