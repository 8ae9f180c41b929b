//! Which sessions are watched on this node, under all keys that matter to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::store::{SessionStore, StoreKey};
use super::watched::{Seen, Watched};

/// Watched sessions by their number.
type Members = BTreeMap<u64, Arc<Watched>>;

#[derive(Default)]
pub(super) struct Table {
    all: Members,
    /// Under the key of a session, and under those of the epochs it was bound under.
    by_key: HashMap<StoreKey, Members>,
    next_id: u64,
}

impl Table {
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many keys anybody is watched under; for tests.
    #[cfg(test)]
    pub(super) fn key_count(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Watched>> {
        self.all.values()
    }

    pub(super) fn under(&self, key: &StoreKey) -> impl Iterator<Item = &Arc<Watched>> {
        self.by_key.get(key).into_iter().flat_map(BTreeMap::values)
    }

    /// Puts `watched` under the keys that it should lie under now, none if nobody follows it any
    /// more, and tells the store what is followed. The store neither waits nor calls back, so this
    /// is done under the table's lock: two who change their minds at once cannot overtake each
    /// other on the way to the store.
    pub(super) fn index(
        &mut self,
        watched: &Arc<Watched>,
        seen: &mut Seen,
        everybody: StoreKey,
        store: &dyn SessionStore,
    ) {
        let wanted = if seen.has_ended || seen.follower_count() == 0 {
            [None; 3]
        } else {
            [Some(seen.key), seen.epoch_key, seen.epoch_key.map(|_| everybody)]
        };
        let before = std::mem::replace(&mut seen.indexed, wanted);
        for key in wanted.into_iter().flatten().filter(|key| !before.contains(&Some(*key))) {
            let members = self.by_key.entry(key).or_default();
            if members.is_empty() {
                store.follow(&key, true);
            }
            members.insert(watched.id, Arc::clone(watched));
        }
        for key in before.into_iter().flatten().filter(|key| !wanted.contains(&Some(*key))) {
            let Some(members) = self.by_key.get_mut(&key) else { continue };
            members.remove(&watched.id);
            if members.is_empty() {
                self.by_key.remove(&key);
                store.follow(&key, false);
            }
        }
        if wanted == [None; 3] {
            self.all.remove(&watched.id);
        } else {
            self.all.insert(watched.id, Arc::clone(watched));
        }
    }
}
