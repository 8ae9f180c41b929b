//! Request bodies: read, left unread, cut off.

use super::{ground, ground_with};
use maypole::prelude::*;

use crate::support::{PATIENCE, check, check_split, serve, wait_until};

const CHUNKED: &str = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn bodies_arrive_as_they_were_sent() {
    let server = ground();
    let plain = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    check_split(&server, plain, "200 hello\nopen");
    check(&server, plain.replace("1.1", "1.0"), "200 hello\nclosed");
    let empty = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    check_split(&server, empty, "200\nopen");
    check(&server, "POST /echo HTTP/1.1\r\nHost: x\r\n\r\n", "200\nopen");
    let looks_like_a_request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let body = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{looks_like_a_request}",
        looks_like_a_request.len()
    );
    check(&server, body, &format!("200 {}\nopen", looks_like_a_request.trim_end()));
}

#[test]
fn chunks_are_joined_and_their_decoration_dropped() {
    let server = ground();
    let with = |chunks: &str| format!("{CHUNKED}{chunks}");
    for (chunks, expected) in [
        ("0\r\n\r\n", "200"),
        ("5\r\nhello\r\n0\r\n\r\n", "200 hello"),
        ("1\r\nh\r\n4\r\nello\r\n00\r\n\r\n", "200 hello"),
        ("5;name=value\r\nhello\r\n0;last\r\n\r\n", "200 hello"),
        ("5;name=\"quoted; text\"\r\nhello\r\n0\r\n\r\n", "200 hello"),
        ("000A\r\n0123456789\r\n0\r\n\r\n", "200 0123456789"),
        ("a\r\n0\r\n\r\n12345\r\n0\r\n\r\n", "200 0\r\n\r\n12345"),
        ("5\r\nhello\r\n0\r\nX-Trailer: 1\r\nOther:2\r\n\r\n", "200 hello"),
        ("5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n", "200 hello"),
    ] {
        check_split(&server, with(chunks), &format!("{expected}\nopen"));
    }
}

#[test]
fn a_large_body_arrives_whole() {
    let server = ground();
    let body: String = (0..200_000).map(|number| format!("{number} ")).collect();
    let plain =
        format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    check(&server, plain, &format!("200 {}\nopen", body.trim_end()));
    let mut chunked = CHUNKED.to_owned();
    for piece in body.as_bytes().chunks(7777) {
        chunked += &format!("{:X}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    }
    chunked += "0\r\n\r\n";
    check(&server, chunked, &format!("200 {}\nopen", body.trim_end()));
}

#[test]
fn a_short_body_that_nobody_read_is_passed_over() {
    let server = ground();
    let get_in_body = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let plain = format!(
        "POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{get_in_body}",
        get_in_body.len()
    );
    check_split(&server, &plain, "200 ignored\nopen");
    check_split(&server, plain.replace("/ignore", "/none"), "404 404 Not Found\nopen");
    check(&server, plain.replace("POST", "GET").replace("/ignore", "/"), "200 home\nopen");
    let chunked =
        CHUNKED.replace("/echo", "/ignore") + "1b\r\n" + get_in_body + "\r\n0\r\nA: b\r\n\r\n";
    check_split(&server, chunked, "200 ignored\nopen");
}

#[test]
fn a_long_body_that_nobody_read_ends_the_connection_after_the_answer() {
    let server = ground_with("[limits]\nunread_body = 1000\n");
    let plain = |length: usize| {
        let body = "x".repeat(length);
        format!("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    check(&server, plain(1000), "200 ignored\nopen");
    check(&server, plain(1001), "200 ignored\nclosed");
    let mut wire = server.connect();
    wire.send(plain(1001));
    assert_eq!(wire.answer().header("connection"), Some("close"));
    let chunked = |length: usize| {
        let body = "x".repeat(length);
        CHUNKED.replace("/echo", "/ignore") + &format!("{length:x}\r\n{body}\r\n0\r\n\r\n")
    };
    check(&server, chunked(1000), "200 ignored\nopen");
    check(&server, chunked(1001), "200 ignored\nclosed");
    check(&server, chunked(300_000), "200 ignored\nclosed");
}

#[test]
fn the_answer_arrives_though_the_client_is_still_sending() {
    let server = ground();
    for size in [300_000, 3_000_000, 20_000_000] {
        let mut wire = server.connect();
        wire.send(format!("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"));
        // Whether all of it is taken is the server's choice; the answer is not.
        wire.try_send(vec![b'x'; size]);
        let answer = wire.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ignored"), "{size} bytes");
        assert_eq!(answer.header("connection"), Some("close"));
        wire.expect_end();
    }
}

/// A client that looks for the answer only when all is sent must be able to send all: a reset in the
/// middle would take the answer from it (RFC 9112, 9.6).
#[test]
fn who_sends_everything_first_reads_the_answer_then() {
    let server = ground();
    let size = 16 * 1024 * 1024;
    for (request, status) in [
        (format!("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"), 200),
        (format!("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"), 413),
        (format!("POST /small HTTP/1.1\r\nContent-Length: {size}\r\n\r\n"), 400),
    ] {
        let mut wire = server.connect();
        wire.send(request);
        assert!(wire.try_send(vec![b'x'; size]), "no reset while it sends");
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
        wire.expect_end();
    }
}

#[test]
fn a_body_that_is_cut_off_is_the_clients_fault() {
    let server = ground();
    for cut in [
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let mut wire = server.connect();
        wire.send(cut);
        wire.finish_sending();
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{cut:?}");
        wire.expect_end();
    }
}

#[test]
fn a_body_that_is_cut_off_makes_no_request() {
    let server = ground();
    for cut in [
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "POST /ignore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Le",
        "POST /echo HTTP/1.1\r\nHost: x\r\n",
    ] {
        let mut wire = server.connect();
        wire.send(cut);
        wire.finish_sending();
        let rest = String::from_utf8(wire.rest()).expect("text");
        assert!(!rest.contains("hello"), "{cut:?}: {rest}");
    }
    server.expect_no_connections();
}

#[test]
fn a_child_that_outlives_its_request_does_not_keep_the_connection() {
    let (go, gate) = maypole::sync::channel::<()>(1);
    let server = crate::support::serve("[server]\nlinger = 20ms\n", move |app| {
        app.post("/leave", move |ctx| {
            let gate = gate.clone();
            maypole::spawn(move || gate.recv())?;
            Ok(ctx.body_bytes()?.len().to_string())
        });
    });
    let mut wire = server.connect();
    wire.send("POST /leave HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(wire.answer().text(), "5");
    wait_until("the connection is parked", PATIENCE, || server.server().parked_connections() == 1);
    assert_eq!(wire.get("/probe").text(), "probe");
    drop(wire);
    server.expect_no_connections();
    go.send(()).expect("the child waits still");
}

#[test]
fn only_the_handlers_own_coroutine_reads_the_body() {
    let server = serve("", |app| {
        app.post("/", |ctx| {
            fn read() -> Option<String> {
                request()?.body_bytes().err().map(|error| error.to_string())
            }
            let child = spawn(read)?.join()?;
            let pool = blocking(read)?;
            let ctx_there = request();
            let thread = std::thread::spawn(move || {
                ctx_there?.body_bytes().err().map(|error| error.to_string())
            });
            let thread = thread.join().ok().flatten();
            let expected = "only the handler's own coroutine may read the request's body";
            for found in [child, pool, thread] {
                assert_eq!(found.as_deref(), Some(expected));
            }
            ctx.body_bytes()
        });
    });
    let mut wire = server.connect();
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n");
    wire.send("Expect: 100-continue\r\n\r\n");
    assert_eq!(wire.answer().status, 100);
    wire.send("hello");
    assert_eq!(wire.answer().text(), "hello");
    assert_eq!(wire.get("/probe").text(), "probe");
}
