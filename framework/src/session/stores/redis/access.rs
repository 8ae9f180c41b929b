//! The store's methods on one record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::super::millis::to_ms;
use super::RedisStore;
use super::answers::{bytes, failed, number};
use super::header;
use super::news::News;
use super::scripts::{SWAP_CONFLICT, SWAP_DONE, SWAP_FULL, SWAP_MISSING, SWAP_NO_ROOM, Wanted};
use crate::redis::{Answer, EachKey, RedisError};
use crate::session::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};

/// What redis says when a key holds no string.
const WRONG_TYPE: &str = "WRONGTYPE";

impl SessionStore for RedisStore {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        let answer = self.redis.get(&self.names.record(key));
        Ok(self.read(key, answer)?.filter(|found| found.deadline > now))
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<_> = keys.iter().map(|key| self.names.record(key)).collect();
        let answers = self.redis.get_many(&names).map_err(failed)?;
        let found = keys
            .iter()
            .zip(answers)
            .map(|(key, answer)| Ok(self.read(key, answer)?.filter(|found| found.deadline > now)));
        found.collect()
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        self.see_clock(now);
        let wanted = Wanted { expected, new, now, room: u64::MAX };
        if expected == Expected::Absent && new.evictable {
            return self.create(key, &wanted);
        }
        self.try_swap(key, &wanted)?.ok_or(StoreError::Full)
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        let kept = header::kept_ms(renewed.deadline, now).to_string();
        let now_ms = to_ms(now).to_string();
        let (version, renewal) = (version.to_be_bytes(), header::renewal(renewed));
        let args: [&[u8]; 4] = [&version, &renewal, kept.as_bytes(), now_ms.as_bytes()];
        let name = self.names.record(key);
        let answer = self.redis.script(&self.scripts.touch, &[&name], &args);
        Ok(if number(answer)? == 1 { Touch::Done } else { Touch::Stale })
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let news = News::Removed { writer: self.writer() }.encode(key);
        let name = self.names.record(key);
        let answer = self.redis.script(&self.scripts.remove, &[&name], &[&news]);
        if matches!(&answer, Err(error) if error.is_unknown_outcome()) {
            self.change_writer();
        }
        Ok(number(answer)? == 1)
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.sweep_step(now, budget)
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.list_page(after, limit, now)
    }

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.settle_replicas(key)
    }

    fn watch(&self, listener: Arc<dyn ChangeListener>) -> bool {
        self.start_watching(listener);
        true
    }

    fn follow(&self, key: &StoreKey, is_followed: bool) {
        self.follow_record(key, is_followed);
    }
}

impl RedisStore {
    /// `None` if there are as many keys as there may be, and one more would be needed.
    pub(super) fn try_swap(
        &self,
        key: &StoreKey,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Swap>, StoreError> {
        let Wanted { expected, new, .. } = *wanted;
        let is_created = expected == Expected::Absent;
        let news = News::Changed { version: new.version, writer: self.writer(), is_created };
        let answer = self.redis.each(&EachKey {
            script: &self.scripts.swap,
            key: &self.names.record(key),
            args: &[&[&wanted.beginning()], &[&header::encode(new), &new.bytes]],
            shared: &[&wanted.bounds(), &news.encode(key)],
        });
        if matches!(&answer, Err(error) if error.is_unknown_outcome()) {
            self.change_writer();
        }
        match number(answer)? {
            SWAP_DONE => self.replicate(key).map(|()| Some(Swap::Done)),
            SWAP_CONFLICT => Ok(Some(Swap::Conflict)),
            SWAP_MISSING => Ok(Some(Swap::Missing)),
            SWAP_NO_ROOM => Ok(None),
            SWAP_FULL if is_created => Err(StoreError::Full),
            SWAP_FULL => Err(failed(RedisError::OutOfMemory)),
            other => Err(StoreError::unavailable(format!("redis answered {other} to a swap"))),
        }
    }

    /// The record in an answer. What is none of ours is absent, with one warning.
    fn read(&self, key: &StoreKey, answer: Answer) -> Result<Option<Stored>, StoreError> {
        let value = match answer {
            Err(RedisError::Server(text)) if text.starts_with(WRONG_TYPE) => Some(Vec::new()),
            answer => bytes(answer)?,
        };
        let Some(value) = value else { return Ok(None) };
        let found = header::decode(value);
        if found.is_none() && !self.has_warned.swap(true, Ordering::Relaxed) {
            log::warn!(
                target: "maypole::session", session = key.short().as_str();
                "what redis holds under the key of a session is no record; it counts as absent \
                 (said once)"
            );
        }
        Ok(found)
    }
}
