//! Who is subscribed to what, on this server.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock, Weak};

use super::mail::{Mail, Subscription};
use super::mailbox::Post;
use super::topic::Message;
use crate::config::LiveSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::sync::ShortLock;

/// Publishers of different topics seldom meet at one lock.
const SHARDS: usize = 16;

/// All topics of one app; clones are the same. Got from [`App::topics`](crate::App::topics), it can
/// be used by any thread or coroutine for as long as one likes; two apps in one process share
/// nothing.
#[derive(Clone, Default)]
pub struct Topics {
    inner: Arc<Inner>,
}

struct Inner {
    shards: [ShortLock<HashMap<Arc<str>, Room>>; SHARDS],
    hasher: RandomState,
    limits: OnceLock<Limits>,
    wire: OnceLock<Arc<dyn Wire>>,
}

/// What `[live]` says; the defaults until the app is built.
#[derive(Debug, Clone, Copy)]
struct Limits {
    subscribers: usize,
    message_bytes: usize,
    queue: usize,
}

const DEFAULTS: Limits = Limits { subscribers: 100_000, message_bytes: 64 * 1024, queue: 256 };

/// The subscribers of a topic, by ascending number; never empty.
#[derive(Default)]
struct Room {
    members: Arc<Vec<(u64, Post<Mail>)>>,
    next_id: u64,
}

/// The way to other servers. Its calls neither wait nor fail.
pub(super) trait Wire: Send + Sync + 'static {
    /// Passes a message on to the other servers, in order.
    fn publish(&self, message: &Message);

    /// Begins or ends to listen for what others publish in this topic.
    fn follow(&self, topic: &str, is_followed: bool);
}

/// [`Topics`] that somebody else keeps.
pub(super) struct WeakTopics(Weak<Inner>);

impl WeakTopics {
    pub(super) fn upgrade(&self) -> Option<Topics> {
        self.0.upgrade().map(|inner| Topics { inner })
    }
}

impl Topics {
    pub(super) fn downgrade(&self) -> WeakTopics {
        WeakTopics(Arc::downgrade(&self.inner))
    }

    /// Where they are kept: the same for all clones.
    pub(super) fn place(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    /// Takes the limits of the settings, once.
    pub(super) fn limit(&self, settings: &LiveSettings) {
        let limits = Limits {
            subscribers: settings.topic_subscribers,
            message_bytes: settings.topic_message,
            queue: settings.topic_queue,
        };
        self.inner.limits.set(limits).ok();
    }

    /// Connects them with those of other servers, once, before anybody is subscribed.
    pub(super) fn connect(&self, wire: Arc<dyn Wire>) {
        self.inner.wire.set(wire).ok();
    }

    fn limits(&self) -> &Limits {
        self.inner.limits.get().unwrap_or(&DEFAULTS)
    }

    pub(super) fn queue(&self) -> usize {
        self.limits().queue
    }

    pub(super) fn subscribers(&self, name: &str) -> usize {
        self.shard(name).with(|rooms| rooms.get(name).map_or(0, |room| room.members.len()))
    }

    /// Gives a message to the subscribers here and on other servers.
    pub(super) fn publish(&self, message: &Arc<Message>) -> Result<usize> {
        let (len, max) = (message.text.len(), self.limits().message_bytes);
        if len > max {
            let what =
                format!("a message of {len} bytes is longer than [live] topic_message = {max}");
            return Err(Error::new(ErrorKind::Internal, what));
        }
        if let Some(wire) = self.inner.wire.get() {
            wire.publish(message);
        }
        Ok(self.deliver(message))
    }

    /// Gives a message to the subscribers on this server.
    pub(super) fn deliver(&self, message: &Arc<Message>) -> usize {
        self.post_to(&message.topic, &Mail::Message(Arc::clone(message)))
    }

    /// Tells everybody on this server that messages of others may have been lost.
    pub(super) fn interrupted(&self) {
        for shard in &self.inner.shards {
            let names: Vec<_> = shard.with(|rooms| rooms.keys().cloned().collect());
            for name in names {
                self.post_to(&name, &Mail::Missed);
            }
        }
    }

    fn post_to(&self, name: &str, mail: &Mail) -> usize {
        let members = self
            .shard(name)
            .with(|rooms| rooms.get(name).map(|room| Arc::clone(&room.members)))
            .unwrap_or_default();
        members.iter().filter(|(_, post)| post.send(mail.clone())).count()
    }

    pub(super) fn subscribe(&self, name: &Arc<str>, post: Post<Mail>) -> Result<Subscription> {
        let max = self.limits().subscribers;
        let id = self.shard(name).with(|rooms| {
            let room = rooms.entry(Arc::clone(name)).or_default();
            if room.members.len() >= max {
                return None;
            }
            if room.members.is_empty() {
                self.follow(name, true);
            }
            room.next_id += 1;
            Arc::make_mut(&mut room.members).push((room.next_id, post));
            Some(room.next_id)
        });
        let Some(id) = id else {
            let what = format!("a topic has [live] topic_subscribers = {max} already");
            return Err(Error::new(ErrorKind::Overloaded, what));
        };
        Ok(Subscription::new(Subscribed { topics: self.clone(), name: Arc::clone(name), id }))
    }

    fn leave(&self, name: &str, id: u64) {
        let left = self.shard(name).with(|rooms| {
            let room = rooms.get_mut(name)?;
            let at = room.members.binary_search_by_key(&id, |(id, _)| *id).ok()?;
            let left = Arc::make_mut(&mut room.members).remove(at);
            if room.members.is_empty() {
                rooms.remove(name);
                self.follow(name, false);
            }
            Some(left)
        });
        drop(left);
    }

    /// Under the lock of the topic's shard, so that a beginning and an end cannot overtake each
    /// other.
    fn follow(&self, name: &str, is_followed: bool) {
        if let Some(wire) = self.inner.wire.get() {
            wire.follow(name, is_followed);
        }
    }

    fn shard(&self, name: &str) -> &ShortLock<HashMap<Arc<str>, Room>> {
        let hash = usize::try_from(self.inner.hasher.hash_one(name) % SHARDS as u64);
        &self.inner.shards[hash.unwrap_or(0)]
    }

    /// How many topics there are; for tests of leaks.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.inner.shards.iter().map(|shard| shard.with(|rooms| rooms.len())).sum()
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| ShortLock::default()),
            hasher: RandomState::new(),
            limits: OnceLock::new(),
            wire: OnceLock::new(),
        }
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topics")
    }
}

/// Ends a subscription when dropped; it neither waits nor yields.
struct Subscribed {
    topics: Topics,
    name: Arc<str>,
    id: u64,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.topics.leave(&self.name, self.id);
    }
}
