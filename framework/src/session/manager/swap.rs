//! The loop around the pure merge: swap, and when another writer was faster, load, merge, swap.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::queue::Turn;
use super::super::record::{Entry, Record};
use super::super::state::Base;
use super::super::store::{Expected, Stored, Swap};
use super::super::version::next_version;
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
                let next = self.next(current, record, now);
                let stored = next.stored();
                let expected = Expected::Version(current.version);
                match self.store.swap(&current.key, expected, &stored, now) {
                    Ok(Swap::Done) => {
                        if next.key == base.key {
                            turn.leave(stored);
                        }
                        return Ok(Swapped::Stored(next));
                    }
                    Ok(Swap::Missing) => return Ok(Swapped::Gone),
                    Ok(Swap::Conflict) => race.lost()?,
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

    /// The next state of a stored session: one version on, its times renewed if that is due.
    pub(super) fn next(&self, current: &Base, record: Record, now: SystemTime) -> Arc<Base> {
        let times = |record: &Record| (record.idle, record.absolute, record.user.is_some());
        let is_renewed =
            self.is_renewal_due(current, now) || times(&record) != times(&current.record);
        Arc::new(Base {
            id: current.id.clone(),
            key: current.key,
            version: next_version(current.version),
            deadline: if is_renewed { record.deadline(now) } else { current.deadline },
            last_seen: if is_renewed { now } else { current.last_seen },
            evictable: current.evictable && current.is_new && record.user.is_none(),
            is_new: current.is_new,
            record,
        })
    }

    pub(super) fn is_renewal_due(&self, base: &Base, now: SystemTime) -> bool {
        let is_back = base.evictable && !base.is_new && self.settings.first_lifetime.is_some();
        let since = now.duration_since(base.last_seen).unwrap_or_default();
        is_back || base.record.pending.is_some() || since >= self.settings.touch_every
    }
}
