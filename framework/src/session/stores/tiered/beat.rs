//! Beats: a few times in each lease this node says that it keeps copies, hears what was ended
//! meanwhile, and sends itself a message through redis. When that comes back, whatever was
//! published before it has come as well, and memory may be used.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use redis::{Cmd, Value, cmd};

use super::super::redis::list_of;
use super::Node;
use super::scripts::KEPT_MS;
use crate::runtime::{Kept, spawn_alone};
use crate::session::{StoreError, StoreKey};

/// Beats in one lease.
const BEATS: u32 = 4;

/// A node is believed to be there for so many leases after its last beat.
const BELIEVED: u128 = 4;

/// What a node tells itself or another on its channel: a kind, a number (8 bytes) and, in an
/// acknowledgement, who it is from (8 bytes).
const BEAT: u8 = b'b';
const DROPPED: u8 = b'd';

#[derive(Debug, Default)]
pub(super) struct Beats {
    last: Option<Instant>,
    is_under_way: bool,
    /// When redis heard the last one, by its own clock in ms.
    since_ms: Option<i64>,
}

/// What redis answered to a beat.
struct Heard {
    now_ms: i64,
    is_new: bool,
    ends: Vec<StoreKey>,
}

impl Kept for Node {
    fn look_after(self: Arc<Self>) {
        let pause = self.lease.length() / BEATS;
        let is_due = self.beats.with(|beats| {
            let is_due =
                !beats.is_under_way && beats.last.is_none_or(|last| last.elapsed() >= pause);
            if is_due {
                (beats.is_under_way, beats.last) = (true, Some(Instant::now()));
            }
            is_due
        });
        if !is_due {
            return;
        }
        let node = Arc::clone(&self);
        let started = spawn_alone(move || {
            // A beat that fails gives no lease; why, the connections say themselves.
            node.beat().ok();
            node.beats.with(|beats| beats.is_under_way = false);
        });
        if started.is_err() {
            self.beats.with(|beats| beats.is_under_way = false);
        }
    }
}

impl Node {
    fn beat(&self) -> Result<(), StoreError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let Some(beat) = self.lease.begin(number) else { return Ok(()) };
        self.cache.pass_time(Instant::now());
        let since_ms = self.beats.with(|beats| beats.since_ms);
        let heard = self.say_hello(since_ms)?;
        let is_continued = since_ms.is_some_and(|since_ms| {
            let passed = heard.now_ms.checked_sub(since_ms).and_then(|ms| u64::try_from(ms).ok());
            !heard.is_new && passed.is_some_and(|passed| passed < KEPT_MS / 2)
        });
        if is_continued {
            heard.ends.iter().for_each(|key| self.cache.drop(key));
        } else {
            // What was ended since then may not have been told.
            self.cache.flush();
        }
        self.beats.with(|beats| beats.since_ms = Some(heard.now_ms));
        let nodes = self.redis.redis().nodes().map_err(StoreError::unavailable)?;
        self.lease.expect(beat, nodes.len());
        let publish = [self.words(self.id, BEAT, number)];
        for node in nodes {
            node.send(&publish).map_err(StoreError::unavailable)?;
        }
        Ok(())
    }

    /// Has this node listed.
    fn say_hello(&self, since_ms: Option<i64>) -> Result<Heard, StoreError> {
        let lease_ms = self.lease.length().as_millis();
        let member = format!("n{:016x}{lease_ms}", self.id);
        let believed = (lease_ms * BELIEVED).to_string();
        let since = since_ms.map(|ms| ms.to_string()).unwrap_or_default();
        let kept = KEPT_MS.to_string();
        let args = [member.as_bytes(), believed.as_bytes(), since.as_bytes(), kept.as_bytes()];
        let nodes = self.redis.names().nodes();
        let script = &self.scripts.beat;
        let answer = list_of(self.redis.redis().script(script, &[nodes.as_bytes()], &args))?;
        let [Value::Int(now_ms), Value::Int(new), Value::Array(ends)] = answer.as_slice() else {
            return Err(StoreError::unavailable("redis answered a beat with something else"));
        };
        let end = |value: &Value| match value {
            Value::BulkString(member) => {
                let bytes = member.strip_prefix(b"e")?.try_into().ok()?;
                Some(StoreKey::from_bytes(bytes))
            }
            _ => None,
        };
        Ok(Heard {
            now_ms: *now_ms,
            is_new: *new == 1,
            ends: ends.iter().filter_map(end).collect(),
        })
    }

    /// The command that tells `node` something on its channel.
    fn words(&self, node: u64, kind: u8, number: u64) -> Cmd {
        let mut words = vec![kind];
        words.extend(number.to_be_bytes());
        words.extend(self.id.to_be_bytes());
        cmd("PUBLISH").arg(self.redis.names().node(node)).arg(words).take()
    }

    /// Tells `asker` that a record was dropped. The reader of the news does not wait for it.
    pub(super) fn acknowledge(self: &Arc<Self>, number: u64, asker: u64) {
        let node = Arc::clone(self);
        // Without it the asker waits until our lease has run out.
        let publish = self.words(asker, DROPPED, number);
        spawn_alone(move || drop(node.redis.redis().ask(&publish))).ok();
    }

    /// Something came on this node's own channel.
    pub(super) fn told(&self, words: &[u8]) {
        let Some((kind, rest)) = words.split_first() else { return };
        let Some((number, who)) = rest.split_first_chunk() else { return };
        let Ok(who) = <[u8; 8]>::try_from(who) else { return };
        let (number, who) = (u64::from_be_bytes(*number), u64::from_be_bytes(who));
        match *kind {
            BEAT if who == self.id => self.lease.came_back(number, || self.cache.flush()),
            DROPPED => self.waiters.with(|waiters| waiters.acknowledged(number, who)),
            _ => {}
        }
    }
}
