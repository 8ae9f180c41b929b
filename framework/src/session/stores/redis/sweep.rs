//! Freeing the memory of expired records, which redis does by itself as long as the caller's clock
//! goes as fast as its own.
//!
//! Only after the caller's clock jumped ahead (a test's does, a system's may) all keys are looked
//! at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use redis::cmd;

use super::super::millis::{from_ms, to_ms};
use super::RedisStore;
use super::answers::{bytes, failed, number};
use super::walk::Walk;
use crate::runtime::sync::ShortLock;
use crate::session::{StoreError, StoreKey, Swept};

/// Clocks that differ by less are in step.
const JUMP: Duration = Duration::from_secs(60);

/// The end of the part of the header that holds the deadline.
const DEADLINE: std::ops::Range<usize> = 9..17;

/// Where a sweep stands.
#[derive(Debug, Default)]
pub(super) struct Sweeping {
    walk: Option<Walk>,
    keys: VecDeque<StoreKey>,
}

impl RedisStore {
    /// Remembers how the caller's clock stood, at the first call.
    pub(super) fn see_clock(&self, now: SystemTime) {
        self.clocks.get_or_init(|| ShortLock::new((now, Instant::now())));
    }

    /// Whether the caller's clock has gone faster than time.
    fn has_jumped(&self, now: SystemTime) -> bool {
        self.clocks.get().is_some_and(|clocks| {
            let (then, at) = clocks.with(|clocks| *clocks);
            now.duration_since(then).is_ok_and(|passed| passed > at.elapsed() + JUMP)
        })
    }

    pub(super) fn sweep_step(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        let mut sweeping = self.sweeping.with(std::mem::take);
        if sweeping.walk.is_none() && !self.has_jumped(now) {
            return Ok(Swept { finished: true, ..Swept::default() });
        }
        let mut swept = Swept::default();
        let outcome = self.sweep_on(&mut sweeping, now, budget, &mut swept);
        if swept.finished {
            if let Some(clocks) = self.clocks.get() {
                clocks.with(|clocks| *clocks = (now, Instant::now()));
            }
        } else {
            self.sweeping.with(|place| *place = sweeping);
        }
        outcome.map(|()| swept)
    }

    fn sweep_on(
        &self,
        sweeping: &mut Sweeping,
        now: SystemTime,
        budget: usize,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let walk = sweeping.walk.get_or_insert_default();
        while swept.examined < budget {
            if sweeping.keys.is_empty() {
                match self.next_keys(walk)? {
                    Some(keys) => sweeping.keys.extend(keys),
                    None => {
                        swept.finished = true;
                        break;
                    }
                }
            }
            let count = sweeping.keys.len().min(budget - swept.examined);
            let keys: Vec<_> = sweeping.keys.drain(..count).collect();
            swept.examined += count;
            swept.removed += self.remove_expired(&keys, now)?;
        }
        Ok(())
    }

    fn remove_expired(&self, keys: &[StoreKey], now: SystemTime) -> Result<usize, StoreError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let commands: Vec<_> = keys
            .iter()
            .map(|key| {
                let mut look = cmd("GETRANGE");
                look.arg(self.names.record(key).as_slice())
                    .arg(DEADLINE.start)
                    .arg(DEADLINE.end - 1);
                look
            })
            .collect();
        let answers = self.redis.send(&commands).map_err(failed)?;
        let mut removed = 0;
        let now_ms = to_ms(now).to_string();
        for (key, answer) in keys.iter().zip(answers) {
            // What cannot be read is not swept: who knows what it is?
            let Ok(Some(found)) = bytes(answer) else { continue };
            let deadline = found.try_into().ok().map(u64::from_be_bytes).and_then(from_ms);
            if deadline.is_some_and(|deadline| deadline <= now) {
                let name = self.names.record(key);
                let args = [now_ms.as_bytes()];
                let answer = self.redis.script(&self.scripts.sweep, &[&name], &args);
                removed += usize::from(number(answer)? == 1);
            }
        }
        Ok(removed)
    }
}
