//! Waiting for replicas, so that a failover does not bring back what was ended.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Value, cmd};

use super::RedisStore;
use super::answers::{bytes, failed, number};
use crate::session::{StoreError, StoreKey};

/// Time for the answer to WAIT itself to arrive.
const ANSWER: Duration = Duration::from_secs(1);

impl RedisStore {
    /// Whether saves can succeed: looked at when a server starts. Who may not ask is told by the
    /// first save.
    pub(super) fn check_replicas(&self) {
        if self.options.wait_replicas == 0 {
            return;
        }
        let ask = cmd("INFO").arg("replication").take();
        // Each master of a cluster has replicas of its own; the fewest are what matters.
        let online = self.redis.nodes().unwrap_or_default().into_iter().filter_map(|node| {
            let answer = node.send(std::slice::from_ref(&ask)).ok()?.into_iter().next()?;
            let info = bytes(answer).ok().flatten()?;
            let online = String::from_utf8_lossy(&info).matches("state=online").count();
            u32::try_from(online).ok()
        });
        if let Some(fewest) = online.min() {
            self.warn_if_too_few(fewest);
        }
    }

    fn warn_if_too_few(&self, found: u32) {
        let wanted = self.options.wait_replicas;
        if found >= wanted || self.has_warned_of_too_few.swap(true, Ordering::Relaxed) {
            return;
        }
        log::warn!(
            target: "maypole::session",
            "[session.redis] wait_replicas = {wanted}, but {found} replicas of redis are in step: each \
             request that saves waits for wait_timeout ({:?}), twice as a rule, and is answered with \
             503, though redis keeps what it saved; add replicas or lower wait_replicas (said once)",
            self.options.wait_timeout
        );
    }

    /// After a save: waits until as many replicas as the setting says have it.
    pub(super) fn replicate(&self, key: &StoreKey) -> Result<(), StoreError> {
        match self.options.wait_replicas {
            0 => Ok(()),
            // Whatever is refused now, the save itself was not.
            wanted => self.wait_for(key, wanted, wanted).map_err(StoreError::after_a_write),
        }
    }

    /// After an end, or a save whose answer was lost: waits for all replicas that are connected.
    pub(super) fn settle_replicas(&self, key: &StoreKey) -> Result<(), StoreError> {
        let name = self.names.record(key);
        let answer = self.redis.script(&self.scripts.replicas, &[&name], &[]);
        match u32::try_from(number(answer)?) {
            Ok(0) if self.options.wait_replicas == 0 => Ok(()),
            // One that hangs must not keep everybody from logging out.
            Ok(connected) => {
                let enough = self.options.wait_replicas.max(1);
                self.wait_for(key, connected.max(enough), enough)
            }
            Err(_) => {
                if !self.has_warned_of_replicas.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        target: "maypole::session",
                        "this redis user may not ask for INFO, so the end of a session waits for \
                         wait_replicas = {} replicas only (said once)",
                        self.options.wait_replicas
                    );
                }
                self.replicate(key)
            }
        }
    }

    /// Waits for `wanted` replicas; `enough` of them will do when the time is over.
    ///
    /// WAIT counts from the last write of its own connection, and holds that connection up: so it
    /// goes over one of our own, behind a write that changes nothing.
    fn wait_for(&self, key: &StoreKey, wanted: u32, enough: u32) -> Result<(), StoreError> {
        let name = self.names.record(key);
        let limit = self.options.wait_timeout.max(Duration::from_millis(1));
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let mark = self.scripts.mark.in_full(&[&name], &[]);
        let wait = cmd("WAIT").arg(wanted).arg(limit_ms).take();
        let answers = match self.redis.master_of(&name).map_err(failed)? {
            // Exclusive connections lead to any node. Those who share this one wait as well.
            Some(master) => master.send(&[mark, wait]),
            None => self.redis.send_alone(&[mark, wait], limit + ANSWER),
        };
        let answers = answers.map_err(failed)?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        number(next())?;
        match u32::try_from(number(next())?) {
            Ok(reached) if reached >= enough => Ok(()),
            reached => {
                self.warn_if_too_few(reached.unwrap_or_default());
                Err(StoreError::unavailable(format!(
                    "redis has it, but fewer than {enough} replicas had it within {limit:?}"
                )))
            }
        }
    }
}
