//! The loop around the pure merge: swap, and when another writer was faster, load, merge, swap.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::queue::Turn;
use super::super::record::{Entry, Record};
use super::super::state::Base;
use super::super::store::{Expected, StoreError, Stored, Swap};
use super::super::version::next_version;
use super::Manager;
use super::load::{Found, Times};
use super::race::Race;
use crate::error::Result;

/// How a loop of swaps ended.
pub(super) enum Swapped {
    Stored(Arc<Base>),
    /// The caller had nothing to do on the state found.
    Stopped(Arc<Base>),
    Gone,
}

/// What one swap came to.
pub(super) enum Tried {
    /// The next state, and what the store holds of it.
    Done(Arc<Base>, Stored),
    Conflict,
    Missing,
}

impl Manager {
    /// Swaps what `make` makes of the stored record until it is in, in turn with other commits of
    /// this process. `make` is told whether it sees the very state that the request loaded.
    pub(super) fn swap_loop(
        &self,
        base: &Arc<Base>,
        token: u64,
        now: SystemTime,
        mut make: impl FnMut(&Base, bool) -> Result<Option<Record>>,
    ) -> Result<Swapped> {
        self.queue.in_turn(&base.key, |turn| {
            let mut race = Race::new(self, base.key);
            let mut newer = self.left_by_other(base, turn, now);
            loop {
                let current = newer.as_ref().unwrap_or(base);
                let Some(record) = make(current, newer.is_none())? else {
                    return Ok(Swapped::Stopped(Arc::clone(current)));
                };
                match self.swap_next(current, record, now) {
                    Ok(Tried::Done(next, stored)) => {
                        if next.key == base.key {
                            turn.leave(stored);
                        }
                        return Ok(Swapped::Stored(next));
                    }
                    Ok(Tried::Missing) => return Ok(Swapped::Gone),
                    Ok(Tried::Conflict) => race.lost()?,
                    Err(error) => race.failed(current.record.tokens.last(), error)?,
                }
                match self.find(&current.id, now)? {
                    Found::Live(found) if found.record.tokens.contains(token) => {
                        // It is there, but the store did not say that it is there for good.
                        self.settle(&found.key)?;
                        return Ok(Swapped::Stored(found));
                    }
                    Found::Live(found) => {
                        race.check_window(&found.record.tokens)?;
                        newer = Some(found);
                    }
                    Found::Dead(_) | Found::Absent => return Ok(Swapped::Gone),
                }
            }
        })
    }

    /// Swaps in `record` as the next state of `current`.
    pub(super) fn swap_next(
        &self,
        current: &Base,
        record: Record,
        now: SystemTime,
    ) -> Result<Tried, StoreError> {
        let times = self.next(current, &record, now);
        let stored = times.stored(&record);
        let expected = Expected::Version(current.version);
        Ok(match self.store.swap(&current.key, expected, &stored, now)? {
            // Not made before: its block would wait with the request.
            Swap::Done => Tried::Done(times.base(current.id.clone(), current.key, record), stored),
            Swap::Conflict => Tried::Conflict,
            Swap::Missing => Tried::Missing,
        })
    }

    /// The state that the commit before left in the queue, if it is newer than `base`.
    fn left_by_other(
        &self,
        base: &Base,
        turn: &mut Turn<'_>,
        now: SystemTime,
    ) -> Option<Arc<Base>> {
        let left: Stored = turn.left().filter(|left| left.version > base.version)?;
        let times = Times::of(&left);
        let Entry::Session(record) = self.read(&base.key, left, now)? else { return None };
        Some(times.base(base.id.clone(), base.key, record))
    }

    /// The times of the next state of a stored session: one version on, renewed if that is due.
    pub(super) fn next(&self, current: &Base, record: &Record, now: SystemTime) -> Times {
        let times = |record: &Record| (record.idle, record.absolute, record.user.is_some());
        let is_renewed =
            self.is_renewal_due(current, now) || times(record) != times(&current.record);
        Times {
            version: next_version(current.version),
            deadline: if is_renewed { record.deadline(now) } else { current.deadline },
            last_seen: if is_renewed { now } else { current.last_seen },
            evictable: current.evictable && current.is_new && record.user.is_none(),
            is_new: current.is_new,
        }
    }

    pub(super) fn is_renewal_due(&self, base: &Base, now: SystemTime) -> bool {
        let is_back = base.evictable && !base.is_new && self.settings.first_lifetime.is_some();
        let since = now.duration_since(base.last_seen).unwrap_or_default();
        is_back || base.record.pending.is_some() || since >= self.settings.touch_every
    }
}
