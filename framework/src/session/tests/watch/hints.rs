//! A store that tells its node of what other nodes store: what redis does, without redis.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::super::memory::MemoryStore;
use crate::runtime::sync::ShortLock;
use crate::session::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};

/// What connects the nodes.
#[derive(Default)]
pub(super) struct Bus {
    nodes: ShortLock<BTreeMap<usize, Ear>>,
}

#[derive(Default)]
struct Ear {
    listener: Option<Arc<dyn ChangeListener>>,
    followed: BTreeSet<StoreKey>,
    is_cut: bool,
}

impl Bus {
    /// From now on nothing reaches this node.
    pub(super) fn cut(&self, node: usize) {
        self.nodes.with(|nodes| nodes.entry(node).or_default().is_cut = true);
    }

    /// The connection is back.
    pub(super) fn mend(&self, node: usize) {
        let listener = self.nodes.with(|nodes| {
            let ear = nodes.entry(node).or_default();
            ear.is_cut = false;
            ear.listener.clone()
        });
        listener.unwrap().missed();
    }

    /// How many keys a node follows.
    pub(super) fn followed(&self, node: usize) -> usize {
        self.nodes.with(|nodes| nodes[&node].followed.len())
    }

    fn tell(&self, key: &StoreKey, version: u64) {
        let listeners: Vec<_> = self.nodes.with(|nodes| {
            let hears = |ear: &&Ear| !ear.is_cut && ear.followed.contains(key);
            nodes.values().filter(hears).filter_map(|ear| ear.listener.clone()).collect()
        });
        listeners.iter().for_each(|listener| listener.changed(key, version));
    }
}

pub(super) struct Hinting {
    pub(super) inner: Arc<MemoryStore>,
    pub(super) bus: Arc<Bus>,
    pub(super) node: usize,
}

impl SessionStore for Hinting {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        self.inner.load(key, now)
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.inner.load_many(keys, now)
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        let swap = self.inner.swap(key, expected, new, now)?;
        if swap == Swap::Done {
            self.bus.tell(key, new.version);
        }
        Ok(swap)
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.inner.touch(key, version, renewed, now)
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.inner.remove(key)
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.inner.sweep(now, budget)
    }

    fn watch(&self, listener: Arc<dyn ChangeListener>) -> bool {
        self.bus.nodes.with(|nodes| nodes.entry(self.node).or_default().listener = Some(listener));
        true
    }

    fn follow(&self, key: &StoreKey, is_followed: bool) {
        self.bus.nodes.with(|nodes| {
            let followed = &mut nodes.entry(self.node).or_default().followed;
            let is_news = if is_followed { followed.insert(*key) } else { followed.remove(key) };
            assert!(is_news, "following and leaving alternate");
        });
    }
}
