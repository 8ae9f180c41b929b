//! WebSockets over time: silence, slowness, floods, and the end of the server.

use std::time::{Duration, Instant};

use maypole::live::Event;

use super::{
    BINARY, FIN, PING, PONG, close, echoing, expect_text, frame, open, take_close, take_frame, text,
};
use crate::support::{PATIENCE, serve, wait_until};

#[test]
fn a_wait_with_a_limit_tells_when_it_is_over() {
    let server = echoing("");
    let mut wire = open(&server, "/echo");
    let begun = Instant::now();
    wire.send(text("wait"));
    expect_text(&mut wire, "Some(Elapsed)");
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    wire.send([text("wait"), text("at once")].concat());
    expect_text(&mut wire, "Some(Text(\"at once\"))");
}

#[test]
fn a_silent_client_is_asked_and_then_dropped() {
    // Long enough for a client on a busy machine.
    let server = echoing("[websocket]\nping_every = 1s\npong_timeout = 4s\n");
    let mut wire = open(&server, "/echo");
    // Who answers, or says anything at all, stays.
    assert_eq!(take_frame(&mut wire), (FIN | PING, vec![]));
    wire.send(frame(FIN | PONG, b""));
    assert_eq!(take_frame(&mut wire), (FIN | PING, vec![]));
    wire.send(text("here"));
    expect_text(&mut wire, "here");
    assert_eq!(take_frame(&mut wire), (FIN | PING, vec![]));
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn a_vanished_client_ends_its_handler() {
    let server = echoing("");
    for half in [&b""[..], &text("hello")[..3]] {
        let mut wire = open(&server, "/echo");
        wire.send(half);
        drop(wire);
    }
    let mut wire = open(&server, "/echo");
    wire.finish_sending();
    wire.expect_end();
    server.expect_no_connections();
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let server = serve("[server]\nwrite_timeout = 1s\n", |app| {
        app.get("/flood", |ctx| {
            ctx.websocket(|ws| {
                loop {
                    ws.send_binary(vec![0; 1 << 20])?;
                }
            })
        });
    });
    let wire = open(&server, "/flood");
    wait_until("the flood ends", PATIENCE, || server.server().connections() == 0);
    drop(wire);
    let errors = crate::support::Journal::lines_with("GET /flood: ");
    assert!(errors.iter().all(|line| line.starts_with("DEBUG")), "{errors:?}");
}

#[test]
fn who_never_agrees_to_a_close_does_not_hold_the_server() {
    let server = echoing("[websocket]\nclose_timeout = 200ms\n");
    let mut wire = open(&server, "/echo");
    wire.send(text("return"));
    assert_eq!(take_close(&mut wire), 1000);
    // Sends on instead of agreeing.
    wait_until("the server closes", PATIENCE, || {
        wire.send(text("still here"));
        std::thread::sleep(Duration::from_millis(10));
        server.server().connections() == 0
    });
}

/// Ends a flood also when the test fails.
struct Flood<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Flood<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Several, so that there is always one whose next bytes have come: its worker never runs dry.
#[test]
fn a_flood_of_some_sockets_leaves_room_for_others() {
    let server = echoing("[runtime]\nworkers = 1\n");
    let mut flooding: Vec<_> = (0..4).map(|_| open(&server, "/echo")).collect();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _flood = Flood(&over);
        for wire in &flooding {
            let (mut sender, over) = (wire.stream().try_clone().unwrap(), &over);
            scope.spawn(move || {
                let pongs = frame(FIN | PONG, &[0; 125]).repeat(20_000);
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    if std::io::Write::write_all(&mut sender, &pongs).is_err() {
                        return;
                    }
                }
            });
        }
        for _ in 0..50 {
            assert_eq!(server.connect().get("/probe").text(), "probe");
        }
    });
    for wire in &mut flooding {
        wire.send(text("over"));
        expect_text(wire, "over");
    }
}

#[test]
fn a_stop_closes_with_1001_and_waits_for_the_handlers() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = serve("", move |app| {
        let sender = std::sync::Mutex::new(sender);
        app.get("/echo", move |ctx| {
            let sender = sender.lock().unwrap().clone();
            ctx.websocket(move |ws| {
                while let Some(event) = ws.recv()? {
                    if let Event::Text(text) = event {
                        ws.send(text)?;
                    }
                }
                let code = ws.close_reason().map(maypole::live::CloseReason::code);
                sender.send(code).ok();
                Ok(())
            })
        });
    });
    let mut wires: Vec<_> = (0..50).map(|_| open(&server, "/echo")).collect();
    for wire in &mut wires {
        wire.send(text("hello"));
        expect_text(wire, "hello");
    }
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| {
            let begun = Instant::now();
            drop(server);
            begun.elapsed()
        });
        for wire in &mut wires {
            assert_eq!(take_close(wire), 1001);
            wire.send(close(1001, ""));
            wire.expect_end();
        }
        let took = stopped.join().unwrap();
        assert!(took < Duration::from_secs(10), "it waited for {took:?}");
    });
    let codes: Vec<_> = receiver.try_iter().collect();
    assert_eq!(codes, vec![Some(1001); 50], "every handler came to its end");
}

#[test]
fn a_stop_does_not_wait_its_whole_grace_for_who_reads_nothing() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&sent);
    let config = "[server]\nshutdown_grace = 1m\nwrite_timeout = 1h\n\
                  [websocket]\nclose_timeout = 500ms\n";
    let server = serve(config, move |app| {
        app.get("/flood", move |ctx| {
            let count = std::sync::Arc::clone(&count);
            ctx.websocket(move |ws| {
                loop {
                    ws.send_binary(vec![0; 1 << 16])?;
                    count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            })
        });
    });
    let wire = open(&server, "/flood");
    let mut before = usize::MAX;
    wait_until("the handler waits for its client", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(200));
        let now = sent.load(std::sync::atomic::Ordering::SeqCst);
        now > 0 && std::mem::replace(&mut before, now) == now
    });
    let begun = Instant::now();
    drop(server);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(30), "{took:?}");
    drop(wire);
}

#[test]
fn a_stop_does_not_wait_longer_than_its_grace() {
    let config = "[server]\nshutdown_grace = 500ms\n[websocket]\nclose_timeout = 1h\n";
    let server = serve(config, |app| {
        app.get("/deaf", |ctx| {
            ctx.websocket(|ws| {
                while ws.recv()?.is_some() {}
                Ok(())
            })
        });
    });
    let mut wire = open(&server, "/deaf");
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(take_close(&mut wire), 1001);
    wire.expect_end();
}

#[test]
fn large_messages_go_both_ways() {
    let server = echoing("[websocket]\nmessage = 8M\nframe = 8M\n");
    let mut wire = open(&server, "/echo");
    let payload: Vec<u8> = (0..=255).cycle().take(8 << 20).collect();
    let sent = frame(FIN | BINARY, &payload);
    let mut sender = wire.stream().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut sender, &sent).unwrap());
        let (first, echoed) = take_frame(&mut wire);
        assert_eq!(first, FIN | BINARY);
        assert!(echoed == payload, "another payload came back");
    });
}
