//! The mailbox of one connection and what is delivered into it.

use std::sync::Arc;
use std::time::Duration;

use super::changes::Closing;
use super::event::Event;
use super::mail::{Close, Identity, Mail, Source, Subscription};
use super::mailbox::{Mailbox, Received, WhenFull};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Waker, ticks};
use crate::session::Session;

/// What becomes of messages of topics for a connection that does not take them in time; the most
/// that may wait is `[websocket] queue` and `[sse] queue`. The changes of a session are never too
/// many: those that wait are told as one, in the place of the first, and its end is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowClient {
    /// The connection ends: a WebSocket with code 1013, a stream so that its browser connects
    /// again. It never misses anything unnoticed.
    #[default]
    Close,
    /// The oldest messages are dropped, and [`Event::Missed`] tells how many.
    DropOldest,
    /// Of each topic only the latest message waits; for pages that show a state and not a history.
    Latest,
}

impl SlowClient {
    fn when_full(self) -> WhenFull {
        match self {
            Self::Close => WhenFull::Close,
            Self::DropOldest => WhenFull::DropOldest,
            Self::Latest => WhenFull::Latest,
        }
    }
}

/// What the inbox holds for the loop of a connection.
#[derive(Debug)]
pub(super) enum Arrived {
    Event(Event),
    /// The connection must end.
    Close(Close),
    Nothing,
}

#[derive(Debug)]
pub(super) struct Inbox {
    mailbox: Mailbox<Mail>,
    subscriptions: Vec<(Option<Identity>, Subscription)>,
    max_follows: usize,
    /// The code that the end of the session closes with; `None` if the connection outlives it.
    session_end_close: Option<u16>,
}

/// A handler that just ended its own session may still say so to its client.
const GRACE_MS: u64 = 1_000;
/// The client does not take its news: "try again later".
const TOO_SLOW: Close = Close { code: 1013, reason: "too slow" };

impl Inbox {
    /// Room for so much news, from at most `max_follows` sources.
    pub(super) fn new(capacity: usize, slow: SlowClient, max_follows: usize) -> Self {
        let mailbox = Mailbox::new(capacity, slow.when_full());
        Self { mailbox, subscriptions: Vec::new(), max_follows, session_end_close: None }
    }

    pub(super) fn wakes(&self, waker: Waker) {
        self.mailbox.wakes(waker);
    }

    /// What is followed already is told once, however often it is asked for.
    pub(super) fn follow(&mut self, source: impl Source) -> Result<()> {
        let identity = source.identity();
        if identity.is_some() && self.subscriptions.iter().any(|(known, _)| *known == identity) {
            return Ok(());
        }
        if self.subscriptions.len() >= self.max_follows {
            let max = self.max_follows;
            let what = format!("a connection follows [live] follows = {max} sources already");
            return Err(Error::new(ErrorKind::Overloaded, what));
        }
        self.subscriptions.push((identity, source.subscribe(self.mailbox.post())?));
        Ok(())
    }

    /// The connection ends with this session, should the handler ever use it.
    pub(super) fn ends_with(&mut self, session: &Session, code: u16) {
        self.session_end_close = Some(code);
        let post = self.mailbox.post();
        session.watch_until_closed(Arc::new(Closing { post, code }));
    }

    /// The connection goes on after the end of this session.
    pub(super) fn outlives(&mut self, session: &Session) {
        self.session_end_close = None;
        session.watch_no_more();
    }

    /// Nothing more is delivered; what waits can still be taken.
    pub(super) fn unfollow(&mut self) {
        self.subscriptions = Vec::new();
    }

    /// Why the connection must end, if it must, whatever else waits: for a handler that sends and has
    /// not asked for events since `handed_ms`.
    pub(super) fn take_end(&self, handed_ms: u64) -> Option<Close> {
        if ticks::now_ms().saturating_sub(handed_ms) < GRACE_MS {
            return None;
        }
        match self.mailbox.take_end() {
            Some(Mail::Close(close)) => Some(close),
            _ => None,
        }
    }

    /// What there is; after [`Arrived::Nothing`] the next news wake the connection.
    pub(super) fn take_or_await(&self) -> Arrived {
        match self.mailbox.take_or_await() {
            Received::Letter(Mail::Change(_, change)) => Arrived::Event(Event::Change(change)),
            Received::Letter(Mail::Message(message)) => Arrived::Event(Event::Message(message)),
            Received::Letter(Mail::Ended(end)) => match self.session_end_close {
                Some(code) => Arrived::Close(Close { code, reason: end.reason() }),
                None => Arrived::Event(Event::SessionEnded(end)),
            },
            Received::Letter(Mail::Close(close)) => Arrived::Close(close),
            Received::Letter(Mail::Missed) => Arrived::Event(Event::Missed(0)),
            Received::Missed(count) => Arrived::Event(Event::Missed(count)),
            Received::Overflowed => Arrived::Close(TOO_SLOW),
            Received::Nothing => Arrived::Nothing,
        }
    }
}

/// When `limit` from now is over, never 0. Not early: the coarse clock it is held against lags.
pub(super) fn later(limit: Duration) -> u64 {
    ticks::exact_ms().saturating_add(ticks::millis(limit)).saturating_add(1)
}
