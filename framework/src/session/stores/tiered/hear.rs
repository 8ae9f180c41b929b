//! What a node hears from the others, on the connection that is there for it.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::Ordering;

use super::super::redis::News;
use super::Node;
use crate::redis::Sink;
use crate::session::StoreKey;

impl Node {
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
                self.followed.tell(key, version);
            }
            News::Removed { .. } => {
                self.cache.drop(key);
                self.followed.tell(key, u64::MAX);
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
pub(super) struct Ears {
    node: Arc<Node>,
    /// The channel of all records.
    news: Vec<u8>,
}

impl Ears {
    pub(super) fn new(node: Arc<Node>) -> Self {
        let news = node.redis.names().news().into_bytes();
        Self { node, news }
    }
}

impl Sink for Ears {
    fn message(&self, channel: &[u8], payload: Vec<u8>) {
        #[cfg(test)]
        while self.node.is_deaf.load(Ordering::Acquire) {
            crate::runtime::sleep(std::time::Duration::from_millis(1));
        }
        if channel != self.news {
            return self.node.told(&payload);
        }
        #[cfg(test)]
        if self.node.loses_news.load(Ordering::Acquire) {
            return;
        }
        News::decode(&payload).for_each(|(key, news)| self.node.heard(&key, news));
    }

    fn interrupted(&self) {
        self.node.lease.interrupted();
        self.node.cache.flush();
    }

    fn resumed(&self) {
        self.node.lease.connected();
        self.node.followed.tell_missed();
    }
}
