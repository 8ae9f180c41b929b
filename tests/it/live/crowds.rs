//! Crowds that come, do not listen, and leave badly; figures are in benches/README.md, "Live".

use std::sync::Mutex;
use std::time::{Duration, Instant};

use maypole::live::{Event, Topics, WebSocket};
use maypole::prelude::*;
use maypole::testing::ManualClock;

use super::{expect_text, handshake, take_close, take_frame, text};
use crate::support::{Browser, PATIENCE, TestServer, Wire, crowds_turn, serve, wait_until};

const CROWD: usize = 1000;

/// Sockets that follow a topic, their session, or both.
fn crowded(config: &str) -> (TestServer, Topics) {
    crowded_at(&ManualClock::new(), config)
}

fn crowded_at(clock: &ManualClock, config: &str) -> (TestServer, Topics) {
    let topics = Mutex::new(None);
    let server = serve(config, |app| {
        app.clock(clock.clock());
        *topics.lock().unwrap() = Some(app.topics());
        app.get("/start", |ctx| Ok(ctx.session.increment("count", 0)?.to_string()));
        app.get("/click", |ctx| Ok(ctx.session.increment("count", 1)?.to_string()));
        app.get("/logout", |ctx| ctx.session.logout());
        app.get("/news", |ctx| {
            ctx.websocket(|ws| {
                ws.follow(maypole::live::topic("news")?)?;
                pass_on(ws)
            })
        });
        app.get("/many", |ctx| {
            ctx.websocket(|ws| {
                while let Some(event) = ws.recv()? {
                    let Event::Text(name) = event else { continue };
                    match ws.follow(maypole::live::topic(&name)?) {
                        Ok(()) => ws.send(name)?,
                        Err(error) => ws.send(format!("{:?}: {error}", error.kind()))?,
                    }
                }
                Ok(())
            })
        });
        app.get("/both", |ctx| {
            ctx.websocket(|ws| {
                ws.follow(session().changes()?)?;
                ws.follow(maypole::live::topic("news")?)?;
                pass_on(ws)
            })
        });
    });
    let topics = topics.lock().unwrap().take().unwrap();
    (server, topics)
}

fn pass_on(ws: &mut WebSocket) -> Result<()> {
    ws.send("here")?;
    while let Some(event) = ws.recv()? {
        match event {
            Event::Message(message) => ws.send(message.text())?,
            Event::Change(change) => ws.send(change.version().to_string())?,
            _ => {}
        }
    }
    Ok(())
}

fn crowd(server: &TestServer, path: &str, lines: &str, count: usize) -> Vec<Wire> {
    let mut wires: Vec<_> = (0..count)
        .map(|_| {
            let mut wire = server.connect();
            wire.send(handshake(path, lines));
            wire
        })
        .collect();
    for wire in &mut wires {
        assert_eq!(wire.answer().status, 101);
        expect_text(wire, "here");
    }
    wires
}

fn visitor(server: &TestServer) -> (Browser, String) {
    let mut browser = server.browser();
    browser.get("/start");
    let line = format!("Cookie: session={}\r\n", browser.session().expect("a session"));
    (browser, line)
}

/// Nothing is left of anybody.
#[track_caller]
fn expect_nobody(server: &TestServer, topics: &Topics) {
    let news = topics.topic("news").unwrap();
    wait_until("nobody is subscribed", PATIENCE, || news.subscribers() == 0);
    assert_eq!(news.publish("nobody").unwrap(), 0);
    server.expect_no_connections();
}

#[test]
fn who_does_not_listen_delays_nobody_and_is_dropped() {
    const MESSAGES: usize = 150;
    let config = "[server]\nwrite_timeout = 2s\n[websocket]\nqueue = 8\nping_every = off\n";
    let (server, topics) = crowded(config);
    let deaf = crowd(&server, "/news", "", 20);
    let mut tabs = crowd(&server, "/news", "", 80);
    let news = topics.topic("news").unwrap();
    let long = "x".repeat(60 * 1024);
    let begun = Instant::now();
    for number in 0..MESSAGES {
        assert!(news.publish(format!("{number} {long}")).unwrap() >= tabs.len());
        for tab in &mut tabs {
            let (first, payload) = take_frame(tab);
            let begin = String::from_utf8_lossy(&payload[..payload.len().min(20)]);
            assert!(begin.starts_with(&format!("{number} x")), "{number}: {first} {begin}");
        }
    }
    println!("{} tabs heard {MESSAGES} messages in {:?}", tabs.len(), begun.elapsed());
    wait_until("the deaf are dropped", PATIENCE, || news.subscribers() == tabs.len());
    drop((deaf, tabs));
    expect_nobody(&server, &topics);
}

#[test]
fn a_crowd_that_vanishes_leaves_nothing_and_can_come_again() {
    let _turn = crowds_turn();
    let (server, topics) = crowded("");
    let (mut browser, cookie) = visitor(&server);
    for round in 0..3 {
        let mut wires = crowd(&server, "/both", &cookie, CROWD);
        for (at, wire) in wires.iter_mut().enumerate() {
            let frame = text("never finished");
            match at % 4 {
                // Within a frame's head or its payload, with the connection closed or half-closed.
                0 => wire.send(&frame[..1]),
                1 => wire.send(&frame[..frame.len() - 1]),
                2 => {
                    wire.send(&frame[..3]);
                    wire.finish_sending();
                }
                _ => {}
            }
        }
        // News meet connections that are just going.
        let news = topics.topic("news").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..50).for_each(|_| assert!(news.publish("going").is_ok())));
            scope.spawn(|| drop(wires));
        });
        browser.get("/click");
        expect_nobody(&server, &topics);
        assert_eq!(browser.get("/start").text(), (round + 1).to_string());
    }
}

#[test]
fn the_end_of_a_session_closes_a_thousand_sockets() {
    let _turn = crowds_turn();
    let (server, topics) = crowded("");
    let (mut browser, cookie) = visitor(&server);
    let (_, other_cookie) = visitor(&server);
    let mut wires = crowd(&server, "/both", &cookie, CROWD);
    let mut other = crowd(&server, "/both", &other_cookie, 1);
    let begun = Instant::now();
    browser.get("/logout");
    for wire in &mut wires {
        assert_eq!(take_close(wire), 4401);
    }
    println!("{CROWD} sockets were closed within {:?}", begun.elapsed());
    drop(wires);
    topics.topic("news").unwrap().publish("still here").unwrap();
    expect_text(&mut other[0], "still here");
    drop(other);
    expect_nobody(&server, &topics);
}

#[test]
fn a_session_that_expires_closes_a_thousand_sockets() {
    let _turn = crowds_turn();
    let clock = ManualClock::new();
    let (server, topics) = crowded_at(&clock, "[session]\nidle_timeout = 10m\n");
    let (_, cookie) = visitor(&server);
    let mut wires = crowd(&server, "/both", &cookie, CROWD);
    clock.advance(Duration::from_secs(700));
    for wire in &mut wires {
        assert_eq!(take_close(wire), 4401);
    }
    drop(wires);
    expect_nobody(&server, &topics);
}

#[test]
fn a_stop_closes_a_thousand_sockets_with_1001_in_time() {
    let _turn = crowds_turn();
    let (server, _topics) = crowded("[server]\nshutdown_grace = 20s\n");
    let mut wires = crowd(&server, "/news", "", CROWD);
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || drop(server));
    for wire in &mut wires {
        assert_eq!(take_close(wire), 1001);
        wire.send(super::close(1001, ""));
        wire.expect_end();
    }
    stopping.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_client_cannot_follow_without_end() {
    let (server, topics) = crowded("[live]\nfollows = 3\n");
    let mut wire = super::open(&server, "/many");
    for name in ["a", "b", "news"] {
        wire.send(text(name));
        expect_text(&mut wire, name);
    }
    wire.send(text("d"));
    let refusal = "Overloaded: a connection follows [live] follows = 3 sources already";
    expect_text(&mut wire, refusal);
    assert_eq!(topics.topic("d").unwrap().subscribers(), 0);
    assert_eq!(topics.topic("news").unwrap().subscribers(), 1);
    drop(wire);
    expect_nobody(&server, &topics);
}
