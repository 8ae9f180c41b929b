//! A WebSocket as its handler uses it: blocking in style, on the request's own coroutine, which
//! waits for the client and for news at once.

mod glance;

use std::fmt;
use std::io::{self, ErrorKind as IoErrorKind, Read, Write};
use std::time::Duration;

use serde::Serialize;
use tungstenite::protocol::frame::coding::Data;

use super::event::Event;
use super::frames::{CloseReason, Fault, FrameLimits, Frames, Incoming, Stream, may_close_with};
use super::inbox::{Arrived, Inbox, later};
use super::mail::Source;
use glance::Early;

use crate::config::WebSocketSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{give_way_to_all, ticks};
use crate::session::Session;
use crate::upgrade::Duplex;

/// Events handled without a wait before other coroutines get their turn.
const EVENTS_IN_A_ROW: u32 = 64;
const GOING_AWAY: u16 = 1001;

/// An open WebSocket, made by [`RequestContext::websocket`](crate::RequestContext::websocket).
///
/// [`recv`](Self::recv) gives one [`Event`] after the other and `None` at the end. While it waits it
/// answers pings, asks a silent client whether it is there (`[websocket] ping_every`), and closes
/// with code 1001 when the server stops; so a handler should spend its time there. One that sends
/// every second, say, waits by [`recv_timeout`](Self::recv_timeout). A handler that only sends looks
/// when it does so, some ten times a second at most: pings are answered, the client's close ends the
/// socket, as does the end of the session, a second later; messages are kept for a later `recv`, as
/// many bytes as one message may have (`[websocket] message`), and the rest waits on the client's side.
///
/// `session()` works in the handler. What it reads is the session as stored when the last event
/// came, or newer; what it writes is stored by [`Session::save`](crate::Session::save), before the
/// next `recv` if others are to see it. Changes nobody saved are lost at the end, with a warning.
pub struct WebSocket {
    frames: Frames<DuplexStream>,
    inbox: Inbox,
    session: Session,
    timing: Timing,
    protocol: Option<String>,
    /// When the client last sent anything, on the coarse clock.
    heard_ms: u64,
    /// When it must have answered a ping; 0 while none is open.
    pong_due_ms: u64,
    /// The number of the message under way, and when it must have come wholly; 0 while none is.
    message: u64,
    message_due_ms: u64,
    /// When frames and news were last looked at: what came later was not seen by anybody.
    looked_ms: u64,
    /// When the handler got the last event.
    handed_ms: u64,
    early: Early,
    max_early_bytes: usize,
    events_in_a_row: u32,
    has_ended: bool,
    /// Memory was given back: at the first wait, after the handshake, and in long silences.
    has_rested: bool,
    close_reason: Option<CloseReason>,
}

#[derive(Debug)]
struct Timing {
    ping_every: Option<Duration>,
    pong_timeout: Duration,
    message_timeout: Duration,
    close_timeout: Duration,
}

/// What a look at frames and news came to.
enum Turn {
    Event(Event),
    /// Something, but nothing for the handler: look again.
    Again,
    Nothing,
}

/// What a WebSocket is opened with, beside its connection.
pub(super) struct Opening {
    pub(super) inbox: Inbox,
    pub(super) session: Session,
    pub(super) protocol: Option<String>,
    pub(super) limits: FrameLimits,
    /// The code that the end of the session closes with.
    pub(super) session_end_close: u16,
}

impl WebSocket {
    pub(super) fn new(
        mut duplex: Box<dyn Duplex>,
        opening: Opening,
        settings: &WebSocketSettings,
    ) -> Self {
        let Opening { mut inbox, session, protocol, limits, session_end_close } = opening;
        inbox.wakes(duplex.waker());
        // Who takes no message takes no close either.
        duplex.hurry_when_draining(settings.close_timeout);
        inbox.ends_with(&session, session_end_close);
        Self {
            frames: Frames::new(DuplexStream { duplex, has_heard: false }, limits),
            inbox,
            session,
            timing: Timing {
                ping_every: settings.ping_every,
                pong_timeout: settings.pong_timeout,
                message_timeout: settings.message_timeout,
                close_timeout: settings.close_timeout,
            },
            protocol,
            heard_ms: ticks::now_ms(),
            pong_due_ms: 0,
            message: 0,
            message_due_ms: 0,
            looked_ms: ticks::now_ms(),
            handed_ms: ticks::now_ms(),
            early: Early::default(),
            max_early_bytes: limits.message_bytes,
            events_in_a_row: 0,
            has_ended: false,
            has_rested: false,
            close_reason: None,
        }
    }

    /// Waits for the next event: a message of the client, or news of what is
    /// [followed](Self::follow). `None` when the socket has ended, for whatever reason: the client
    /// closed or vanished, broke the protocol (it was told with code 1002, 1007 or 1009), sent a
    /// message too slowly (1008, `[websocket] message_timeout`), took its news too slowly, its session ended, or the server stops.
    ///
    /// # Errors
    /// None at present; a broken connection is an end.
    pub fn recv(&mut self) -> Result<Option<Event>> {
        self.next_event(0)
    }

    /// As [`recv`](Self::recv); gives [`Event::Elapsed`] when nothing came for `limit`. It is kept
    /// to some 50 ms.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<Event>> {
        self.next_event(later(limit))
    }

    /// Sends a text message and waits until the client's side takes it, for at most
    /// `[server] write_timeout`, and once the server stops `[websocket] close_timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the socket has ended or the client does not take it; pass it
    /// on with `?`.
    pub fn send(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.send_frame(Data::Text, text.as_ref().as_bytes())
    }

    /// Sends a binary message, as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_binary(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.send_frame(Data::Binary, bytes.as_ref())
    }

    /// Sends a value as JSON, in a text message.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`ErrorKind::Internal`] when the value cannot be written as JSON.
    pub fn send_json(&mut self, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.send(serde_json::to_string(value)?)
    }

    /// From now on [`recv`](Self::recv) gives what this source tells: changes of a session, the
    /// messages of a topic; until it ends, for nothing stops it earlier. What is followed already is
    /// not told twice.
    ///
    /// # Errors
    /// Those of the source; [`ErrorKind::Overloaded`] when `[live] follows` are followed already.
    pub fn follow(&mut self, source: impl Source) -> Result<()> {
        self.inbox.follow(source)
    }

    /// Closes with this code and waits for the client to agree, for at most `[websocket]
    /// close_timeout`. What it sends meanwhile is thrown away. On an ended socket it does nothing.
    ///
    /// A handler that simply returns closes with 1000, one that fails with 1011. An error that would
    /// answer a request with a 4xx status is the client's fault: it closes with 1008, or for want of a
    /// session (`NoSession`, `SessionGone`, `LoginRequired`) with `[live] session_end_close`, and is
    /// logged at the level `debug`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when RFC 6455 lets no server send this code (1000 to 1003, 1007 to
    /// 1009, 1011 to 1013 and 3000 to 4999 may be sent) or `reason` is longer than 123 bytes.
    pub fn close(&mut self, code: u16, reason: &str) -> Result<()> {
        if !may_close_with(code, reason) {
            let message = format!("a WebSocket cannot be closed with code {code} and this reason");
            return Err(Error::new(ErrorKind::Internal, message));
        }
        self.end(code, reason);
        Ok(())
    }

    /// Lets this socket stay open after the end of its session (logout, revocation, expiry), which
    /// otherwise closes it with `[live] session_end_close`: for news that are for everybody. Call
    /// it before the session is used in the handler.
    pub fn outlive_session(&mut self) {
        self.inbox.outlives(&self.session);
    }

    /// The subprotocol that was agreed on; see
    /// [`WebSocketOptions::protocols`](super::WebSocketOptions::protocols).
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// With which code and words the socket was closed, by either end; `None` while it is open, and
    /// when the client vanished or named no code.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.close_reason.as_ref()
    }

    fn send_frame(&mut self, kind: Data, payload: &[u8]) -> Result<()> {
        self.glance();
        let sent = if self.has_ended {
            Err(IoErrorKind::NotConnected.into())
        } else {
            self.frames.send(kind, payload)
        };
        sent.map_err(|error| {
            self.has_ended = true;
            let what = "the client of a WebSocket took no message any more";
            Error::new(ErrorKind::Disconnected, what).caused_by(error)
        })
    }

    /// `until_ms` is on the coarse clock, 0 for no end.
    fn next_event(&mut self, until_ms: u64) -> Result<Option<Event>> {
        self.resume_message(ticks::now_ms());
        let event = self.await_event(until_ms);
        self.looked_ms = ticks::now_ms();
        self.handed_ms = self.looked_ms;
        event
    }

    /// While the handler was busy nobody took what the client sent.
    fn resume_message(&mut self, now_ms: u64) {
        if self.message_due_ms != 0 {
            self.message_due_ms += now_ms.saturating_sub(self.looked_ms);
        }
    }

    fn await_event(&mut self, until_ms: u64) -> Result<Option<Event>> {
        loop {
            if self.has_ended {
                return Ok(self.last_words());
            }
            if self.line().is_draining() {
                self.end(GOING_AWAY, "the server stops");
                return Ok(None);
            }
            let turn = self.take_turn();
            if let Turn::Event(event) = turn {
                self.rest_now_and_then();
                self.session.look_again();
                return Ok(Some(event));
            }
            if self.has_ended {
                return Ok(None);
            }
            let now_ms = ticks::now_ms();
            if until_ms != 0 && now_ms >= until_ms {
                self.session.look_again();
                return Ok(Some(Event::Elapsed));
            }
            match turn {
                Turn::Nothing => self.wait(now_ms, until_ms),
                _ => self.rest_now_and_then(),
            }
        }
    }

    /// Frames and news by turns, so that a flood of one does not shut the other out.
    fn take_turn(&mut self) -> Turn {
        let news_first = self.events_in_a_row % 2 == 1;
        let first = if news_first { self.take_news() } else { self.take_message() };
        match first {
            Turn::Nothing if news_first => self.take_message(),
            Turn::Nothing if !self.has_ended => self.take_news(),
            first => first,
        }
    }

    /// What the client said before it left, unless its session has ended since.
    fn last_words(&mut self) -> Option<Event> {
        if self.inbox.take_end(0).is_some() {
            self.early = Early::default();
        }
        let event = self.early.pop()?;
        self.session.look_again();
        Some(event)
    }

    /// What the client sent, in its order.
    fn take_message(&mut self) -> Turn {
        self.early.pop().map_or_else(|| self.take_frame(), Turn::Event)
    }

    fn rest_now_and_then(&mut self) {
        self.events_in_a_row += 1;
        if self.events_in_a_row >= EVENTS_IN_A_ROW {
            self.events_in_a_row = 0;
            give_way_to_all();
        }
    }

    fn take_frame(&mut self) -> Turn {
        let incoming = self.frames.next();
        // Any byte shows that the client is there: within a long frame it can answer no ping.
        if self.frames.stream_mut().has_heard() {
            self.heard_ms = ticks::now_ms();
            self.pong_due_ms = 0;
            self.watch_message();
        }
        match incoming {
            Ok(Incoming::Nothing | Incoming::Control) if self.is_message_late() => {
                self.fail(1008, "message too slow");
            }
            Ok(Incoming::Text(text)) => return Turn::Event(Event::Text(text)),
            Ok(Incoming::Binary(bytes)) => return Turn::Event(Event::Binary(bytes)),
            Ok(Incoming::Nothing) => return Turn::Nothing,
            Ok(Incoming::Control) => {}
            Ok(Incoming::Closed(reason)) => {
                self.close_reason = reason;
                self.has_ended = true;
            }
            Err(Fault::Broken { code, reason }) => self.fail(code, reason),
            Err(Fault::Gone(error)) => {
                log::debug!("a WebSocket's client has gone: {error}");
                self.has_ended = true;
            }
        }
        Turn::Again
    }

    /// Bytes have come: the time of a message begins with its first.
    fn watch_message(&mut self) {
        match self.frames.unfinished() {
            None => self.message_due_ms = 0,
            Some(number) if self.message_due_ms == 0 || self.message != number => {
                self.message = number;
                self.message_due_ms = later(self.timing.message_timeout);
            }
            Some(_) => {}
        }
    }

    fn is_message_late(&self) -> bool {
        self.message_due_ms != 0 && ticks::now_ms() >= self.message_due_ms
    }

    /// Ends at once: what the client still sends is not waited for.
    fn fail(&mut self, code: u16, reason: &str) {
        self.frames.close(code, reason).ok();
        self.note_close(code, reason);
    }

    fn take_news(&mut self) -> Turn {
        match self.inbox.take_or_await() {
            Arrived::Event(event) => Turn::Event(event),
            Arrived::Close(close) => {
                self.end(close.code, close.reason);
                Turn::Again
            }
            Arrived::Nothing => Turn::Nothing,
        }
    }

    /// Nothing has come: asks whether the client is there when it is time, and waits.
    fn wait(&mut self, now_ms: u64, until_ms: u64) {
        let mut deadline_ms = earlier(until_ms, self.message_due_ms);
        if self.pong_due_ms != 0 {
            if now_ms >= self.pong_due_ms {
                log::debug!("a WebSocket's client answered no ping");
                self.has_ended = true;
                return;
            }
            deadline_ms = earlier(deadline_ms, self.pong_due_ms);
        } else if let Some(ping_every) = self.timing.ping_every {
            let ping_at_ms = self.heard_ms.saturating_add(ticks::millis(ping_every));
            if now_ms >= ping_at_ms {
                self.pong_due_ms = later(self.timing.pong_timeout);
                self.has_ended = self.frames.ping().is_err();
                // Whoever was silent for so long may be so for longer.
                self.has_rested = false;
                return;
            }
            deadline_ms = earlier(deadline_ms, ping_at_ms);
        }
        self.events_in_a_row = 0;
        if !std::mem::replace(&mut self.has_rested, true) {
            self.line().rest();
        }
        self.has_ended = self.line().wait(deadline_ms, false).is_err();
    }

    /// Closes in good order, unless that was done: our close, then the client's.
    pub(super) fn end(&mut self, code: u16, reason: &str) {
        if self.has_ended {
            return;
        }
        self.note_close(code, reason);
        self.inbox.unfollow();
        self.early = Early::default();
        if self.frames.close(code, reason).is_err() {
            return;
        }
        let deadline_ms = later(self.timing.close_timeout);
        while ticks::now_ms() < deadline_ms {
            match self.frames.next() {
                Ok(Incoming::Closed(_)) | Err(_) => return,
                Ok(Incoming::Nothing) => {
                    if self.line().wait(deadline_ms, true).is_err() {
                        return;
                    }
                }
                Ok(_) => self.rest_now_and_then(),
            }
        }
    }

    fn note_close(&mut self, code: u16, reason: &str) {
        self.has_ended = true;
        self.close_reason = Some(CloseReason { code, text: reason.to_owned() });
    }

    fn line(&self) -> &dyn Duplex {
        &*self.frames.stream().duplex
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}

/// The earlier of two moments, where 0 is never.
pub(super) fn earlier(one_ms: u64, other_ms: u64) -> u64 {
    match (one_ms, other_ms) {
        (0, moment) | (moment, 0) => moment,
        (one, other) => one.min(other),
    }
}

/// The connection as tungstenite reads it: it never waits there.
struct DuplexStream {
    duplex: Box<dyn Duplex>,
    has_heard: bool,
}

impl DuplexStream {
    /// Whether any byte has come since this was last asked.
    fn has_heard(&mut self) -> bool {
        std::mem::take(&mut self.has_heard)
    }
}

impl Read for DuplexStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.duplex.read_now(buffer)?.ok_or(IoErrorKind::WouldBlock)?;
        self.has_heard = true;
        Ok(count)
    }
}

impl Write for DuplexStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.duplex.write_all([bytes, &[]])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for DuplexStream {
    fn write_pieces(&mut self, pieces: [&[u8]; 2]) -> io::Result<()> {
        self.duplex.write_all(pieces)
    }
}
