//! Publish and subscribe, on a connection of its own that comes back by itself.
//!
//! While it is away messages are missed, and nobody can tell which: so the sink is told when that
//! begins and when it is over.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::{Cmd, Parser, PushKind, Value};

use super::error::{RedisError, unreadable};
use super::link::Dial;
use super::outage::Outage;
use super::transport::{Incoming, Transport};
use crate::config::RedisSettings;
use crate::runtime::sync::ShortLock;
use crate::runtime::{self, Kept, spawn_alone};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A shared connection is given so long to meet a failure too.
const TELLS_AFTER: Duration = Duration::from_millis(500);
/// A server that says nothing for so many time-outs, asked each time, is taken for dead.
const DEAD_AFTER_TIMEOUTS: u32 = 3;

/// Who gets the messages. The calls come one after the other, on a coroutine or a thread that reads
/// the connection; a call that takes long holds up the next ones.
pub(crate) trait Sink: Send + Sync {
    /// A message, with the channel it was published in.
    fn message(&self, channel: &[u8], payload: Vec<u8>);

    /// From some moment before now on messages may be missing.
    fn interrupted(&self);

    /// From some moment before now on every message arrives; said once at the beginning as well.
    fn resumed(&self);

    /// A channel that was asked for while the connection was there is in force. Messages in it
    /// that came between the question and this were not seen.
    fn begun(&self) {}
}

/// A connection that listens; dropping it ends it.
pub(crate) struct Listening {
    shared: Arc<Shared>,
}

struct Shared {
    dial: Box<Dial>,
    outage: Arc<Outage>,
    sink: Arc<dyn Sink>,
    timeout: Duration,
    reconnect_max: Duration,
    state: ShortLock<State>,
}

#[derive(Default)]
struct State {
    wanted: BTreeSet<Vec<u8>>,
    wire: Option<Arc<Transport>>,
    is_connecting: bool,
    is_closed: bool,
    next: Option<Instant>,
    pause: Duration,
    heard: Option<Instant>,
    asked: Option<Instant>,
    /// Since when there is no connection where there was, or should be, one.
    down_since: Option<Instant>,
    /// It was this connection that told the log.
    has_told: bool,
}

/// What came over the connection.
enum Heard {
    Message(Vec<u8>, Vec<u8>),
    /// A subscription is in force.
    Begun,
    Other,
}

impl Listening {
    /// Begins to connect at once.
    pub(super) fn new(
        settings: &RedisSettings,
        outage: Arc<Outage>,
        dial: Box<Dial>,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let (timeout, reconnect_max) = (settings.command_timeout, settings.reconnect_max);
        let state = State { next: Some(Instant::now()), ..State::default() };
        let state = ShortLock::new(state);
        let shared = Arc::new(Shared { dial, outage, sink, timeout, reconnect_max, state });
        if !runtime::keep(Arc::downgrade(&shared) as Weak<dyn Kept>) {
            log::error!("no thread looks after the connection that listens to redis");
        }
        shared.connect_if_due();
        Self { shared }
    }

    /// Listens to `channel` too. It is in force within a round trip, or as soon as there is a
    /// connection; a message published before that is not seen. A new connection begins with all
    /// channels, in the order of their bytes.
    pub(crate) fn subscribe(&self, channel: Vec<u8>) {
        self.shared.state.with(|state| {
            let command = begin(&channel);
            if state.wanted.insert(channel) {
                state.say(&command);
            }
        });
    }

    /// Listens to `channel` no more.
    pub(crate) fn unsubscribe(&self, channel: &[u8]) {
        self.shared.state.with(|state| {
            if state.wanted.remove(channel) {
                state.say(&end(channel));
            }
        });
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.state.with(|state| {
            state.is_closed = true;
            if let Some(wire) = state.wire.take() {
                wire.shutdown();
            }
        });
    }
}

impl State {
    /// Writes without waiting. Should the kernel not take these few bytes, the peer does not read
    /// them either, and the next connection begins with all of `wanted`.
    fn say(&mut self, command: &Cmd) {
        let Some(wire) = &self.wire else { return };
        let written = wire.seal(command.get_packed_command()).and_then(|sealed| {
            let count = wire.try_write(&sealed)?;
            if count == sealed.len() { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
        });
        if written.is_err() {
            wire.shutdown();
        }
    }
}

impl Shared {
    fn connect_if_due(self: &Arc<Self>) {
        let is_due = self.state.with(|state| {
            let is_time = state.next.is_some_and(|next| next <= Instant::now());
            let is_due = is_time && !state.is_connecting && !state.is_closed;
            state.is_connecting |= is_due;
            is_due
        });
        if !is_due {
            return;
        }
        let shared = Arc::clone(self);
        let started = runtime::thread("maypole-redis-listen", move || {
            if let Err(error) = shared.connect() {
                shared.pause(&error);
            }
        });
        if let Err(error) = started {
            self.pause(&RedisError::Down(error.to_string()));
        }
    }

    /// Connects and renews all subscriptions, on a thread where this may block.
    fn connect(self: &Arc<Self>) -> Result<(), RedisError> {
        let transport = (self.dial)()?;
        let mut parser = Parser::new();
        let renewed = self.state.with(|state| state.wanted.clone());
        transport.set_deadline(Some(self.timeout));
        let mut bytes = Vec::new();
        for channel in &renewed {
            begin(channel).write_packed_command(&mut bytes);
        }
        transport.write_all(bytes).map_err(|error| RedisError::Down(error.to_string()))?;
        let mut begun = 0;
        while begun < renewed.len() {
            match hear(&mut parser, &transport)? {
                Heard::Message(channel, payload) => self.sink.message(&channel, payload),
                Heard::Begun => begun += 1,
                Heard::Other => {}
            }
        }
        transport.set_deadline(None);
        let wire = Arc::new(transport);
        if !self.install(&wire, &renewed) {
            return Ok(());
        }
        self.sink.resumed();
        let shared = Arc::clone(self);
        spawn_alone(move || shared.listen(parser, &wire))
            .map_err(|error| RedisError::Down(error.to_string()))
    }

    /// Catches up with what changed meanwhile. False when nobody listens any more.
    fn install(&self, wire: &Arc<Transport>, renewed: &BTreeSet<Vec<u8>>) -> bool {
        let has_told = self.state.with(|state| {
            if state.is_closed {
                return None;
            }
            state.wire = Some(Arc::clone(wire));
            state.heard = Some(Instant::now());
            state.asked = None;
            state.pause = Duration::ZERO;
            state.next = None;
            for channel in renewed.difference(&state.wanted.clone()) {
                state.say(&end(channel));
            }
            for channel in state.wanted.clone().difference(renewed) {
                state.say(&begin(channel));
            }
            state.down_since = None;
            Some(std::mem::take(&mut state.has_told))
        });
        if has_told == Some(true) {
            self.outage.is_over();
            log::info!("listening to redis again");
        }
        has_told.is_some()
    }

    /// Reads until the connection ends, whoever ends it.
    fn listen(self: &Arc<Self>, mut parser: Parser, wire: &Arc<Transport>) {
        let error = loop {
            match hear(&mut parser, wire) {
                Ok(Heard::Message(channel, payload)) => self.sink.message(&channel, payload),
                Ok(Heard::Begun) => self.sink.begun(),
                Ok(Heard::Other) => {}
                Err(error) => break error,
            }
            self.state.with(|state| state.heard = Some(Instant::now()));
        };
        let is_closed = self.state.with(|state| {
            state.wire = None;
            state.is_closed
        });
        if !is_closed {
            let is_news = self.outage.is_news(&error);
            if is_news {
                log::warn!("listening to redis is interrupted: {error}");
            }
            self.sink.interrupted();
            self.state.with(|state| {
                state.has_told = is_news;
                state.is_connecting = false;
                state.down_since = Some(Instant::now());
                state.next = Some(Instant::now());
            });
            self.connect_if_due();
        }
    }

    fn pause(&self, error: &RedisError) {
        let is_lasting = self.state.with(|state| {
            let now = Instant::now();
            state.wire = None;
            state.is_connecting = false;
            state.pause = (state.pause * 2).max(FIRST_PAUSE).min(self.reconnect_max);
            state.next = Some(now + state.pause);
            now.duration_since(*state.down_since.get_or_insert(now)) >= TELLS_AFTER
        });
        let is_news = is_lasting && self.outage.is_news(error);
        if is_news {
            self.state.with(|state| state.has_told = true);
            log::warn!("cannot listen to redis: {error}");
        }
    }
}

impl Kept for Shared {
    /// Asks a silent server whether it lives, and connects when it is time.
    fn look_after(self: Arc<Self>) {
        let now = Instant::now();
        self.state.with(|state| {
            let (Some(wire), Some(heard)) = (state.wire.clone(), state.heard) else { return };
            let is_silent = now.duration_since(heard) > self.timeout * DEAD_AFTER_TIMEOUTS;
            if is_silent || wire.is_deposed() {
                wire.shutdown();
            } else if now.duration_since(state.asked.unwrap_or(heard)) > self.timeout {
                state.asked = Some(now);
                state.say(&redis::cmd("PING"));
            }
        });
        self.connect_if_due();
    }
}

fn begin(channel: &[u8]) -> Cmd {
    redis::cmd("SUBSCRIBE").arg(channel).take()
}

fn end(channel: &[u8]) -> Cmd {
    redis::cmd("UNSUBSCRIBE").arg(channel).take()
}

fn hear(parser: &mut Parser, wire: &Transport) -> Result<Heard, RedisError> {
    let value = parser.parse_value(Incoming(wire)).map_err(|error| unreadable(&error))?;
    Ok(match value {
        Value::Push { kind: PushKind::Message, data } => message(data),
        Value::Push { kind: PushKind::Subscribe, .. } => Heard::Begun,
        // The old protocol has no type for this; the first word tells.
        Value::Array(mut parts) if !parts.is_empty() => match parts.remove(0) {
            Value::BulkString(word) => match word.as_slice() {
                b"message" => message(parts),
                b"subscribe" => Heard::Begun,
                _ => Heard::Other,
            },
            _ => Heard::Other,
        },
        Value::ServerError(error) => return Err(RedisError::Refused(error.to_string())),
        _ => Heard::Other,
    })
}

/// Channel and payload are the last two parts.
fn message(mut parts: Vec<Value>) -> Heard {
    match (parts.pop(), parts.pop()) {
        (Some(Value::BulkString(payload)), Some(Value::BulkString(channel))) => {
            Heard::Message(channel, payload)
        }
        _ => Heard::Other,
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}
