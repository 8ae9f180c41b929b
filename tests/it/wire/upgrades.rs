//! Connections that change their protocol.

use std::io::{Read, Write};

use maypole::prelude::*;

use crate::support::{TestServer, check, serve};

/// Echoes until the client closes or sends `q`.
fn echoing() -> TestServer {
    serve("", |app| {
        let echo = |_ctx: &RequestContext| {
            Response::upgrade("echo", |mut peer| {
                let mut buffer = [0; 64];
                loop {
                    let count = peer.read(&mut buffer)?;
                    if count == 0 || buffer[..count].contains(&b'q') {
                        peer.write_all(b"bye")?;
                        return Ok(());
                    }
                    peer.write_all(&buffer[..count])?;
                }
            })
        };
        app.get("/upgrade", echo);
        app.post("/upgrade", echo);
        app.get("/upgrade/panic", |_ctx| {
            Response::upgrade("echo", |_peer| std::panic::panic_any("in an upgrade, on purpose"))
        });
    })
}

const ASK: &str =
    "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

#[test]
fn bytes_go_both_ways_after_101() {
    let server = echoing();
    let mut wire = server.connect();
    wire.send(ASK);
    let answer = wire.answer();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("echo"));
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
    for word in ["hello", "again"] {
        wire.send(word);
        assert_eq!(wire.take(5), word.as_bytes());
    }
    wire.finish_sending();
    assert_eq!(wire.rest(), b"bye");
    server.expect_no_connections();
}

#[test]
fn bytes_right_behind_the_request_belong_to_the_new_protocol() {
    let server = echoing();
    let mut wire = server.connect();
    wire.send(format!("{ASK}hello"));
    assert_eq!(wire.answer().status, 101);
    assert_eq!(wire.take(5), b"hello");
}

#[test]
fn a_body_before_the_upgrade_is_no_part_of_the_new_protocol() {
    let server = echoing();
    let mut wire = server.connect();
    wire.send(
        ASK.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 4\r\n\r\nbodyhello"),
    );
    assert_eq!(wire.answer().status, 101);
    assert_eq!(wire.take(5), b"hello");
}

/// RFC 9110, 7.8: first the 100, then the 101.
#[test]
fn who_waits_to_be_asked_for_the_body_is_asked_before_the_switch() {
    let server = echoing();
    let ask = ASK.replace("GET", "POST");
    for (framing, body) in [
        ("Content-Length: 4\r\n\r\n", "body"),
        ("Transfer-Encoding: chunked\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n"),
    ] {
        let mut wire = server.connect();
        wire.send(ask.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n") + framing);
        assert_eq!(wire.answer().head, "HTTP/1.1 100 Continue\r\n\r\n");
        wire.send(format!("{body}one q"));
        assert_eq!(wire.answer().status, 101);
        assert_eq!(wire.rest(), b"bye");
    }
}

#[test]
fn no_request_is_answered_after_the_new_protocol_ends() {
    let server = echoing();
    let mut wire = server.connect();
    wire.send(ASK);
    assert_eq!(wire.answer().status, 101);
    wire.send("q");
    assert_eq!(wire.take(3), b"bye");
    wire.send("GET /probe HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.expect_end();
}

#[test]
fn who_did_not_ask_for_the_protocol_gets_426() {
    let server = echoing();
    for ask in [
        ASK.replace("HTTP/1.1", "HTTP/1.0"),
        ASK.replace("Upgrade: echo", "Upgrade: websocket"),
        ASK.replace("Connection: Upgrade\r\n", ""),
        "GET /upgrade HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let answer = {
            let mut wire = server.connect();
            wire.send(&ask);
            wire.answer()
        };
        assert_eq!((answer.status, answer.header("upgrade")), (426, Some("echo")), "{ask}");
    }
}

#[test]
fn an_offer_that_nobody_takes_up_is_passed_over() {
    let server = echoing();
    let offer = "GET /none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                 Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    check(&server, offer, "404 404 Not Found\nopen");
}

#[test]
fn a_panic_after_101_closes_the_connection() {
    let server = echoing();
    let mut wire = server.connect();
    wire.send(ASK.replace("/upgrade", "/upgrade/panic"));
    assert_eq!(wire.answer().status, 101);
    wire.expect_end();
    server.expect_no_connections();
    assert_eq!(server.connect().get("/probe").text(), "probe");
}

#[test]
fn a_child_may_go_on_with_the_connection() {
    let server = serve("", |app| {
        app.get("/upgrade", |_ctx| {
            Response::upgrade("echo", |mut peer| {
                let echo = move || {
                    let mut buffer = [0; 64];
                    while let Ok(count @ 1..) = peer.read(&mut buffer) {
                        if peer.write_all(&buffer[..count]).is_err() {
                            return;
                        }
                    }
                    peer.write_all(b"bye").ok();
                };
                spawn(echo).map(drop)
            })
        });
    });
    let mut wire = server.connect();
    wire.send(ASK);
    assert_eq!(wire.answer().status, 101);
    for word in ["hello", "again"] {
        wire.send(word);
        assert_eq!(wire.take(5), word.as_bytes());
    }
    wire.finish_sending();
    assert_eq!(wire.rest(), b"bye");
    server.expect_no_connections();
}

#[test]
fn on_a_plain_thread_the_connection_fails_without_a_panic() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = serve("", move |app| {
        app.get("/upgrade", move |_ctx| {
            let sender = sender.clone();
            Response::upgrade("echo", move |mut peer| {
                std::thread::spawn(move || {
                    let read = peer.read(&mut [0; 64]).map_err(|error| error.kind());
                    let written = peer.write(b"x").map_err(|error| error.kind());
                    sender.send([read, written]).ok();
                });
                Ok(())
            })
        });
    });
    let mut wire = server.connect();
    wire.send(ASK);
    assert_eq!(wire.answer().status, 101);
    assert_eq!(receiver.recv().unwrap(), [Err(std::io::ErrorKind::Unsupported); 2]);
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn an_upgrade_with_another_status_is_500_and_switches_nothing() {
    let server = serve("", |app| {
        app.get("/upgrade", |_ctx| {
            let upgrade = Response::upgrade("echo", |mut peer| Ok(peer.write_all(b"raw")?))?;
            Ok(upgrade.with_status(StatusCode::OK))
        });
    });
    let mut wire = server.connect();
    wire.send(ASK);
    assert_eq!(wire.answer().status, 500);
    assert_eq!(wire.get("/probe").text(), "probe");
}
