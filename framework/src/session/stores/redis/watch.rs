//! Telling a listener of what other servers change, by subscribing to the channels of the records
//! it follows and no others.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::RedisStore;
use super::names::Names;
use super::news::News;
use crate::redis::{Listening, Sink, Topic};
use crate::session::{ChangeListener, StoreKey};

/// Who is told, and the connection that listens, which is made when the first key is followed. It
/// ends with the store.
pub(super) struct Watching {
    relay: Arc<Relay>,
    listening: OnceLock<Listening>,
}

/// Passes news on.
struct Relay {
    names: Names,
    writer: Arc<AtomicU64>,
    listener: Arc<dyn ChangeListener>,
}

impl Sink for Relay {
    fn message(&self, channel: &[u8], payload: Vec<u8>) {
        let Some(key) = self.names.key(channel) else { return };
        match News::decode(&payload) {
            // This process knows what it did itself.
            Some(News::Changed { writer, .. } | News::Removed { writer })
                if writer == self.writer.load(Ordering::Acquire) => {}
            Some(News::Changed { version, .. }) => self.listener.changed(&key, version),
            Some(News::Removed { .. }) => self.listener.changed(&key, u64::MAX),
            Some(News::Settle { .. }) | None => {}
        }
    }

    fn interrupted(&self) {}

    fn resumed(&self) {
        self.listener.missed();
    }
}

impl RedisStore {
    pub(super) fn start_watching(&self, listener: Arc<dyn ChangeListener>) -> bool {
        self.watching.get_or_init(|| {
            let (names, writer) = (self.names.clone(), Arc::clone(&self.writer));
            let relay = Arc::new(Relay { names, writer, listener });
            Watching { relay, listening: OnceLock::new() }
        });
        true
    }

    pub(super) fn follow_channel(&self, key: &StoreKey, is_followed: bool) {
        let Some(Watching { relay, listening }) = self.watching.get() else { return };
        let topic = Topic::Channel(self.names.record(key).into_bytes());
        if is_followed {
            let listen = || self.redis.listen(Arc::clone(relay) as Arc<dyn Sink>);
            listening.get_or_init(listen).subscribe(topic);
        } else if let Some(listening) = listening.get() {
            listening.unsubscribe(&topic);
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watching")
    }
}
