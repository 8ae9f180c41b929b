//! A store that counts its calls, fails on demand, and lets a test step in before a swap. It keeps its
//! records in memory, or in the store on which the running test is tried.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use super::stores::Kept;

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
    /// It is applied when the next swap comes, and the caller does not know.
    Late,
    /// It is not applied, and the caller knows.
    Refused,
    /// The store has no room.
    Full,
}

type Step = Box<dyn FnOnce() + Send>;

#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    kept: Kept,
    log: Log,
    faults: Faults,
    steps: Steps,
    load_steps: Steps,
    late: Late,
    moods: Moods,
}

/// The records of a test that names no other store.
#[derive(Debug)]
pub(super) struct Records(ShortLock<BTreeMap<StoreKey, Stored>>);
#[derive(Debug)]
struct Log(ShortLock<Vec<&'static str>>);
#[derive(Debug)]
struct Faults(ShortLock<(VecDeque<Fault>, bool)>);
#[derive(Debug)]
struct Late(ShortLock<Option<(StoreKey, Expected, Stored)>>);
#[derive(Debug)]
struct Steps(ShortLock<VecDeque<Option<Step>>>);

/// Whether settling fails, and whether newcomers are refused.
#[derive(Debug)]
struct Moods(ShortLock<(bool, bool)>);

macro_rules! empty {
    ($($name:ident),*) => {$(
        impl Default for $name {
            fn default() -> Self {
                Self(ShortLock::new(Default::default()))
            }
        }
    )*};
}
empty!(Records, Log, Faults, Steps, Late, Moods);

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

    /// Whether settling fails.
    pub(super) fn break_settling(&self, broken: bool) {
        self.moods.0.with(|(is_broken, _)| *is_broken = broken);
    }

    /// Whether there is room for nobody who is new, as in a full store.
    pub(super) fn refuse_newcomers(&self, refuses: bool) {
        self.moods.0.with(|(_, is_full)| *is_full = refuses);
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

    /// All records, expired ones too.
    pub(super) fn records(&self) -> Vec<(StoreKey, Stored)> {
        self.kept.store().list(None, usize::MAX, SystemTime::UNIX_EPOCH).unwrap()
    }

    pub(super) fn forget(&self, key: &StoreKey) {
        self.kept.store().remove(key).unwrap();
    }

    /// Puts a record there, whatever was there.
    pub(super) fn put(&self, key: StoreKey, stored: &Stored) {
        self.forget(&key);
        let (store, then) = (self.kept.store(), SystemTime::UNIX_EPOCH);
        assert_eq!(store.swap(&key, Expected::Absent, stored, then).unwrap(), Swap::Done);
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
        self.kept.store().load(key, now)
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
        if let Expected::Version(version) = expected {
            assert!(new.version > version, "versions grow");
        }
        if let Some((key, expected, late)) = self.late.0.with(Option::take) {
            self.kept.store().swap(&key, expected, &late, now).map(drop).ok();
        }
        let fault = self.faults.0.with(|(queue, _)| queue.pop_front()).unwrap_or(Fault::Fine);
        if expected == Expected::Absent && new.evictable && self.moods.0.with(|(_, full)| *full) {
            return Err(StoreError::Full);
        }
        match fault {
            Fault::Lost => Err(lost()),
            Fault::Conflict => Ok(Swap::Conflict),
            Fault::Late => {
                self.late.0.with(|late| *late = Some((*key, expected, new.clone())));
                Err(lost())
            }
            Fault::Refused => Err(StoreError::refused("not now")),
            Fault::Full => Err(StoreError::Full),
            Fault::Fine => self.kept.store().swap(key, expected, new, now),
            Fault::AnswerLost => {
                self.kept.store().swap(key, expected, new, now).map(drop).ok();
                Err(lost())
            }
        }
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.called("touch");
        self.kept.store().touch(key, version, renewed, now)
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.called("remove");
        self.kept.store().remove(key)
    }

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        if self.moods.0.with(|(is_broken, _)| *is_broken) {
            return Err(lost());
        }
        self.kept.store().settle(key)
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.kept.store().sweep(now, budget)
    }
}

impl SessionStore for Records {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        let found = self.0.with(|records| records.get(key).cloned());
        Ok(found.filter(|stored| stored.deadline > now))
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        Ok(self.0.with(|records| {
            let found = records.get(key).filter(|stored| stored.deadline > now);
            let swap = match (expected, found) {
                (Expected::Absent, None) => Swap::Done,
                (Expected::Version(version), Some(found)) if found.version == version => Swap::Done,
                (Expected::Absent | Expected::Version(_), Some(_)) => Swap::Conflict,
                (Expected::Version(_), None) => Swap::Missing,
            };
            if swap == Swap::Done {
                records.insert(*key, new.clone());
            }
            swap
        }))
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        Ok(self.0.with(|records| {
            let found = records.get_mut(key).filter(|stored| stored.deadline > now);
            match found.filter(|stored| stored.version == version) {
                Some(stored) => {
                    stored.deadline = renewed.deadline;
                    stored.last_seen = renewed.last_seen;
                    stored.evictable &= renewed.evictable;
                    Touch::Done
                }
                None => Touch::Stale,
            }
        }))
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        Ok(self.0.with(|records| records.remove(key).is_some()))
    }

    fn sweep(&self, _now: SystemTime, _budget: usize) -> Result<Swept, StoreError> {
        Ok(Swept { finished: true, ..Swept::default() })
    }

    fn list(
        &self,
        _after: Option<&StoreKey>,
        _limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let records: Vec<_> =
            self.0.with(|records| records.iter().map(|(k, v)| (*k, v.clone())).collect());
        Ok(records.into_iter().filter(|(_, stored)| stored.deadline > now).collect())
    }
}
