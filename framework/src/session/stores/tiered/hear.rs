//! What a node hears from the others, on the connection that is there for it.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::Ordering;

use super::super::redis::News;
use super::Node;
use crate::redis::Sink;
use crate::session::StoreKey;

impl Node {
    /// Tells the listener, if it follows `key`.
    fn tell(&self, key: &StoreKey, version: u64) {
        let Some(listener) = self.listener.get() else { return };
        if self.followed.with(|followed| followed.contains(key)) {
            listener.changed(key, version);
        }
    }

    fn heard(self: &Arc<Self>, key: &StoreKey, news: News) {
        match news {
            // What we did ourselves is in memory already, or was dropped.
            News::Changed { writer, .. } | News::Removed { writer }
                if writer == self.redis.writer() => {}
            News::Changed { version, is_created, .. } => {
                // A new record's versions have nothing to do with those of the one before.
                if is_created {
                    self.cache.drop(key);
                } else {
                    self.cache.outdate(key, version);
                }
                self.tell(key, version);
            }
            News::Removed { .. } => {
                self.cache.drop(key);
                self.tell(key, u64::MAX);
            }
            News::Settle { asker, .. } if asker == self.id => {}
            News::Settle { number, asker } => {
                self.cache.drop(key);
                self.acknowledge(number, asker);
            }
        }
    }
}

/// What hears for a node.
pub(super) struct Ears(pub(super) Arc<Node>);

impl Sink for Ears {
    fn message(&self, channel: &[u8], payload: Vec<u8>) {
        #[cfg(test)]
        while self.0.is_deaf.load(Ordering::Acquire) {
            crate::runtime::sleep(std::time::Duration::from_millis(1));
        }
        if let Some(key) = self.0.redis.names().key(channel) {
            #[cfg(test)]
            if self.0.loses_news.load(Ordering::Acquire) {
                return;
            }
            if let Some(news) = News::decode(&payload) {
                self.0.heard(&key, news);
            }
        } else {
            self.0.told(&payload);
        }
    }

    fn interrupted(&self) {
        self.0.lease.interrupted();
        self.0.cache.flush();
    }

    fn resumed(&self) {
        self.0.lease.connected();
        if let Some(listener) = self.0.listener.get() {
            listener.missed();
        }
    }
}
