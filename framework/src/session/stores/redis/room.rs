//! How many sessions there may be, and who makes room for others.

use std::cmp::Reverse;
use std::time::{Duration, Instant, SystemTime};

use redis::cmd;

use super::RedisStore;
use super::answers::{bytes, failed, number};
use super::header::{self, HEADER_BYTES};
use super::news::News;
use super::start::used_of;
use super::walk::Walk;
use crate::session::{StoreError, StoreKey};

/// Redis is asked how much memory it uses at most so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Steps of a walk on which somebody to evict is looked for.
const MAX_STEPS: usize = 4;

/// When there was nobody, others need not look for so long.
const FRUITLESS: Duration = Duration::from_millis(100);

/// So many go at once, since looking for them costs most.
const MAX_EVICTED: usize = 32;

/// Evicted by nobody in particular, so that everybody drops his copy.
const NOBODY: u64 = 0;

/// What is known of the room there is.
#[derive(Debug, Default)]
pub(super) struct Room {
    looked: Option<Instant>,
    used_bytes: u64,
    walk: Walk,
    fruitless: Option<Instant>,
}

impl RedisStore {
    /// With how many keys a server is full; `None` if it uses as much memory as it may.
    pub(super) fn room(&self) -> Result<Option<u64>, StoreError> {
        if self.used_bytes()? >= self.options.max_total_bytes {
            return Ok(None);
        }
        let masters = self.redis.nodes().map_err(failed)?.len().max(1) as u64;
        Ok(Some(self.options.max_sessions.div_ceil(masters)))
    }

    /// The memory used by all servers, as of the last second.
    fn used_bytes(&self) -> Result<u64, StoreError> {
        let known = self.room.with(|room| {
            let is_known = room.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY);
            // The others use what was known before, and do not ask as well.
            room.looked = if is_known { room.looked } else { Some(Instant::now()) };
            is_known.then_some(room.used_bytes)
        });
        if let Some(used) = known {
            return Ok(used);
        }
        let mut used = 0;
        for node in self.redis.nodes().map_err(failed)? {
            let answers = node.send(&[cmd("INFO").arg("memory").take()]).map_err(failed)?;
            for answer in answers {
                // A user who may not ask has no such limit; the start has told so.
                let info = bytes(answer).ok().flatten().unwrap_or_default();
                used += used_of(&String::from_utf8_lossy(&info));
            }
        }
        self.room.with(|room| room.used_bytes = used);
        Ok(used)
    }

    /// Evicts some of those who were here once and did not come back. False if there is nobody.
    pub(super) fn make_room(&self, now: SystemTime) -> Result<bool, StoreError> {
        let is_fruitless = |at: Instant| at.elapsed() < FRUITLESS;
        let found = self.room.with(|room| {
            (!room.fruitless.is_some_and(is_fruitless)).then(|| std::mem::take(&mut room.walk))
        });
        let Some(mut walk) = found else { return Ok(false) };
        let mut evicted = 0;
        for _ in 0..MAX_STEPS {
            let Some(keys) = self.next_keys(&mut walk)? else {
                walk = Walk::default();
                continue;
            };
            evicted = self.evict_some(&keys, now)?;
            if evicted > 0 {
                break;
            }
        }
        self.room.with(|room| {
            room.walk = walk;
            room.fruitless = (evicted == 0).then(Instant::now);
            // What was freed is known at the next look.
            room.looked = None;
        });
        Ok(evicted > 0)
    }

    fn evict_some(&self, keys: &[StoreKey], now: SystemTime) -> Result<usize, StoreError> {
        let look = |key: &StoreKey| {
            let name = self.names.record(key);
            cmd("GETRANGE").arg(name.as_slice()).arg(0).arg(HEADER_BYTES - 1).take()
        };
        let looks: Vec<_> = keys.iter().map(look).collect();
        let answers = self.redis.send(&looks).map_err(failed)?;
        let mut found: Vec<_> = keys
            .iter()
            .zip(answers)
            .filter_map(|(key, answer)| {
                let header = bytes(answer).ok().flatten()?;
                header::evictable_since(&header, now).map(|since| (since, header, key))
            })
            .collect();
        found.sort_unstable_by_key(|(since, ..)| Reverse(*since));
        let mut evicted = 0;
        while let Some((_, header, key)) = found.pop().filter(|_| evicted < MAX_EVICTED) {
            let news = News::Removed { writer: NOBODY }.encode(key);
            let name = self.names.record(key);
            let answer = self.redis.script(&self.scripts.evict, &[&name], &[&header, &news]);
            if number(answer)? == 1 {
                evicted += 1;
                log::info!(
                    target: "maypole::session", session = key.short().as_str();
                    "session store full: evicted a session seen once"
                );
            }
        }
        Ok(evicted)
    }
}
