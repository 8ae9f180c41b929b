//! The frames of RFC 6455 over any stream: messages in, messages out. tungstenite reads them; this
//! file says what each fault means for the connection. It knows no socket, no time and no session.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error};

/// Read at once; it is kept for as long as the socket lives.
const READ_BYTES: usize = 2 * 1024;
/// Room that is not worth keeping between two messages; small in tests, so that they come by.
const LARGE_BYTES: usize = if cfg!(test) { 64 } else { 8 * 1024 };
/// A control frame has 125 bytes, two of them the code.
const MAX_REASON_BYTES: usize = 123;
/// More than the largest header of a frame the server sends.
const HEADER_BYTES: usize = 16;

/// A stream that says [`WouldBlock`](ErrorKind::WouldBlock) when nothing has come yet, and whose
/// writes take everything.
pub(super) trait Stream: Read + Write {
    fn write_pieces(&mut self, pieces: [&[u8]; 2]) -> io::Result<()>;
}

/// What has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    /// A ping, which is answered, or a pong.
    Control,
    /// The client closes, or agrees to our close; it has been answered where it must be.
    Closed(Option<CloseReason>),
    /// Not yet.
    Nothing,
}

/// The code and the words of a close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    pub(super) code: u16,
    pub(super) text: String,
}

impl CloseReason {
    /// The code, by RFC 6455, section 7.4; 1000 is a normal end.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The words, for logs; whatever the other end wrote.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Why nothing more will come.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client broke the rules; it is to be told by this close code.
    Broken { code: u16, reason: &'static str },
    /// The connection ended without a close.
    Gone(io::Error),
}

/// How much a client may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameLimits {
    pub(super) message_bytes: usize,
    pub(super) frame_bytes: usize,
}

/// The server's end of a WebSocket.
#[derive(Debug)]
pub(super) struct Frames<S> {
    context: WebSocketContext,
    stream: Watched<S>,
    config: WebSocketConfig,
    /// A large message has come: tungstenite keeps its room.
    is_swollen: bool,
}

impl<S: Stream> Frames<S> {
    pub(super) fn new(stream: S, limits: FrameLimits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.frame_bytes));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            stream: Watched { stream, boundary: Boundary::default() },
            config,
            is_swollen: false,
        }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream.stream
    }

    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream.stream
    }

    /// The number of the message that has begun and not ended, if there is one.
    pub(super) fn unfinished(&self) -> Option<u64> {
        let boundary = &self.stream.boundary;
        (!boundary.is_between_messages()).then_some(boundary.ended)
    }

    /// What has come, without waiting for more of it. Pings and closes are answered.
    pub(super) fn next(&mut self) -> Result<Incoming, Fault> {
        match self.context.read(&mut self.stream) {
            Ok(Message::Text(text)) => {
                self.is_swollen |= text.len() > LARGE_BYTES;
                Ok(Incoming::Text(text.as_str().to_owned()))
            }
            Ok(Message::Binary(bytes)) => {
                self.is_swollen |= bytes.len() > LARGE_BYTES;
                Ok(Incoming::Binary(bytes.to_vec()))
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(Incoming::Control),
            Ok(Message::Close(frame)) => {
                // Sends the answer that waits; that the connection is now closed is no news.
                self.context.flush(&mut self.stream).ok();
                Ok(Incoming::Closed(frame.as_ref().map(reason)))
            }
            Err(error) => {
                let outcome = fault(error);
                if matches!(outcome, Ok(Incoming::Nothing)) {
                    self.shrink();
                }
                outcome
            }
        }
    }

    /// tungstenite keeps the room of the largest message for ever. Between two messages it holds
    /// nothing else that matters, so it can begin anew.
    fn shrink(&mut self) {
        if self.is_swollen && self.context.can_write() && self.stream.boundary.is_between_messages()
        {
            self.context = WebSocketContext::new(Role::Server, Some(self.config));
            self.is_swollen = false;
        }
    }

    /// Sends a message, waiting until the client takes it. Not through tungstenite's buffer, which
    /// would copy it and keep its largest size for ever.
    pub(super) fn send(&mut self, kind: Data, payload: &[u8]) -> io::Result<()> {
        if !self.context.can_write() {
            return Err(ErrorKind::NotConnected.into());
        }
        let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
        let mut bytes = [0; HEADER_BYTES];
        let mut free = bytes.as_mut_slice();
        header.format(payload.len() as u64, &mut free).map_err(io::Error::other)?;
        let length = HEADER_BYTES - free.len();
        let head = bytes.get(..length).unwrap_or_default();
        self.stream.stream.write_pieces([head, payload])
    }

    pub(super) fn ping(&mut self) -> io::Result<()> {
        let ping = Message::Ping(Bytes::new());
        self.context.write(&mut self.stream, ping).map_err(into_io)?;
        self.context.flush(&mut self.stream).map_err(into_io)
    }

    /// Sends a close frame, once. The client's agreement comes as [`Incoming::Closed`].
    pub(super) fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        let reason = reason.to_owned().into();
        let frame = CloseFrame { code: code.into(), reason };
        self.context.close(&mut self.stream, Some(frame)).map_err(into_io)
    }
}

/// The stream, with an eye on where messages begin and end in what it has given away.
#[derive(Debug)]
struct Watched<S> {
    stream: S,
    boundary: Boundary,
}

impl<S: Read> Read for Watched<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.boundary.pass(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl<S: Write> Write for Watched<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Where in a message the bytes that passed have led.
#[derive(Debug, Default)]
struct Boundary {
    head: Vec<u8>,
    payload_left: u64,
    is_fragmented: bool,
    is_broken: bool,
    /// Messages that have passed wholly, and control frames between them.
    ended: u64,
}

impl Boundary {
    fn is_between_messages(&self) -> bool {
        self.head.is_empty() && self.payload_left == 0 && !self.is_fragmented && !self.is_broken
    }

    fn count_end(&mut self) {
        self.ended = self.ended.wrapping_add(u64::from(self.is_between_messages()));
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while !self.is_broken {
            let skipped = bytes.len().min(usize::try_from(self.payload_left).unwrap_or(usize::MAX));
            self.payload_left -= skipped as u64;
            if skipped > 0 {
                self.count_end();
            }
            let Some((next, rest)) = bytes.get(skipped..).unwrap_or_default().split_first() else {
                return;
            };
            self.head.push(*next);
            bytes = rest;
            match FrameHeader::parse(&mut Cursor::new(&self.head)) {
                Ok(None) => {}
                Ok(Some((header, length))) => {
                    if matches!(header.opcode, OpCode::Data(_)) {
                        self.is_fragmented = !header.is_final;
                    }
                    self.payload_left = length;
                    self.head.clear();
                    self.count_end();
                }
                Err(_) => self.is_broken = true,
            }
        }
    }
}

/// Whether a server may send this code with these words (RFC 6455, section 7.4).
pub(super) fn may_close_with(code: u16, reason: &str) -> bool {
    let is_for_clients = code == 1010;
    CloseCode::from(code).is_allowed() && !is_for_clients && reason.len() <= MAX_REASON_BYTES
}

fn reason(frame: &CloseFrame) -> CloseReason {
    CloseReason { code: frame.code.into(), text: frame.reason.as_str().to_owned() }
}

fn fault(error: Error) -> Result<Incoming, Fault> {
    use tungstenite::error::ProtocolError;
    let broken = |code, reason| Err(Fault::Broken { code, reason });
    match error {
        Error::Io(error) if error.kind() == ErrorKind::WouldBlock => Ok(Incoming::Nothing),
        Error::Io(error) => Err(Fault::Gone(error)),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => Err(Fault::Gone(ErrorKind::UnexpectedEof.into())),
        Error::Utf8(_) => broken(1007, "not UTF-8"),
        Error::Capacity(_) => broken(1009, "too long"),
        _ => broken(1002, "not by RFC 6455"),
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(ErrorKind::NotConnected, error),
    }
}
