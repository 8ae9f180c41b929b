//! A store made of blocking calls, moved off the workers.

use std::sync::Arc;
use std::time::SystemTime;

use super::store::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};
use crate::runtime;

/// Makes a store whose methods block the thread (files, a database client) fit for coroutines:
/// each call runs on the blocking pool while the calling coroutine is parked, except a load that the
/// store can answer [at once](SessionStore::load_now).
///
/// Outside a coroutine the call runs where it is. When the pool's queue is full the call fails
/// with [`StoreError::Refused`] without having run.
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
            .unwrap_or_else(|error| Err(StoreError::refused(error.chain())))
    }
}

impl<S: SessionStore> SessionStore for Blocking<S> {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        if let Some(found) = self.store.load_now(key, now) {
            return found;
        }
        let key = *key;
        self.on_pool(move |store| store.load(&key, now))
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        let found: Option<Result<_, _>> =
            keys.iter().map(|key| self.store.load_now(key, now)).collect();
        if let Some(found) = found {
            return found;
        }
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
        // The copy comes back, to be freed on the thread that made it: the allocator is slow with
        // memory that always goes from one thread to another.
        let (swapped, _) =
            self.on_pool(move |store| Ok((store.swap(&key, expected, &new, now), new)))?;
        swapped
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

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        let key = *key;
        self.on_pool(move |store| store.settle(&key))
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
