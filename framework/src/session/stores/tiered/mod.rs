//! The tiered store: memory in front of the redis store, on any number of servers.
//!
//! Memory is kept true by what every swap tells the others, and is used only under a
//! [lease]. What must never be seen again (an ended session, a raised epoch) is *settled*: whoever
//! ended it waits until every server that keeps copies has said that it dropped it, or can no
//! longer have a lease from before.

mod beat;
mod cache;
mod hear;
mod lease;
mod options;
mod scripts;
mod settle;
mod shard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

pub use cache::TieredUsage;
pub use options::TieredOptions;

use super::redis::{Followed, RedisStore, random};
use crate::error::Result;
use crate::redis::Listening;
use crate::runtime::sync::ShortLock;
use crate::runtime::{self, Kept};
use crate::session::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};
use beat::Beats;
use cache::{Cache, Look};
use hear::Ears;
use lease::Lease;
use scripts::Scripts;
use settle::Waiters;

/// Sessions in redis with copies in this process's memory: loads without a round trip, saves in
/// one.
///
/// A save is checked by redis, so nothing is ever lost; another server's save is seen here within
/// the [lease](TieredOptions::lease) at the latest, usually at once. When a session's end, a
/// revocation or a change of id has been answered, no server gives out the old state any more.
/// While the connection on which changes are told is down, it is a [`RedisStore`].
pub struct TieredStore {
    node: Arc<Node>,
    /// Ends with the store.
    _listening: Listening,
}

/// This process among those that keep copies.
struct Node {
    redis: RedisStore,
    cache: Cache,
    lease: Lease,
    scripts: Scripts,
    id: u64,
    beats: ShortLock<Beats>,
    waiters: ShortLock<Waiters>,
    numbers: AtomicU64,
    followed: Followed,
    /// While set, what comes is not read: a reader that stalls.
    #[cfg(test)]
    is_deaf: std::sync::atomic::AtomicBool,
    /// While set, news of records get lost on their way, as between the nodes of a cluster.
    #[cfg(test)]
    loses_news: std::sync::atomic::AtomicBool,
}

impl TieredStore {
    /// Memory in front of `redis`, used as soon as the server has answered; see
    /// [`RedisStore::open`] for an example. It does not wait for the server.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(redis: RedisStore, options: &TieredOptions) -> Result<Self> {
        let lease = options.lease.clamp(Duration::from_millis(20), Duration::from_secs(2));
        let node = Arc::new(Node {
            cache: Cache::new(options.max_records, options.max_bytes),
            lease: Lease::new(lease),
            scripts: Scripts::new(),
            id: random()?,
            beats: ShortLock::default(),
            waiters: ShortLock::default(),
            numbers: AtomicU64::new(1),
            followed: Followed::default(),
            #[cfg(test)]
            is_deaf: Default::default(),
            #[cfg(test)]
            loses_news: Default::default(),
            redis,
        });
        let names = node.redis.names();
        let listening = node.redis.redis().listen(Arc::new(Ears::new(Arc::clone(&node))));
        // They are begun in the order of their bytes, so when a message comes by the second, the
        // first is in force.
        listening.subscribe(names.news().into_bytes());
        listening.subscribe(names.node(node.id).into_bytes());
        let kept = Arc::downgrade(&node) as Weak<dyn Kept>;
        if !runtime::keep(kept) {
            log::error!("no thread beats for the tiered store: memory is not used");
        }
        Ok(Self { node, _listening: listening })
    }

    /// What is in memory, and what it was good for.
    #[must_use]
    pub fn usage(&self) -> TieredUsage {
        self.node.cache.usage()
    }

    /// Whether memory is used at this moment.
    #[must_use]
    pub fn trusts_memory(&self) -> bool {
        self.node.lease.is_valid()
    }
}

impl SessionStore for TieredStore {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        let node = &*self.node;
        let ticket = match node.cache.look(key, now, || node.lease.is_valid()) {
            Look::Here(stored @ Some(_)) => return Ok(stored),
            // Absences are remembered for `load_many` only: anybody may ask for any session.
            Look::Here(None) => node.cache.ticket(key),
            Look::Unknown(ticket) => ticket,
        };
        let loaded = node.redis.load(key, now)?;
        match &loaded {
            Some(stored) => node.cache.fill(key, ticket, stored),
            None => node.cache.drop_held(key),
        }
        Ok(loaded)
    }

    /// Remembers absences as well: what is asked for in this way are epochs, and most users have
    /// none. Who asks cannot choose the keys.
    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        let node = &*self.node;
        let looks: Vec<_> =
            keys.iter().map(|key| node.cache.look(key, now, || node.lease.is_valid())).collect();
        let asked = keys.iter().zip(&looks).filter_map(|(key, look)| match look {
            Look::Here(_) => None,
            Look::Unknown(_) => Some(*key),
        });
        let asked: Vec<_> = asked.collect();
        let mut loaded = node.redis.load_many(&asked, now)?.into_iter();
        let found = keys.iter().zip(looks).map(|(key, look)| match look {
            Look::Here(stored) => stored,
            Look::Unknown(ticket) => {
                let loaded = loaded.next().flatten();
                match &loaded {
                    Some(stored) => node.cache.fill(key, ticket, stored),
                    None => node.cache.fill_absent(key, ticket),
                }
                loaded
            }
        });
        Ok(found.collect())
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        let node = &*self.node;
        let ticket = node.cache.ticket(key);
        let outcome = node.redis.swap(key, expected, new, now);
        match &outcome {
            Ok(Swap::Done) => {
                node.cache.replace(key, ticket, new, expected == Expected::Absent);
            }
            Ok(Swap::Conflict | Swap::Missing) | Err(_) => node.cache.drop(key),
        }
        outcome
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        let outcome = self.node.redis.touch(key, version, renewed, now);
        match &outcome {
            Ok(Touch::Done) => self.node.cache.renew(key, version, renewed),
            Ok(Touch::Stale) | Err(_) => self.node.cache.drop(key),
        }
        outcome
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let outcome = self.node.redis.remove(key);
        self.node.cache.drop(key);
        outcome
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        let swept = self.node.redis.sweep(now, budget)?;
        if swept.removed > 0 {
            self.node.cache.flush();
        }
        Ok(swept)
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.node.redis.list(after, limit, now)
    }

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.node.settle(key)
    }

    fn forget(&self, key: &StoreKey) {
        // Also what another load is about to bring here.
        self.node.cache.drop(key);
    }

    fn watch(&self, listener: Arc<dyn ChangeListener>) -> bool {
        self.node.followed.watch(listener);
        true
    }

    fn follow(&self, key: &StoreKey, is_followed: bool) {
        self.node.followed.follow(key, is_followed, drop);
    }
}

impl fmt::Debug for TieredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TieredStore")
            .field("redis", &self.node.redis)
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}
