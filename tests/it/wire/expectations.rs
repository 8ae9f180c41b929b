//! `Expect: 100-continue`.

use std::io::Write;

use maypole::prelude::*;

use super::ground;
use crate::support::{check, check_split};

const ASKING: &str = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";

#[test]
fn a_handler_that_reads_lets_the_client_go_on() {
    let server = ground();
    for (framing, body) in [
        ("Content-Length: 5\r\n\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let mut wire = server.connect();
        wire.send(format!("{ASKING}{framing}"));
        let interim = wire.answer();
        assert_eq!(interim.head, "HTTP/1.1 100 Continue\r\n\r\n");
        wire.send(body);
        assert_eq!(wire.answer().text(), "hello");
        assert_eq!(wire.get("/probe").text(), "probe", "the connection goes on");
    }
}

#[test]
fn a_handler_that_does_not_read_gives_the_final_answer_and_closes() {
    let server = ground();
    for (path, status) in [("/ignore", 200), ("/nothing-here", 404), ("/", 405)] {
        let mut wire = server.connect();
        wire.send(ASKING.replace("/echo", path) + "Content-Length: 5\r\n\r\n");
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{path}");
        // The client sends its body all the same; nothing of it may be taken for a request.
        wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        wire.expect_end();
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_sent() {
    let server = ground();
    let mut wire = server.connect();
    wire.send(ASKING.replace("/echo", "/small") + "Content-Length: 11\r\n\r\n");
    assert_eq!(wire.answer().status, 413);
    wire.expect_end();
}

#[test]
fn nobody_is_told_to_go_on_who_has_done_so_already() {
    let server = ground();
    let at_once = ASKING.to_owned() + "Content-Length: 5\r\n\r\nhello";
    check(&server, at_once, "200 hello\nopen");
    let no_body = ASKING.to_owned() + "\r\n";
    check_split(&server, &no_body, "200\nopen");
    let empty = ASKING.to_owned() + "Content-Length: 0\r\n\r\n";
    check_split(&server, &empty, "200\nopen");
    let old = ASKING.replace("1.1", "1.0") + "Content-Length: 5\r\n\r\nhello";
    check_split(&server, &old, "200 hello\nclosed");
}

#[test]
fn another_expectation_is_417() {
    let server = ground();
    let other = ASKING.replace("100-continue", "a-miracle") + "Content-Length: 5\r\n\r\nhello";
    check(&server, other, "417 unknown expectation\nclosed");
    let more = ASKING.replace("100-continue", "100-continue, a-miracle") + "\r\n";
    check(&server, more, "417 unknown expectation\nclosed");
}

/// A list (RFC 9110, 10.1.1 and 5.6.1), in one line or in several.
#[test]
fn an_expectation_may_be_said_twice_or_not_at_all() {
    let server = ground();
    for list in ["100-continue, 100-Continue", "100-continue\r\nExpect: 100-continue", "", " , "] {
        let head = ASKING.replace("100-continue", list) + "Content-Length: 5\r\n\r\nhello";
        check(&server, head, "200 hello\nopen");
    }
    let mut wire = server.connect();
    wire.send(ASKING.replace("100-continue", ", 100-continue,") + "Content-Length: 5\r\n\r\n");
    assert_eq!(wire.answer().status, 100);
}

#[test]
fn nobody_is_told_to_go_on_within_the_final_answer() {
    let server = crate::support::serve("", |app| {
        app.post("/late", |_ctx| {
            Response::stream(|out| {
                out.write_all(b"one")?;
                out.flush()?;
                let ctx = request().ok_or_else(|| Error::new(ErrorKind::Internal, "no request"))?;
                let is_refused = ctx.body_bytes().is_err();
                write!(out, " {is_refused}")?;
                Ok(())
            })
        });
    });
    let mut wire = server.connect();
    wire.send(ASKING.replace("/echo", "/late") + "Content-Length: 5\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "one true"));
    wire.expect_end();
}
