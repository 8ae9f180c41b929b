//! Clients that take their time.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use maypole::prelude::*;

use crate::support::{PATIENCE, TempDir, TestServer, Testee, Wire, serve, wait_until};

const SHORT: &str = "[server]\nheader_timeout = 1s\nbody_timeout = 1s\nbody_min_rate = 1M\n\
                     write_timeout = 1s\nkeep_alive = 1s\nlinger = 50ms\n";

fn impatient() -> TestServer {
    serve(SHORT, |app| {
        app.post("/echo", |ctx| ctx.body_bytes());
        app.post("/ignore", |_ctx| "ignored");
        app.get("/large", |_ctx| "x".repeat(32 * 1024 * 1024));
        app.get("/stubborn", |_ctx| {
            Response::stream(|out| {
                let piece = vec![b'x'; 64 * 1024];
                for _ in 0..1000 {
                    out.write_all(&piece).ok();
                }
                Ok(())
            })
        });
        app.get("/stream", |_ctx| {
            Response::stream(|out| {
                let piece = vec![b'x'; 64 * 1024];
                loop {
                    out.write_all(&piece)?;
                }
            })
        });
    })
}

/// Sends a byte of `bytes` every now and then until the other end closes; says how long it took.
fn trickle(wire: &mut Wire, bytes: &str) -> Duration {
    let begun = Instant::now();
    let mut writer = wire.stream().try_clone().expect("a second handle");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for byte in bytes.bytes().cycle() {
                if over.load(Ordering::Relaxed) || writer.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let first = wire.try_answer();
        over.store(true, Ordering::Relaxed);
        if let Some(answer) = first {
            assert_eq!(answer.status, 408, "{}", answer.head);
            assert_eq!(answer.header("connection"), Some("close"));
        }
    });
    begun.elapsed()
}

#[test]
fn a_silent_connection_is_closed() {
    let server = impatient();
    let mut wire = server.connect();
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn an_idle_connection_is_closed_after_keep_alive() {
    let server = impatient();
    let mut wire = server.connect();
    assert_eq!(wire.get("/probe").text(), "probe");
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn a_head_that_trickles_is_cut_however_it_trickles() {
    let server = impatient();
    let mut wire = server.connect();
    let endless = "GET / HTTP/1.1\r\nHost: x\r\n".to_owned() + &"X-Header: 1\r\n".repeat(500);
    let took = trickle(&mut wire, &endless);
    assert!(took >= Duration::from_millis(900), "cut too early, after {took:?}");
    server.expect_no_connections();
}

#[test]
fn a_head_that_stops_is_408() {
    let server = impatient();
    for start in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n", "\r\n"] {
        let mut wire = server.connect();
        wire.send(start);
        let answer = wire.answer();
        assert_eq!(answer.status, 408, "{start:?}");
        assert!(
            answer.header("date").is_some_and(|date| date.ends_with(" GMT")),
            "{}",
            answer.head
        );
        wire.expect_end();
    }
    // Also for the second request of a connection.
    let mut wire = server.connect();
    assert_eq!(wire.get("/probe").text(), "probe");
    wire.send("GET /pro");
    assert_eq!(wire.answer().status, 408);
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn a_body_that_stops_or_trickles_is_408() {
    let server = impatient();
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let mut wire = server.connect();
    wire.send(head);
    assert_eq!(wire.answer().status, 408);
    wire.expect_end();
    let mut wire = server.connect();
    wire.send(head);
    trickle(&mut wire, "x");
    let mut wire = server.connect();
    wire.send(head.replace("Content-Length: 1000", "Transfer-Encoding: chunked"));
    trickle(&mut wire, "1\r\nx\r\n");
    server.expect_no_connections();
}

#[test]
fn a_body_nobody_reads_cannot_hold_the_connection() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    assert_eq!(wire.answer().text(), "ignored");
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn a_body_that_comes_fast_enough_may_take_longer_than_its_time() {
    // Each piece buys ten seconds, of which a busy machine may take some; without them it is cut after
    // one.
    let server = serve("[server]\nbody_timeout = 1s\nbody_min_rate = 1\n", |app| {
        app.post("/echo", |ctx| ctx.body_bytes());
    });
    let mut wire = server.connect();
    wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n");
    for _ in 0..6 {
        wire.send("0123456789");
        std::thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(wire.answer().body.len(), 60);
}

/// It is in time, though the only worker is held by another's handler until after that time.
#[test]
fn a_body_that_came_in_time_is_no_late_one_for_a_busy_server() {
    let directory = TempDir::new();
    let settings = [
        ("MAYPOLE_RUNTIME_WORKERS", "1"),
        ("MAYPOLE_SERVER_BODY_TIMEOUT", "4s"),
        ("MAYPOLE_SERVER_STALL_WARNING", "200ms"),
    ];
    let mut testee = Testee::start(directory.path(), &settings);
    let (mut wire, mut other) = (testee.connect(), testee.connect());
    wire.send("POST /wait HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n");
    wire.send("Content-Length: 5\r\n\r\n");
    assert_eq!(wire.answer().status, 100);
    other.send("GET /held/6000 HTTP/1.1\r\nHost: x\r\n\r\n");
    testee.process.line_with("has been busy with one coroutine");
    wire.send("hello");
    assert_eq!(other.answer().text(), "let go");
    assert_eq!(wire.answer().text(), "5");
}

#[test]
fn a_client_that_does_not_read_is_cut_while_others_are_served() {
    let server = impatient();
    let mut deaf: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for (number, wire) in deaf.iter_mut().enumerate() {
        let path = if number % 2 == 0 { "/large" } else { "/stream" };
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    wait_until("the deaf are cut", PATIENCE, || {
        assert_eq!(server.connect().get("/probe").text(), "probe");
        server.server().connections() < 5
    });
    server.expect_no_connections();
}

#[test]
fn a_client_that_talks_but_does_not_read_is_cut_too() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.take(1000).len(), 1000);
    let mut writer = wire.stream().try_clone().expect("a second handle");
    wait_until("the deaf talker is cut", PATIENCE, || {
        writer.write_all(b"x").ok();
        std::thread::sleep(Duration::from_millis(50));
        server.server().connections() == 0
    });
}

#[test]
fn a_handler_that_ignores_a_failed_write_sends_nothing_behind_it() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n");
    server.expect_no_connections();
    // Only now the client reads, and finds chunks in good order up to the cut.
    let answer = wire.answer();
    assert_eq!((answer.status, answer.is_whole), (200, false));
    assert!(answer.body.iter().all(|byte| *byte == b'x'));
}
