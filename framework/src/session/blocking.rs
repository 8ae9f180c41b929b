//! A store made of blocking calls, moved off the workers.

use std::sync::Arc;
use std::time::SystemTime;

use super::store::{
    Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch,
};
use crate::runtime;

/// Makes a store whose methods block the thread (files, a database client) fit for coroutines:
/// each call runs on the blocking pool while the calling coroutine is parked.
///
/// Outside a coroutine the call runs where it is. When the pool's queue is full the call fails
/// with [`StoreError::Unavailable`] without having run.
#[derive(Debug)]
pub struct Blocking<S> {
    store: Arc<S>,
}

impl<S: SessionStore> Blocking<S> {
    /// Wraps `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store) }
    }

    /// Wraps a store that others use as well.
    #[must_use]
    pub fn shared(store: Arc<S>) -> Self {
        Self { store }
    }

    /// The store within, whose methods block.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.store
    }

    fn on_pool<T: Send + 'static>(
        &self,
        call: impl FnOnce(&S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        runtime::offload(move || call(&store))
            .unwrap_or_else(|error| Err(StoreError::unavailable(error.chain())))
    }
}

impl<S: SessionStore> SessionStore for Blocking<S> {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        let key = *key;
        self.on_pool(move |store| store.load(&key, now))
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        let keys = keys.to_vec();
        self.on_pool(move |store| store.load_many(&keys, now))
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        let (key, new) = (*key, new.clone());
        self.on_pool(move |store| store.swap(&key, expected, &new, now))
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        let key = *key;
        self.on_pool(move |store| store.touch(&key, version, renewed, now))
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let key = *key;
        self.on_pool(move |store| store.remove(&key))
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.on_pool(move |store| store.sweep(now, budget))
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let after = after.copied();
        self.on_pool(move |store| store.list(after.as_ref(), limit, now))
    }
}
