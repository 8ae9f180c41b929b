//! The store as the manager sees it: whatever this process stores is told to who watches it. Being
//! a store it sees every commit, whichever way it came.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::store::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};
use super::Watchers;

pub(in super::super) struct Telling {
    pub(in super::super) store: Arc<dyn SessionStore>,
    pub(in super::super) watchers: Arc<Watchers>,
}

impl SessionStore for Telling {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        self.store.load(key, now)
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.store.load_many(keys, now)
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        let swapped = self.store.swap(key, expected, new, now);
        match &swapped {
            Ok(Swap::Done) => self.watchers.told(key, new),
            // It may have been applied all the same.
            Err(StoreError::Unavailable(_)) => self.watchers.doubt(key),
            Ok(Swap::Conflict | Swap::Missing) | Err(_) => {}
        }
        swapped
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.store.touch(key, version, renewed, now)
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let removed = self.store.remove(key);
        self.watchers.doubt(key);
        removed
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.store.sweep(now, budget)
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.store.list(after, limit, now)
    }

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.store.settle(key)
    }

    fn forget(&self, key: &StoreKey) {
        self.store.forget(key);
    }

    fn watch(&self, listener: Arc<dyn ChangeListener>) -> bool {
        self.store.watch(listener)
    }

    fn follow(&self, key: &StoreKey, is_followed: bool) {
        self.store.follow(key, is_followed);
    }
}
