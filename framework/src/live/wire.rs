//! Topics between servers, through redis publish and subscribe: one channel a topic, listened to
//! only while somebody here is subscribed.
//!
//! Redis keeps nothing: what is published while a server's connection is away does not reach it,
//! and its subscribers are told so when it is back.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::cmd;

use super::topic::Message;
use super::topics::{Topics, WeakTopics, Wire};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::redis::{Listening, Redis, Sink};
use crate::runtime::sync::ShortLock;
use crate::runtime::{LogLimit, spawn_alone};

/// Messages waiting to be passed on; while redis is slow the oldest are dropped, with a warning.
const MAX_WAITING: usize = 1024;

/// Messages sent to redis in one piece.
const BATCH: usize = 64;

/// What a message begins with: whose it is.
const NODE_BYTES: usize = 16;

/// This server's end of the way.
struct RedisWire {
    shared: Arc<Shared>,
    listening: Listening,
}

struct Shared {
    redis: Redis,
    /// Before the name of each topic: two apps on one redis do not hear each other.
    prefix: String,
    /// Tells our own messages, which have been delivered here already, from others'.
    node: [u8; NODE_BYTES],
    waiting: ShortLock<VecDeque<(Vec<u8>, Vec<u8>)>>,
    is_sending: AtomicBool,
    /// Of messages that were lost, while redis is away.
    losses: LogLimit,
}

/// Connects `topics` as the settings say: by `[live] redis_connection_pool`, else by the redis of
/// the sessions, else not at all.
///
/// # Errors
/// Those of the redis settings; `Start` if the system gives no random numbers.
pub(crate) fn connect(topics: &Topics, config: &Config) -> Result<()> {
    let shares_sessions = matches!(config.session.backend.as_str(), "redis" | "tiered");
    let name = match &config.live.redis_connection_pool {
        Some(name) => name,
        None if shares_sessions => &config.session.redis_connection_pool,
        None => return Ok(()),
    };
    let Some(settings) = config.redis(name) else {
        let message = format!("there is no section [redis.{name}]");
        return Err(config.error("live", "redis_connection_pool", message).into());
    };
    let mut node = [0; NODE_BYTES];
    getrandom::fill(&mut node).map_err(|error| {
        Error::new(ErrorKind::Start, "the system gives no random numbers").caused_by(error)
    })?;
    let redis = Redis::open(settings)?;
    let prefix = format!("{}:topic:", config.app.name);
    let hears = Hears {
        topics: topics.downgrade(),
        prefix: prefix.clone(),
        node,
        is_back: AtomicBool::new(false),
    };
    let listening = redis.listen(Arc::new(hears));
    let (waiting, is_sending) = (ShortLock::default(), AtomicBool::new(false));
    let losses = LogLimit::new();
    let shared = Arc::new(Shared { redis, prefix, node, waiting, is_sending, losses });
    topics.connect(Arc::new(RedisWire { shared, listening }));
    Ok(())
}

impl Wire for RedisWire {
    fn publish(&self, message: &Message) {
        let mut payload = Vec::with_capacity(NODE_BYTES + message.text.len());
        payload.extend(self.shared.node);
        payload.extend(message.text.as_bytes());
        let dropped = self.shared.waiting.with(|waiting| {
            let dropped = if waiting.len() < MAX_WAITING { None } else { waiting.pop_front() };
            waiting.push_back((self.shared.channel(&message.topic), payload));
            dropped
        });
        if dropped.is_some()
            && let Some(left_out) = self.shared.losses.admit()
        {
            log::warn!(
                "a message of a topic was not passed on: {MAX_WAITING} wait for redis{left_out}"
            );
        }
        self.shared.start_sending();
    }

    fn follow(&self, topic: &str, is_followed: bool) {
        let channel = self.shared.channel(topic);
        if is_followed {
            self.listening.subscribe(channel);
        } else {
            self.listening.unsubscribe(&channel);
        }
    }
}

impl Shared {
    fn channel(&self, topic: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), topic.as_bytes()].concat()
    }

    /// One coroutine sends, so that messages keep their order; it ends when nothing waits.
    fn start_sending(self: &Arc<Self>) {
        if self.is_sending.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(self);
        if let Err(error) = spawn_alone(move || shared.send_all()) {
            // The next message tries again.
            self.is_sending.store(false, Ordering::SeqCst);
            log::warn!("messages of topics wait to be passed on: {error}");
        }
    }

    fn send_all(&self) {
        loop {
            let batch: Vec<_> =
                self.waiting.with(|waiting| waiting.drain(..waiting.len().min(BATCH)).collect());
            if batch.is_empty() {
                self.is_sending.store(false, Ordering::SeqCst);
                let is_done = self.waiting.with(|waiting| waiting.is_empty());
                // What came in between found somebody sending.
                if is_done || self.is_sending.swap(true, Ordering::SeqCst) {
                    return;
                }
                continue;
            }
            let publish = |(channel, payload): &(Vec<u8>, Vec<u8>)| {
                cmd("PUBLISH").arg(channel).arg(payload).take()
            };
            let commands: Vec<_> = batch.iter().map(publish).collect();
            // Not sent again: whether it went out may be unknown, and twice is worse than never.
            let failure = match self.redis.send(&commands) {
                Ok(answers) => answers.into_iter().find_map(Result::err),
                Err(error) => Some(error),
            };
            if let Some(error) = failure
                && let Some(left_out) = self.losses.admit()
            {
                let what = "messages of topics were not passed on to other servers";
                log::warn!("{what}: {error}{left_out}");
            }
        }
    }
}

/// Brings what others publish to the subscribers here.
struct Hears {
    topics: WeakTopics,
    prefix: String,
    node: [u8; NODE_BYTES],
    /// The first connection is no return.
    is_back: AtomicBool,
}

impl Sink for Hears {
    fn message(&self, channel: &[u8], payload: Vec<u8>) {
        let Some((node, text)) = payload.split_first_chunk::<NODE_BYTES>() else { return };
        let topic = channel.strip_prefix(self.prefix.as_bytes());
        let topic = topic.and_then(|topic| std::str::from_utf8(topic).ok());
        let (Some(topic), Ok(text)) = (topic, std::str::from_utf8(text)) else { return };
        if *node == self.node {
            return;
        }
        if let Some(topics) = self.topics.upgrade() {
            topics.deliver(&Arc::new(Message { topic: topic.into(), text: text.into() }));
        }
    }

    fn interrupted(&self) {}

    fn resumed(&self) {
        if self.is_back.swap(true, Ordering::SeqCst)
            && let Some(topics) = self.topics.upgrade()
        {
            topics.interrupted();
        }
    }
}

impl fmt::Debug for RedisWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisWire")
    }
}
