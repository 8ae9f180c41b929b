//! Waiting for replicas, so that a failover does not bring back what was ended.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Value, cmd};

use super::RedisStore;
use super::answers::{failed, number};
use crate::session::{StoreError, StoreKey};

/// Time for the answer to WAIT itself to arrive.
const ANSWER: Duration = Duration::from_secs(1);

impl RedisStore {
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
            _ => Err(StoreError::unavailable(format!(
                "redis has it, but fewer than {enough} replicas had it within {limit:?}"
            ))),
        }
    }
}
