//! Handlers that send and do not wait for events.

use std::time::{Duration, Instant};

use maypole::live::{Event, WebSocket};
use maypole::prelude::*;

use super::watching::{cookie_line, counting, visitor};
use super::{
    CLOSE, FIN, PING, PONG, TEXT, close, expect_text, frame, open, open_with, take_frame, text,
};
use crate::support::{PATIENCE, TestServer, Wire, serve};

fn ticking(config: &str) -> TestServer {
    serve(config, |app| {
        app.get("/ticks", |ctx| ctx.websocket(tick));
        app.get("/late", |ctx| {
            ctx.websocket(|ws| {
                for _ in 0..30 {
                    ws.send("tick")?;
                    maypole::sleep(Duration::from_millis(10));
                }
                while let Some(event) = ws.recv()? {
                    if let Event::Text(text) = event {
                        ws.send(format!("got {text}"))?;
                    }
                }
                Ok(())
            })
        });
    })
}

fn tick(ws: &mut WebSocket) -> Result<()> {
    loop {
        ws.send("tick")?;
        maypole::sleep(Duration::from_millis(10));
    }
}

/// The next frame that is no tick.
#[track_caller]
fn after_ticks(wire: &mut Wire) -> (u8, Vec<u8>) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let (first, payload) = take_frame(wire);
        if (first, payload.as_slice()) != (FIN | TEXT, b"tick") {
            return (first, payload);
        }
    }
    panic!("nothing but ticks");
}

#[test]
fn who_only_sends_answers_pings_and_agrees_to_a_close() {
    let server = ticking("");
    let mut wire = open(&server, "/ticks");
    expect_text(&mut wire, "tick");
    wire.send(frame(FIN | PING, b"there?"));
    assert_eq!(after_ticks(&mut wire), (FIN | PONG, b"there?".to_vec()));
    wire.send(close(1000, ""));
    assert_eq!(after_ticks(&mut wire), (FIN | CLOSE, 1000_u16.to_be_bytes().to_vec()));
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn who_only_sends_is_told_of_the_rules() {
    let server = ticking("");
    let mut wire = open(&server, "/ticks");
    wire.send([FIN | TEXT, 0x01, b'x']);
    let (first, payload) = after_ticks(&mut wire);
    assert_eq!((first, &payload[..2]), (FIN | CLOSE, &1002_u16.to_be_bytes()[..]), "unmasked");
    wire.expect_end();
}

#[test]
fn messages_for_who_only_sends_wait_for_the_first_recv() {
    for config in ["", "[websocket]\nmessage = 1K\n"] {
        let server = ticking(config);
        let mut wire = open(&server, "/late");
        let long = |number: usize| format!("{number} {}", "x".repeat(500));
        (0..50).for_each(|number| wire.send(text(&long(number))));
        for number in 0..50 {
            let expected = format!("got {}", long(number)).into_bytes();
            assert_eq!(after_ticks(&mut wire), (FIN | TEXT, expected), "{config}");
        }
    }
}

#[test]
fn who_only_sends_ends_with_its_session() {
    let server = counting("");
    let (mut browser, cookie) = visitor(&server);
    let mut socket = open_with(&server, "/ticks", &cookie);
    expect_text(&mut socket, "0");
    let mut stream = server.connect();
    stream.send(format!("GET /tick-events HTTP/1.1\r\nHost: x\r\n{cookie}\r\n"));
    let (other, _) = visitor(&server);
    let mut others = open_with(&server, "/ticks", &cookie_line(&other));
    browser.get("/logout");
    let (first, payload) = after_ticks(&mut socket);
    assert_eq!((first, &payload[..2]), (FIN | CLOSE, &4401_u16.to_be_bytes()[..]));
    let told = stream.answer();
    assert!(told.status == 200 && told.text().starts_with("data: 0\n\n"), "{}", told.text());
    expect_text(&mut others, "0");
    expect_text(&mut others, "tick");
}
