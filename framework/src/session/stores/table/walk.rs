//! Walks through the whole table: sweeping out what has expired, and listing.

use std::time::SystemTime;

use super::super::millis::to_ms;
use super::TableStore;
use super::frame::Frames;
use super::map::{Change, SHARDS, shard_of};
use super::usage::Held;
use crate::session::{StoreError, StoreKey, Stored, Swept};

impl TableStore {
    /// Goes on where the last sweep stopped, shard by shard.
    pub(super) fn sweep_some(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        while swept.examined < budget {
            let mut expired = Vec::new();
            let step = self.inner.sweep.with(|place| {
                self.inner.map.walk(place, budget - swept.examined, |entry| {
                    if entry.is_expired(now) {
                        expired.push(entry.key);
                    }
                })
            });
            swept.examined += step.examined;
            swept.removed += self.remove_expired(&expired, now)?;
            if step.is_last {
                swept.finished = true;
                break;
            }
        }
        Ok(swept)
    }

    /// Removes the records of one shard that are still expired, with one write to the journal.
    fn remove_expired(&self, keys: &[StoreKey], now: SystemTime) -> Result<usize, StoreError> {
        let Some(first) = keys.first() else { return Ok(0) };
        let mut removed = 0;
        let mut grown = Held::default();
        let result = self.inner.map.hold(first, |stripe| {
            let is_expired = |key: &&StoreKey| {
                self.inner.map.get(key).is_some_and(|entry| entry.is_expired(now))
            };
            let expired: Vec<_> = keys.iter().filter(is_expired).collect();
            let mut frames = Frames::with_capacity(0);
            expired.iter().for_each(|key| frames.remove(key));
            if expired.is_empty() {
                return Ok(());
            }
            let (change, answer) = self.append(frames, Change::Remove, ());
            if matches!(change, Change::Remove) {
                removed = expired.len();
                for key in expired {
                    grown = grown + stripe.publish(key, Change::Remove);
                }
            }
            answer
        });
        self.inner.usage.count(grown);
        if removed > 0 {
            Self::has_room_again(&self.inner.search);
        }
        result.map(|()| removed)
    }

    /// The shards are in the order of the keys, so a page needs only the shards it comes from.
    pub(super) fn list_some(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Vec<(StoreKey, Stored)> {
        let mut listed = Vec::new();
        for shard in after.map_or(0, shard_of)..SHARDS {
            let left = limit - listed.len();
            if left == 0 {
                break;
            }
            for key in self.inner.map.keys(shard, after, left, to_ms(now)) {
                let found = self.inner.map.get(&key).filter(|entry| !entry.is_expired(now));
                listed.extend(found.map(|entry| (key, entry.to_stored())));
            }
        }
        listed
    }
}
