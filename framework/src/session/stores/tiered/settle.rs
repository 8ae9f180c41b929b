//! Waiting until no server gives out what was ended.
//!
//! The end is written down in redis first; who keeps copies reads it with its next beat, before it
//! may use its memory any longer. So after the longest lease that a listed node can have, all is
//! well, whatever became of messages. A message asks everybody to drop the record at once, and
//! when all have said that they did, nobody has to wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::super::redis::{News, list_of};
use super::Node;
use super::scripts::KEPT_MS;
use crate::runtime;
use crate::runtime::sync::Semaphore;
use crate::session::{SessionStore, StoreError, StoreKey};

/// Clocks that count time at different speeds: a tenth, and a tick.
fn with_margin(lease: Duration) -> Duration {
    lease + lease / 10 + Duration::from_millis(5)
}

/// Those who wait for acknowledgements, by the number of their question.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: HashMap<u64, Waiter>,
}

#[derive(Debug)]
struct Waiter {
    /// Nodes that have not answered.
    missing: Vec<u64>,
    all_answered: Arc<Semaphore>,
}

impl Waiters {
    pub(super) fn acknowledged(&mut self, number: u64, node: u64) {
        let Some(waiter) = self.waiting.get_mut(&number) else { return };
        waiter.missing.retain(|missing| *missing != node);
        if waiter.missing.is_empty() {
            waiter.all_answered.give_back();
        }
    }
}

/// Another node that keeps copies.
struct Other {
    id: u64,
    lease: Duration,
}

impl Node {
    pub(super) fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        let replicated = self.redis.settle(key);
        match self.write_down(key) {
            Ok(others) => self.have_dropped(key, &others),
            Err(error) => {
                // Nobody can be asked, but whoever has a lease from now on has heard of the swap.
                runtime::sleep(with_margin(self.lease.length()));
                return Err(error);
            }
        }
        replicated
    }

    /// Comes back when the others have dropped their copies, or have no lease from before.
    fn have_dropped(&self, key: &StoreKey, others: &[Other]) {
        let Some(longest) = others.iter().map(|other| other.lease).max() else { return };
        let until = Instant::now() + with_margin(longest);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let all_answered = Arc::new(Semaphore::new(0));
        let waiter = Waiter {
            missing: others.iter().map(|other| other.id).collect(),
            all_answered: Arc::clone(&all_answered),
        };
        self.waiters.with(|waiters| waiters.waiting.insert(number, waiter));
        let news = News::Settle { number, asker: self.id }.encode(key);
        let channel = self.redis.names().news();
        // If it does not go out, the lease decides.
        self.redis.redis().ask(&cmd("PUBLISH").arg(channel).arg(&news).take()).ok();
        let left = until.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            // Answered by all, or no lease is left from before.
            let _ = all_answered.take_timeout(left);
        }
        self.waiters.with(|waiters| waiters.waiting.remove(&number));
    }

    /// Writes the end down and gives the other nodes that keep copies.
    fn write_down(&self, key: &StoreKey) -> Result<Vec<Other>, StoreError> {
        let mut member = vec![b'e'];
        member.extend(key.as_bytes());
        let kept = KEPT_MS.to_string();
        let nodes = self.redis.names().nodes();
        let args = [member.as_slice(), kept.as_bytes()];
        let script = &self.scripts.end;
        let answer = list_of(self.redis.redis().script(script, &[nodes.as_bytes()], &args))?;
        let other = |value: &Value| match value {
            Value::BulkString(member) => other(member),
            _ => None,
        };
        Ok(answer.iter().filter_map(other).filter(|other| other.id != self.id).collect())
    }
}

/// `n`, 16 hex digits, the lease in ms.
fn other(member: &[u8]) -> Option<Other> {
    let text = std::str::from_utf8(member.strip_prefix(b"n")?).ok()?;
    let (id, lease_ms) = text.split_at_checked(16)?;
    Some(Other {
        id: u64::from_str_radix(id, 16).ok()?,
        lease: Duration::from_millis(lease_ms.parse().ok()?),
    })
}
