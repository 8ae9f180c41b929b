//! A store in memory that counts its calls, fails on demand, and lets a test step in before a swap.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use crate::runtime::sync::ShortLock;
use crate::session::{
    Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch,
};

/// What goes wrong with a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    Fine,
    /// It is not applied, and the caller does not know.
    Lost,
    /// It is applied, and the caller does not know.
    AnswerLost,
    /// Another writer is always faster.
    Conflict,
    /// The store has no room.
    Full,
}

type Step = Box<dyn FnOnce() + Send>;

#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    records: ShortLockMap,
    log: Log,
    faults: Faults,
    steps: Steps,
    load_steps: Steps,
}

#[derive(Debug)]
struct ShortLockMap(ShortLock<BTreeMap<StoreKey, Stored>>);
#[derive(Debug)]
struct Log(ShortLock<Vec<&'static str>>);
#[derive(Debug)]
struct Faults(ShortLock<(VecDeque<Fault>, bool)>);
#[derive(Debug)]
struct Steps(ShortLock<VecDeque<Option<Step>>>);

macro_rules! empty {
    ($($name:ident),*) => {$(
        impl Default for $name {
            fn default() -> Self {
                Self(ShortLock::new(Default::default()))
            }
        }
    )*};
}
empty!(ShortLockMap, Log, Faults, Steps);

impl MemoryStore {
    /// The names of the calls since the last question.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.log.0.with(std::mem::take)
    }

    /// What happens to the next swaps, one each.
    pub(super) fn swaps_meet(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.0.with(|(queue, _)| queue.extend(faults));
    }

    /// How many faults no swap has met yet.
    pub(super) fn faults_left(&self) -> usize {
        self.faults.0.with(|(queue, _)| queue.len())
    }

    /// Whether loads fail.
    pub(super) fn break_loads(&self, broken: bool) {
        self.faults.0.with(|(_, is_broken)| *is_broken = broken);
    }

    /// Runs `step` before the swap after the next `skip`.
    pub(super) fn before_swap(&self, skip: usize, step: impl FnOnce() + Send + 'static) {
        self.steps.0.with(|steps| {
            (0..skip).for_each(|_| steps.push_back(None));
            steps.push_back(Some(Box::new(step)));
        });
    }

    /// Runs `step` before the load after the next `skip`.
    pub(super) fn before_load(&self, skip: usize, step: impl FnOnce() + Send + 'static) {
        self.load_steps.0.with(|steps| {
            (0..skip).for_each(|_| steps.push_back(None));
            steps.push_back(Some(Box::new(step)));
        });
    }

    pub(super) fn records(&self) -> Vec<(StoreKey, Stored)> {
        self.records.0.with(|records| records.iter().map(|(k, v)| (*k, v.clone())).collect())
    }

    pub(super) fn forget(&self, key: &StoreKey) {
        self.records.0.with(|records| records.remove(key));
    }

    pub(super) fn put(&self, key: StoreKey, stored: Stored) {
        self.records.0.with(|records| records.insert(key, stored));
    }

    fn called(&self, name: &'static str) {
        self.log.0.with(|log| log.push(name));
    }
}

fn lost() -> StoreError {
    StoreError::unavailable("no answer")
}

impl SessionStore for MemoryStore {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        self.called("load");
        if let Some(step) = self.load_steps.0.with(VecDeque::pop_front).flatten() {
            step();
        }
        if self.faults.0.with(|(_, is_broken)| *is_broken) {
            return Err(lost());
        }
        let found = self.records.0.with(|records| records.get(key).cloned());
        Ok(found.filter(|stored| stored.deadline > now))
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.called("load_many");
        keys.iter().map(|key| self.load(key, now)).collect()
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        self.called("swap");
        if let Some(step) = self.steps.0.with(VecDeque::pop_front).flatten() {
            step();
        }
        let fault = self.faults.0.with(|(queue, _)| queue.pop_front()).unwrap_or(Fault::Fine);
        match fault {
            Fault::Lost => return Err(lost()),
            Fault::Conflict => return Ok(Swap::Conflict),
            Fault::Full => return Err(StoreError::Full),
            Fault::Fine | Fault::AnswerLost => {}
        }
        let swap = self.records.0.with(|records| {
            let found = records.get(key).filter(|stored| stored.deadline > now);
            let swap = match (expected, found) {
                (Expected::Absent, None) => Swap::Done,
                (Expected::Version(version), Some(found)) if found.version == version => {
                    assert!(new.version > version, "versions grow");
                    Swap::Done
                }
                (Expected::Absent | Expected::Version(_), Some(_)) => Swap::Conflict,
                (Expected::Version(_), None) => Swap::Missing,
            };
            if swap == Swap::Done {
                records.insert(*key, new.clone());
            }
            swap
        });
        if fault == Fault::AnswerLost { Err(lost()) } else { Ok(swap) }
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.called("touch");
        Ok(self.records.0.with(|records| {
            let found = records.get_mut(key).filter(|stored| stored.deadline > now);
            match found.filter(|stored| stored.version == version) {
                Some(stored) => {
                    stored.deadline = renewed.deadline;
                    stored.last_seen = renewed.last_seen;
                    Touch::Done
                }
                None => Touch::Stale,
            }
        }))
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.called("remove");
        Ok(self.records.0.with(|records| records.remove(key).is_some()))
    }

    fn sweep(&self, _now: SystemTime, _budget: usize) -> Result<Swept, StoreError> {
        Ok(Swept { finished: true, ..Swept::default() })
    }
}
