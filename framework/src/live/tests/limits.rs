//! What one client may take of the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{connect, frame, say, serve};
use crate::live::SlowClient;
use crate::live::inbox::{Arrived, Inbox};
use crate::prelude::*;

const QUICK: &str = "[websocket]\nmessage_timeout = 1s\n";
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
const PONG: (u8, String) = (0xa, String::new());

/// Writes these bytes again and again, a little apart, until the server closes; says the code.
fn dribble(socket: &mut TcpStream, bytes: &[u8]) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    let quick = Some(Duration::from_millis(50));
    while Instant::now() < deadline {
        socket.write_all(bytes).ok();
        socket.set_read_timeout(quick).unwrap();
        if socket.peek(&mut [0]).is_ok() {
            socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            match frame(socket) {
                (8, code) => return code,
                heard => assert_eq!(heard, PONG),
            }
        }
    }
    panic!("the message is still waited for");
}

#[test]
fn a_message_that_does_not_end_is_closed_with_1008() {
    let (server, wire) = serve(QUICK, SlowClient::Close);
    // A frame of 60,000 bytes, of which one comes now and then.
    let mut socket = connect(&server, "/ws");
    socket.write_all(&[0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0]).unwrap();
    assert_eq!(dribble(&mut socket, b"a"), "1008");
    // Fragments without end.
    let mut socket = connect(&server, "/ws");
    socket.write_all(&[0x01, 0x80, 0, 0, 0, 0]).unwrap();
    assert_eq!(dribble(&mut socket, &[0x00, 0x81, 0, 0, 0, 0, b'a']), "1008");
    // Pings between two fragments do not help.
    let mut socket = connect(&server, "/ws");
    socket.write_all(&[0x01, 0x80, 0, 0, 0, 0]).unwrap();
    assert_eq!(dribble(&mut socket, &PING), "1008");
    // Who says nothing more is closed as well.
    let mut socket = connect(&server, "/ws");
    socket.write_all(&[0x81]).unwrap();
    assert_eq!(frame(&mut socket), (8, "1008".to_owned()));
    wire.expect(0);
}

#[test]
fn messages_that_end_in_time_may_follow_one_another_for_ever() {
    let (server, wire) = serve("[websocket]\nmessage_timeout = 2s\n", SlowClient::Close);
    let mut socket = connect(&server, "/ws");
    wire.expect(1);
    let begun = Instant::now();
    // The end of each comes with the beginning of the next: there is always one under way.
    socket.write_all(&[0x81, 0x81, 0]).unwrap();
    while begun.elapsed() < Duration::from_millis(4500) {
        crate::sleep(Duration::from_millis(20));
        socket.write_all(&[0, 0, 0, b'a', 0x81, 0x81, 0]).unwrap();
        assert_eq!(frame(&mut socket), (1, "a".to_owned()));
    }
}

#[test]
fn the_time_of_a_busy_handler_is_not_that_of_its_client() {
    let (server, wire) = serve("[websocket]\nmessage_timeout = 2s\n", SlowClient::Close);
    let mut socket = connect(&server, "/ws");
    wire.expect(1);
    let gate = std::sync::Arc::clone(&wire.gate);
    let closed = gate.lock();
    let both = [&[0x81, 0x87, 0, 0, 0, 0][..], b"be busy", &[0x81, 0x85, 0, 0, 0, 0]].concat();
    socket.write_all(&both).unwrap();
    assert_eq!(frame(&mut socket), (1, "busy".to_owned()));
    crate::sleep(Duration::from_millis(2500));
    drop(closed);
    // Answered before the rest of the message has come, so the socket is open and waits.
    wire.publish("news");
    assert_eq!(frame(&mut socket), (1, "news".to_owned()));
    socket.write_all(b"hello").unwrap();
    assert_eq!(frame(&mut socket), (1, "hello".to_owned()));
    say(&mut socket, "again");
    assert_eq!(frame(&mut socket), (1, "again".to_owned()));
}

#[test]
fn what_is_followed_twice_is_told_once() {
    let mut app = App::with_defaults();
    let dir = std::env::temp_dir().join(format!("maypole-followed-twice-{}", std::process::id()));
    app.config_mut().session_file.path.clone_from(&dir);
    let topics = app.topics();
    app.get("/", move |ctx| {
        ctx.session.increment("n", 1)?;
        ctx.session.save()?;
        let mut inbox = Inbox::new(8, SlowClient::Close, 2);
        for _ in 0..3 {
            inbox.follow(topics.topic("news")?)?;
            inbox.follow(ctx.session.changes()?)?;
        }
        let third = inbox.follow(topics.topic("others")?).is_err();
        let told = topics.topic("news")?.publish("hello")?;
        ctx.session.increment("n", 1)?;
        ctx.session.save()?;
        let mut events = Vec::new();
        while let Arrived::Event(event) = inbox.take_or_await() {
            events.push(format!("{event:?}").split('(').next().unwrap_or_default().to_owned());
        }
        Ok(format!("{third} {told} {events:?}"))
    });
    let text = app.test_client().unwrap().get("/").send().text();
    assert_eq!(text, r#"true 1 ["Message", "Change"]"#);
    std::fs::remove_dir_all(dir).ok();
}

/// What a handshake is answered with, and its connection.
fn try_to_open(server: &crate::Server, path: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    (String::from_utf8_lossy(&line[9..]).into_owned(), stream)
}

#[test]
fn one_address_may_not_take_all_places() {
    let (server, wire) = serve("[websocket]\nmax_open_per_address = 2\n", SlowClient::Close);
    let socket = connect(&server, "/ws");
    let _stream = connect(&server, "/sse");
    wire.expect(2);
    for path in ["/ws", "/sse"] {
        assert_eq!(try_to_open(&server, path).0, "503");
    }
    drop(socket);
    wire.expect(1);
    // The place is given back a moment after the handler has gone.
    let deadline = Instant::now() + Duration::from_secs(30);
    while try_to_open(&server, "/ws").0 != "101" {
        assert!(Instant::now() < deadline, "the place is still taken");
    }
    let (server, wire) = serve("[websocket]\nmax_open_per_address = 0\n", SlowClient::Close);
    let _sockets: Vec<_> = (0..5).map(|_| connect(&server, "/ws")).collect();
    wire.expect(5);
}

#[test]
fn a_network_of_ipv6_counts_as_one_address() {
    let addresses = crate::live::addresses::Addresses::default();
    let enter = |addr: &str| addresses.enter(addr.parse().unwrap(), 1);
    let place = enter("2001:db8::1").unwrap();
    assert_eq!(enter("2001:db8::2").unwrap_err().kind(), crate::ErrorKind::Overloaded);
    let _other = enter("2001:db8:0:1::1").unwrap();
    drop(place);
    enter("2001:db8::2").unwrap();
}
