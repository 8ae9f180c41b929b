//! Server-sent events.

use std::time::{Duration, Instant};

use maypole::live::{Event, SseEvent};

use crate::support::{PATIENCE, TestServer, serve, wait_until};

fn telling(config: &str) -> TestServer {
    serve(config, |app| {
        app.get("/news", |ctx| {
            let last = ctx.last_event_id().unwrap_or("none").to_owned();
            ctx.session.increment("n", 1)?;
            ctx.sse(move |out| {
                out.send(SseEvent::new(format!("after {last}\nevent: no")).id("7").event("news"))?;
                while out.recv()?.is_some() {}
                Ok(())
            })
        });
        app.get("/ticks", |ctx| {
            ctx.sse(|out| {
                for tick in 0..3 {
                    out.send(tick.to_string())?;
                    match out.recv_timeout(Duration::from_millis(60))? {
                        Some(Event::Elapsed) => {}
                        other => return out.send(format!("{other:?}")),
                    }
                }
                Ok(())
            })
        });
        app.get("/bad", |ctx| ctx.sse(|out| out.send(SseEvent::new("x").id("a\nb"))));
        app.get("/flood", |ctx| {
            ctx.sse(|out| {
                loop {
                    out.send("x".repeat(100_000))?;
                }
            })
        });
    })
}

#[test]
fn events_come_at_once_and_unbuffered() {
    let server = telling("");
    let mut wire = server.connect();
    wire.send("GET /news HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 6\r\n\r\n");
    let event = "event: news\nid: 7\ndata: after 6\ndata: event: no\n\n";
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    let mut got = String::new();
    while !got.ends_with(&chunk) {
        got.push_str(&String::from_utf8(wire.take(1)).unwrap());
    }
    let head = got.strip_suffix(&chunk).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    for line in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "transfer-encoding: chunked",
        "set-cookie: session=",
        "vary: cookie",
    ] {
        assert!(head.contains(&format!("\r\n{line}")), "{line} is not in {head}");
    }
    assert!(!head.contains("content-length"), "{head}");
    assert_eq!(server.server().connections(), 1);
    drop(wire);
    server.expect_no_connections();
}

#[test]
fn a_stream_that_ends_leaves_its_connection_open() {
    let server = telling("");
    let mut wire = server.connect();
    let begun = Instant::now();
    let answer = wire.get("/ticks");
    assert_eq!(answer.text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert!(answer.is_whole && begun.elapsed() >= Duration::from_millis(180));
    assert_eq!(wire.get("/probe").text(), "probe");
    // Requests sent behind it wait, and are answered.
    wire.send("GET /ticks HTTP/1.1\r\nHost: x\r\n\r\nGET /probe HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.answer().text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert_eq!(wire.answer().text(), "probe");
}

#[test]
fn http10_gets_the_stream_until_the_close() {
    let server = telling("");
    let mut wire = server.connect();
    wire.send("GET /ticks HTTP/1.0\r\n\r\n");
    let answer = wire.answer();
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
}

#[test]
fn a_silent_stream_beats() {
    let server = telling("[sse]\nheartbeat = 1s\nretry = 2500ms\n");
    let mut wire = server.connect();
    wire.send("GET /news HTTP/1.0\r\n\r\n");
    let expected = "\r\n\r\nretry: 2500\n\nevent: news\nid: 7\ndata: after none\ndata: event: no\n\n:\n\n:\n\n";
    let mut got = String::new();
    while !got.ends_with(expected) {
        got.push_str(&String::from_utf8(wire.take(1)).unwrap());
    }
}

#[test]
fn a_client_that_leaves_is_noticed_while_nothing_is_sent() {
    let server = telling("[sse]\nheartbeat = off\n");
    let wires: Vec<_> = (0..20)
        .map(|at| {
            let mut wire = server.connect();
            wire.send("GET /news HTTP/1.1\r\nHost: x\r\n\r\n");
            wire.take(100);
            if at % 2 == 0 {
                // With a request behind it that nobody will answer.
                wire.send("GET /probe HTTP/1.1\r\nHost: x\r\n\r\n");
            }
            wire
        })
        .collect();
    assert_eq!(server.server().connections(), 20);
    drop(wires);
    server.expect_no_connections();
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let server = telling("[server]\nwrite_timeout = 1s\n");
    let mut wire = server.connect();
    wire.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.take(100);
    wait_until("the stream is cut", PATIENCE, || server.server().connections() == 0);
}

#[test]
fn a_bad_event_breaks_the_stream_off() {
    let server = telling("");
    let mut wire = server.connect();
    let answer = wire.get("/bad");
    assert!(!answer.is_whole && answer.text().is_empty(), "{answer:?}");
}

#[test]
fn no_more_streams_are_opened_than_allowed() {
    let server = telling("[sse]\nmax_open = 1\n");
    let mut first = server.connect();
    first.send("GET /news HTTP/1.1\r\nHost: x\r\n\r\n");
    first.take(100);
    assert_eq!(server.connect().get("/news").status, 503);
    drop(first);
    wait_until("a place is free", PATIENCE, || server.connect().get("/ticks").status == 200);
}

#[test]
fn a_stop_ends_streams_in_good_order() {
    let server = telling("");
    let mut wire = server.connect();
    wire.send("GET /news HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.take(100);
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(String::from_utf8(wire.rest()).unwrap().ends_with("\r\n0\r\n\r\n"));
}
