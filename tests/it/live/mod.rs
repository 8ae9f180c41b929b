//! Connections that stay, from the other end of real sockets.

mod crowds;
mod frames;
mod handshake;
mod sending;
mod several;
mod sockets;
mod staying;
mod streams;
mod watching;

use std::time::Duration;

use maypole::live::Event;
use maypole::prelude::*;

use crate::support::{TestServer, Wire, serve};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What RFC 6455 gives for that key, section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

/// A handshake for `path`, with more header lines.
fn handshake(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
}

/// One masked frame, as a client sends it; `first` is the first byte: flags and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x9c, 0x3e, 0xf0];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text.as_bytes())
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Opens a WebSocket at `path`.
#[track_caller]
pub(crate) fn open(server: &TestServer, path: &str) -> Wire {
    open_with(server, path, "")
}

#[track_caller]
pub(crate) fn open_with(server: &TestServer, path: &str, lines: &str) -> Wire {
    let mut wire = server.connect();
    wire.send(handshake(path, lines));
    let answer = wire.answer();
    assert_eq!(answer.status, 101, "{}", answer.head);
    wire
}

/// The next frame of the server: its first byte and its payload. It is never masked.
#[track_caller]
fn take_frame(wire: &mut Wire) -> (u8, Vec<u8>) {
    let head = wire.take(2);
    let length = match head[1] {
        length @ 0..=125 => usize::from(length),
        126 => usize::from(u16::from_be_bytes(wire.take(2).try_into().unwrap())),
        127 => usize::try_from(u64::from_be_bytes(wire.take(8).try_into().unwrap())).unwrap(),
        _ => panic!("a masked frame from the server: {head:?}"),
    };
    (head[0], wire.take(length))
}

#[track_caller]
pub(crate) fn expect_text(wire: &mut Wire, expected: &str) {
    let (first, payload) = take_frame(wire);
    assert_eq!((first, String::from_utf8_lossy(&payload).as_ref()), (FIN | TEXT, expected));
}

#[track_caller]
pub(crate) fn take_text(wire: &mut Wire) -> String {
    let (first, payload) = take_frame(wire);
    assert_eq!(first, FIN | TEXT, "{payload:?}");
    String::from_utf8(payload).expect("UTF-8")
}

/// The server's close frame, agreed to, and the end of the connection. The code; 0 if none.
#[track_caller]
pub(crate) fn expect_close(wire: &mut Wire) -> u16 {
    let code = take_close(wire);
    if code != 0 {
        wire.send(close(code, ""));
    }
    wire.expect_end();
    code
}

#[track_caller]
fn take_close(wire: &mut Wire) -> u16 {
    let (first, payload) = take_frame(wire);
    assert_eq!(first, FIN | CLOSE, "{payload:?}");
    payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code))
}

/// Echoes messages; some texts are orders.
fn echoing(config: &str) -> TestServer {
    serve(config, |app| {
        app.get("/echo", |ctx| ctx.websocket(echo));
        app.get("/user", |ctx| {
            ctx.session.increment("opened", 1)?;
            ctx.websocket(count)
        });
        app.get("/in", |ctx| ctx.session.login("ann"));
        app.group("/members", |group| {
            group.with(|ctx, next| match ctx.session.require_user() {
                Ok(_) => next.run(ctx),
                Err(error) => error.into_response(),
            });
            group.get("/echo", |ctx| ctx.websocket(echo));
        });
        app.get("/count", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
    })
}

fn echo(ws: &mut maypole::live::WebSocket) -> Result<()> {
    while let Some(event) = ws.recv()? {
        match event {
            Event::Text(text) => match text.as_str() {
                "fail" => return Err(Error::new(ErrorKind::Internal, "on purpose")),
                "panic" => std::panic::panic_any("in a WebSocket, on purpose"),
                "return" => return Ok(()),
                "bye" => ws.close(4001, "as you wish")?,
                "bad close" => {
                    let is_refused = ws.close(1005, "").is_err();
                    ws.send(is_refused.to_string())?;
                }
                "wait" => {
                    let event = ws.recv_timeout(Duration::from_millis(100))?;
                    ws.send(format!("{event:?}"))?;
                }
                text => ws.send(text)?,
            },
            Event::Binary(bytes) => ws.send_binary(bytes)?,
            event => ws.send(format!("{event:?}"))?,
        }
    }
    Ok(())
}

/// Reads and writes the session at each message.
fn count(ws: &mut maypole::live::WebSocket) -> Result<()> {
    let session = session();
    while let Some(event) = ws.recv()? {
        match event {
            Event::Text(text) if text == "save" => {
                session.increment("n", 10)?;
                session.save()?;
            }
            Event::Text(text) if text == "forget" => {
                session.increment("n", 1000)?;
            }
            _ => {}
        }
        ws.send(session.get_or("n", 0)?.to_string())?;
    }
    Ok(())
}
