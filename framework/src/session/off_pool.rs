//! Keeps jobs on the blocking pool from asking the store: a job that waits for a session on its
//! pool thread, while the session's holder waits for a pool thread, would wait for ever.

use std::sync::Arc;
use std::time::SystemTime;

use super::store::{
    Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch,
};
use crate::runtime::is_on_pool;

/// The store as the manager sees it.
pub(super) struct OffPool(pub(super) Arc<dyn SessionStore>);

impl OffPool {
    fn store(&self) -> Result<&dyn SessionStore, StoreError> {
        if is_on_pool() {
            let what = "a job on the blocking pool cannot ask the session store; use the session \
                        before or after it";
            return Err(StoreError::unavailable(what));
        }
        Ok(&*self.0)
    }
}

impl SessionStore for OffPool {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        self.store()?.load(key, now)
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.store()?.load_many(keys, now)
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        self.store()?.swap(key, expected, new, now)
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.store()?.touch(key, version, renewed, now)
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.store()?.remove(key)
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.store()?.sweep(now, budget)
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.store()?.list(after, limit, now)
    }
}
