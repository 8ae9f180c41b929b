//! A stream of server-sent events as its handler uses it.

use std::fmt;
use std::io;
use std::time::Duration;

use super::event::Event;
use super::inbox::{Arrived, Inbox, later};
use super::mail::Source;
use super::sse_event::SseEvent;
use super::websocket::earlier;
use crate::config::SseSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::response::BodySink;
use crate::runtime::ticks;
use crate::session::Session;

/// An open stream of server-sent events, made by
/// [`RequestContext::sse`](crate::RequestContext::sse).
///
/// [`recv`](Self::recv) waits for news of what is followed and gives `None` at the end. While it
/// waits it notices that the client has left, keeps the connection alive by comments (`[sse]
/// heartbeat`), and ends the stream when the server stops; so a handler should spend its time there.
/// One that only sends ends a second after its session.
/// The session is read and written as in a [`WebSocket`](super::WebSocket).
pub struct EventStream<'a> {
    sink: &'a mut dyn BodySink,
    inbox: Inbox,
    session: Session,
    heartbeat: Option<Duration>,
    /// When anything was last sent, on the coarse clock.
    sent_ms: u64,
    /// When the handler got the last event.
    handed_ms: u64,
    has_ended: bool,
    /// Memory was given back: at the first wait and in long silences.
    has_rested: bool,
}

impl<'a> EventStream<'a> {
    pub(super) fn new(
        sink: &'a mut dyn BodySink,
        mut inbox: Inbox,
        session: Session,
        settings: &SseSettings,
    ) -> Result<Self> {
        if let Some(line) = sink.line() {
            inbox.wakes(line.waker());
        }
        // A stream has no close code.
        inbox.ends_with(&session, 0);
        let heartbeat = settings.heartbeat;
        let sent_ms = ticks::now_ms();
        let mut stream = Self {
            sink,
            inbox,
            session,
            heartbeat,
            sent_ms,
            handed_ms: sent_ms,
            has_ended: false,
            has_rested: false,
        };
        if let Some(retry) = settings.retry {
            stream.send(SseEvent::retry_after(retry))?;
        }
        Ok(stream)
    }

    /// Sends an event, at once, and waits until the client's side takes it, for at most
    /// `[server] write_timeout`. A text is an event with that data.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the client has gone or the session has ended; pass it on with
    /// `?`.
    /// [`ErrorKind::Internal`] when the event's name or id has a line break or NUL in it: nothing
    /// is sent.
    pub fn send(&mut self, event: impl Into<SseEvent>) -> Result<()> {
        let mut text = String::new();
        event.into().write(&mut text)?;
        self.has_ended |= self.inbox.take_end(self.handed_ms).is_some();
        self.write(&text).map_err(|error| {
            self.has_ended = true;
            let what = "the event stream has ended, or its client has gone";
            Error::new(ErrorKind::Disconnected, what).caused_by(error)
        })
    }

    /// Waits for news of what is [followed](Self::follow). `None` when the stream is over: the
    /// client has left (or closed its sending half), took its news too slowly, the session has ended,
    /// or the server stops.
    ///
    /// # Errors
    /// None at present; a broken connection is an end.
    pub fn recv(&mut self) -> Result<Option<Event>> {
        Ok(self.await_event(0))
    }

    /// As [`recv`](Self::recv); gives [`Event::Elapsed`] when nothing came for `limit`. It is kept
    /// to some 50 ms.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<Event>> {
        Ok(self.await_event(later(limit)))
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

    /// Lets this stream go on after the end of its session, which otherwise ends it, too: for news
    /// that are for everybody. Call it before the session is used in the handler.
    pub fn outlive_session(&mut self) {
        self.inbox.outlives(&self.session);
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.has_ended {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.sent_ms = ticks::now_ms();
        self.sink.write(text.as_bytes())?;
        self.sink.flush()
    }

    fn await_event(&mut self, until_ms: u64) -> Option<Event> {
        let event = self.next_event(until_ms);
        self.handed_ms = ticks::now_ms();
        event
    }

    fn next_event(&mut self, until_ms: u64) -> Option<Event> {
        while !self.has_ended {
            match self.inbox.take_or_await() {
                Arrived::Event(event) => {
                    self.session.look_again();
                    return Some(event);
                }
                Arrived::Close(_) => self.has_ended = true,
                Arrived::Nothing => {
                    let now_ms = ticks::now_ms();
                    if until_ms != 0 && now_ms >= until_ms {
                        self.session.look_again();
                        return Some(Event::Elapsed);
                    }
                    self.has_ended = !self.wait(now_ms, until_ms);
                }
            }
        }
        self.inbox.unfollow();
        None
    }

    /// Nothing has come: shows that the stream lives when it is time, and waits. False at its end.
    fn wait(&mut self, now_ms: u64, until_ms: u64) -> bool {
        let mut deadline_ms = until_ms;
        if let Some(heartbeat) = self.heartbeat {
            let beat_at_ms = self.sent_ms.saturating_add(ticks::millis(heartbeat));
            if now_ms >= beat_at_ms {
                self.has_rested = false;
                return self.write(":\n\n").is_ok();
            }
            deadline_ms = earlier(deadline_ms, beat_at_ms);
        }
        let Some(line) = self.sink.line() else { return false };
        if !std::mem::replace(&mut self.has_rested, true) {
            line.rest();
        }
        let is_over = || line.is_draining() || line.has_ended();
        !is_over() && line.wait(deadline_ms, false).is_ok() && !is_over()
    }
}

impl fmt::Debug for EventStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}
