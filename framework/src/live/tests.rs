//! News that reach their sockets: a real server, raw connections, and a source that tests post to.

#![expect(clippy::disallowed_types, reason = "the other end stands outside of the coroutines")]

mod limits;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::mail::sealed;
use super::mailbox::Post;
use super::{
    Change, Close, Event, Mail, Message, SlowClient, Subscription, Teller, WebSocketOptions,
};
use crate::prelude::*;
use crate::runtime::sync::{Mutex, MutexGuard, ShortLock};

/// Hands every subscriber's post to the test.
#[derive(Clone, Default)]
struct Wire {
    posts: Arc<ShortLock<Vec<Post<Mail>>>>,
    subscribed: Arc<AtomicUsize>,
    /// Held by a test while it wants the handler to be busy.
    gate: Arc<Mutex<()>>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl sealed::Source for Wire {
    fn subscribe(self, post: Post<Mail>) -> Result<Subscription> {
        self.posts.with(|posts| posts.push(post));
        self.subscribed.fetch_add(1, Ordering::SeqCst);
        Ok(Subscription::new(Counted(self.subscribed)))
    }
}

impl Wire {
    fn send(&self, mail: &Mail) -> usize {
        let posts = self.posts.with(|posts| posts.clone());
        posts.iter().filter(|post| post.send(mail.clone())).count()
    }

    fn publish(&self, text: &str) -> usize {
        self.send(&message(text))
    }

    /// Waits until so many are subscribed.
    fn expect(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.subscribed.load(Ordering::SeqCst) != count {
            assert!(
                Instant::now() < deadline,
                "{} subscribed",
                self.subscribed.load(Ordering::SeqCst)
            );
            crate::sleep(Duration::from_millis(2));
        }
    }
}

fn message(text: &str) -> Mail {
    Mail::Message(Arc::new(Message { topic: "room".into(), text: text.into() }))
}

fn change(version: u64, key: &str) -> Mail {
    let change = Change { version, keys: vec![key.to_owned()], removed: Vec::new() };
    Mail::Change(Teller(0), Arc::new(change))
}

/// Tells its client what it is told, waiting before if asked to.
fn tell(ws: &mut super::WebSocket, wire: Wire) -> Result<()> {
    let gate = Arc::clone(&wire.gate);
    ws.follow(wire)?;
    while let Some(event) = ws.recv()? {
        match event {
            Event::Text(text) if text == "be busy" => {
                ws.send("busy")?;
                drop(gate.lock());
            }
            Event::Text(text) if text == "work" => {
                crate::sleep(Duration::from_millis(110));
                ws.send("done")?;
            }
            Event::Text(text) => ws.send(text)?,
            Event::Message(message) => ws.send(message.text())?,
            Event::Change(change) => {
                ws.send(format!("{} {}", change.version(), change.keys().join(" ")))?;
            }
            event => ws.send(format!("{event:?}"))?,
        }
    }
    Ok(())
}

fn serve(config: &str, slow: SlowClient) -> (crate::Server, Wire) {
    let text = format!("[server]\nlisten = 127.0.0.1:0\n[log]\nlevel = error\n{config}");
    let mut app = App::with_config(Config::parse(&text, "test.ini").unwrap());
    let wire = Wire::default();
    let given = wire.clone();
    app.get("/ws", move |ctx| {
        let wire = given.clone();
        ctx.websocket_with(&WebSocketOptions::new().slow_client(slow), move |ws| tell(ws, wire))
    });
    let given = wire.clone();
    app.get("/sse", move |ctx| {
        let wire = given.clone();
        ctx.sse_with(slow, move |out| {
            out.follow(wire)?;
            while let Some(event) = out.recv()? {
                match event {
                    Event::Message(message) => out.send(message.text())?,
                    event => out.send(format!("{event:?}"))?,
                }
            }
            Ok(())
        })
    });
    (app.start().unwrap(), wire)
}

fn connect(server: &crate::Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101") || path == "/sse", "{head:?}");
    stream
}

/// A short frame of the server: opcode and payload.
/// A socket whose handler is busy until what comes with it is dropped.
fn connect_busy<'a>(server: &crate::Server, wire: &'a Wire) -> (TcpStream, MutexGuard<'a, ()>) {
    let mut socket = connect(server, "/ws");
    wire.expect(1);
    let closed = wire.gate.lock();
    say(&mut socket, "be busy");
    assert_eq!(frame(&mut socket), (1, "busy".to_owned()));
    (socket, closed)
}

fn frame(stream: &mut TcpStream) -> (u8, String) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(head[1] < 126, "{head:?}");
    let mut payload = vec![0; usize::from(head[1])];
    stream.read_exact(&mut payload).unwrap();
    let text = match head[0] {
        0x88 => u16::from_be_bytes([payload[0], payload[1]]).to_string(),
        _ => String::from_utf8(payload).unwrap(),
    };
    (head[0] & 0xf, text)
}

/// A masked frame, with a mask of zeros.
fn say(stream: &mut TcpStream, text: &str) {
    let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    stream.write_all(&[&head, text.as_bytes()].concat()).unwrap();
}

#[test]
fn news_wake_the_socket_that_waits_for_its_client() {
    let (server, wire) = serve("", SlowClient::Close);
    let mut sockets: Vec<_> = (0..100).map(|_| connect(&server, "/ws")).collect();
    wire.expect(100);
    for round in 0..20 {
        assert_eq!(wire.publish(&format!("news {round}")), 100);
        for (at, socket) in sockets.iter_mut().enumerate() {
            say(socket, &at.to_string());
            // Neither shuts the other out, whichever comes first.
            let mut heard = [frame(socket), frame(socket)];
            heard.sort();
            let mut expected = [(1, format!("news {round}")), (1, at.to_string())];
            expected.sort();
            assert_eq!(heard, expected);
        }
    }
    assert_eq!(wire.send(&change(7, "cart")), 100);
    assert_eq!(frame(&mut sockets[99]), (1, "7 cart".to_owned()));
    drop(sockets);
    wire.expect(0);
    assert_eq!(wire.publish("to nobody"), 0, "mailboxes of ended sockets are closed");
}

/// What comes while the handler works is gathered when it sends; a client that sends more than is
/// done must not put off the news by that, and the end of its session least of all.
#[test]
fn messages_that_wait_for_the_handler_shut_no_news_out() {
    let (server, wire) = serve("", SlowClient::Close);
    let mut socket = connect(&server, "/ws");
    wire.expect(1);
    (0..100).for_each(|_| say(&mut socket, "work"));
    let mut done_before = |news: (u8, String)| {
        let mut frames = std::iter::repeat_with(|| frame(&mut socket));
        frames.position(|frame| frame == news).unwrap()
    };
    wire.publish("first");
    assert!(done_before((1, "first".to_owned())) < 10);
    wire.publish("news");
    assert!(done_before((1, "news".to_owned())) < 10);
    wire.send(&Mail::Close(Close { code: 4401, reason: "ended" }));
    assert!(done_before((8, "4401".to_owned())) < 10);
}

#[test]
fn many_senders_at_once_lose_no_news() {
    let (server, wire) = serve("[websocket]\nqueue = 100000\n", SlowClient::Close);
    let mut socket = connect(&server, "/ws");
    wire.expect(1);
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let wire = wire.clone();
            spawn(move || {
                for number in 0..500 {
                    wire.publish(&format!("{sender} {number}"));
                    if number % 7 == 0 {
                        crate::sleep(Duration::from_millis(1));
                    }
                }
            })
            .unwrap()
        })
        .collect();
    let mut next = [0; 8];
    for _ in 0..8 * 500 {
        let (_, text) = frame(&mut socket);
        let (sender, number) = text.split_once(' ').unwrap();
        let next = &mut next[sender.parse::<usize>().unwrap()];
        assert_eq!(number.parse(), Ok(*next), "in the order each sent them");
        *next += 1;
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_socket_too_slow_for_its_news_is_closed_with_1013() {
    let (server, wire) = serve("[websocket]\nqueue = 3\n", SlowClient::Close);
    let (mut socket, closed) = connect_busy(&server, &wire);
    for number in 0..10 {
        wire.publish(&number.to_string());
    }
    drop(closed);
    for number in 0..3 {
        assert_eq!(frame(&mut socket), (1, number.to_string()));
    }
    assert_eq!(frame(&mut socket), (8, "1013".to_owned()));
    wire.expect(0);
}

#[test]
fn a_handler_may_choose_to_miss_some() {
    let (server, wire) = serve("[websocket]\nqueue = 3\n", SlowClient::DropOldest);
    let (mut socket, closed) = connect_busy(&server, &wire);
    for number in 0..10 {
        wire.publish(&number.to_string());
    }
    drop(closed);
    for text in ["Missed(7)", "7", "8", "9"] {
        assert_eq!(frame(&mut socket), (1, text.to_owned()));
    }
}

#[test]
fn a_handler_may_choose_the_latest() {
    let (server, wire) = serve("", SlowClient::Latest);
    let (mut socket, closed) = connect_busy(&server, &wire);
    for number in 0..10 {
        wire.publish(&number.to_string());
        wire.send(&change(number, if number % 2 == 0 { "even" } else { "odd" }));
    }
    drop(closed);
    assert_eq!(frame(&mut socket), (1, "9 even odd".to_owned()));
    assert_eq!(frame(&mut socket), (1, "9".to_owned()));
    say(&mut socket, "then");
    assert_eq!(frame(&mut socket), (1, "then".to_owned()));
}

/// Busy while its session is changed 300 times, through a mailbox for 3; then logged out.
#[test]
fn changes_alone_never_close_a_socket_and_the_end_is_told_behind_a_full_queue() {
    for slow in [SlowClient::Close, SlowClient::DropOldest, SlowClient::Latest] {
        let (server, wire) = serve("[websocket]\nqueue = 3\n", slow);
        let (mut socket, closed) = connect_busy(&server, &wire);
        for number in 0..300 {
            wire.send(&change(number, ["a", "b", "c"][usize::try_from(number % 3).unwrap()]));
        }
        (0..3).for_each(|number| assert_eq!(wire.publish(&number.to_string()), 1));
        wire.send(&change(300, "d"));
        wire.send(&Mail::Ended(crate::session::SessionEnd::Destroyed));
        drop(closed);
        assert_eq!(frame(&mut socket), (1, "300 a b c d".to_owned()), "{slow:?}");
        for number in if slow == SlowClient::Latest { 2..3 } else { 0..3 } {
            assert_eq!(frame(&mut socket), (1, number.to_string()), "{slow:?}");
        }
        assert_eq!(frame(&mut socket), (8, "4401".to_owned()), "{slow:?}");
    }
}

#[test]
fn who_must_go_is_closed_with_the_code_that_was_posted() {
    let (server, wire) = serve("", SlowClient::Close);
    let mut socket = connect(&server, "/ws");
    wire.expect(1);
    wire.publish("last words");
    wire.send(&Mail::Close(Close { code: 4401, reason: "the session has ended" }));
    wire.publish("never");
    assert_eq!(frame(&mut socket), (1, "last words".to_owned()));
    assert_eq!(frame(&mut socket), (8, "4401".to_owned()));
    wire.expect(0);
}

#[test]
fn streams_tell_news_and_end_when_they_must() {
    let (server, wire) = serve("[sse]\nheartbeat = off\n", SlowClient::Close);
    let mut stream = connect(&server, "/sse");
    wire.expect(1);
    wire.publish("one");
    wire.publish("two");
    wire.send(&Mail::Close(Close { code: 4401, reason: "the session has ended" }));
    let mut body = String::new();
    let expected = "b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n";
    while body.len() < expected.len() {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        body.push(char::from(byte[0]));
    }
    assert_eq!(body, expected);
    wire.expect(0);
}

#[test]
fn a_stopping_server_ends_who_waits_for_news() {
    let (server, wire) = serve("", SlowClient::Close);
    let mut socket = connect(&server, "/ws");
    let mut stream = connect(&server, "/sse");
    wire.expect(2);
    let child = std::thread::Builder::new().spawn(move || server.stop()).unwrap();
    assert_eq!(frame(&mut socket), (8, "1001".to_owned()));
    drop(socket);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "0\r\n\r\n");
    child.join().unwrap();
    wire.expect(0);
}
