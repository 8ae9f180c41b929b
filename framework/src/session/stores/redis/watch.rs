//! Telling a listener of what other servers change. All changes come by one channel; what it
//! follows is picked out here.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::RedisStore;
use super::news::News;
use crate::redis::{Listening, Sink};
use crate::runtime::sync::ShortLock;
use crate::session::{ChangeListener, StoreKey};

/// Who is told, and of which records.
#[derive(Default)]
pub(in super::super) struct Followed {
    listener: OnceLock<Arc<dyn ChangeListener>>,
    keys: ShortLock<HashSet<StoreKey>>,
}

impl Followed {
    pub(in super::super) fn watch(&self, listener: Arc<dyn ChangeListener>) {
        self.listener.set(listener).ok();
    }

    /// `counted` is told how many records are followed now, before anybody else can change it.
    pub(in super::super) fn follow(
        &self,
        key: &StoreKey,
        is_followed: bool,
        counted: impl FnOnce(usize),
    ) {
        self.keys.with(|keys| {
            if is_followed {
                keys.insert(*key)
            } else {
                keys.remove(key)
            };
            counted(keys.len());
        });
    }

    /// A record has this version now; `u64::MAX` if it is gone.
    pub(in super::super) fn tell(&self, key: &StoreKey, version: u64) {
        let Some(listener) = self.listener.get() else { return };
        if self.keys.with(|keys| keys.contains(key)) {
            listener.changed(key, version);
        }
    }

    /// Any change may have been missed.
    pub(in super::super) fn tell_missed(&self) {
        if let Some(listener) = self.listener.get() {
            listener.missed();
        }
    }
}

/// The connection that listens while a record is followed. It ends with the store.
pub(super) struct Watching {
    relay: Arc<Relay>,
    listening: OnceLock<Listening>,
}

/// Passes news on.
struct Relay {
    writer: Arc<AtomicU64>,
    followed: Followed,
}

impl Watching {
    /// Follows nothing yet; `writer` is who the news of this process are by.
    pub(super) fn new(writer: Arc<AtomicU64>) -> Self {
        let relay = Arc::new(Relay { writer, followed: Followed::default() });
        Self { relay, listening: OnceLock::new() }
    }
}

impl Sink for Relay {
    fn message(&self, _channel: &[u8], payload: Vec<u8>) {
        let own = self.writer.load(Ordering::Acquire);
        for (key, news) in News::decode(&payload) {
            match news {
                // This process knows what it did itself.
                News::Changed { writer, .. } | News::Removed { writer } if writer == own => {}
                News::Changed { version, .. } => self.followed.tell(&key, version),
                News::Removed { .. } => self.followed.tell(&key, u64::MAX),
                News::Settle { .. } => {}
            }
        }
    }

    fn interrupted(&self) {}

    fn resumed(&self) {
        self.followed.tell_missed();
    }

    /// Whoever follows the first record has read it already.
    fn begun(&self) {
        self.followed.tell_missed();
    }
}

impl RedisStore {
    pub(super) fn start_watching(&self, listener: Arc<dyn ChangeListener>) {
        self.watching.relay.followed.watch(listener);
    }

    pub(super) fn follow_record(&self, key: &StoreKey, is_followed: bool) {
        let Watching { relay, listening } = &self.watching;
        let listen = || self.redis.listen(Arc::clone(relay) as Arc<dyn Sink>);
        let listening = if is_followed {
            listening.get_or_init(listen)
        } else {
            let Some(listening) = listening.get() else { return };
            listening
        };
        let channel = self.names.news().into_bytes();
        relay.followed.follow(key, is_followed, |count| match count {
            0 => listening.unsubscribe(&channel),
            _ => listening.subscribe(channel),
        });
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watching")
    }
}
