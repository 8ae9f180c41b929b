//! Keeps jobs on the blocking pool from asking the store: a job that waits for a session on its
//! pool thread, while the session's holder waits for a pool thread, would wait for ever.
//!
//! And it is the boundary at which a store's panic becomes an answer that is lost: whether the call
//! was carried out is as unknown, and finding that out is the manager's trade. Unwinding through a
//! change of id would leave the client with neither session.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::store::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};
use crate::runtime::{catch_panic, is_on_pool};

/// Why a job is refused, so that the manager tells it from a store that refuses.
#[derive(Debug)]
pub(super) struct OnPool;

impl fmt::Display for OnPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job on the blocking pool cannot ask the session store")
    }
}

impl StdError for OnPool {}

/// The store as the manager sees it.
pub(super) struct OffPool(pub(super) Arc<dyn SessionStore>);

impl OffPool {
    fn ask<T>(
        &self,
        question: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if is_on_pool() {
            return Err(StoreError::refused(OnPool));
        }
        catch_panic(|| question(&*self.0)).unwrap_or_else(|panic| {
            Err(StoreError::unavailable(format!("the session store panicked: {panic}")))
        })
    }
}

impl SessionStore for OffPool {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        self.ask(|store| store.load(key, now))
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.ask(|store| store.load_many(keys, now))
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        self.ask(|store| store.swap(key, expected, new, now))
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.ask(|store| store.touch(key, version, renewed, now))
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.ask(|store| store.remove(key))
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.ask(|store| store.sweep(now, budget))
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.ask(|store| store.list(after, limit, now))
    }

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.ask(|store| store.settle(key))
    }

    fn forget(&self, key: &StoreKey) {
        self.0.forget(key);
    }

    fn watch(&self, listener: Arc<dyn ChangeListener>) -> bool {
        self.0.watch(listener)
    }

    fn follow(&self, key: &StoreKey, is_followed: bool) {
        self.0.follow(key, is_followed);
    }
}
