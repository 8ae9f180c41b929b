//! One follower's place, and the ear that the store speaks into.

use std::fmt;
use std::sync::{Arc, Weak};

use super::super::id::SessionId;
use super::super::store::{ChangeListener, StoreKey};
use super::Watchers;
use super::watched::Watched;
use crate::error::Result;

/// Ends the following when dropped, which neither waits nor yields.
pub(crate) struct Watching {
    pub(super) watchers: Arc<Watchers>,
    pub(super) watched: Arc<Watched>,
    pub(super) id: u64,
}

impl Watching {
    /// Where the watched session is kept: the same for all who follow it now, across rotations.
    pub(crate) fn place(&self) -> usize {
        Arc::as_ptr(&self.watched).addr()
    }

    /// What `id`, the id of `key`, has become by rotations seen since; `None` if there were none.
    pub(in super::super) fn present_id(
        &self,
        id: &SessionId,
        key: &StoreKey,
    ) -> Result<Option<SessionId>> {
        let trail = self.watched.seen.with(|seen| seen.trail_from(key));
        if trail.is_empty() {
            return Ok(None);
        }
        trail.iter().try_fold(id.clone(), |id, nonce| id.successor(nonce)).map(Some)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watchers.leave(&self.watched, self.id);
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watching")
    }
}

/// What the store calls. It only notes: the store may call it under its own locks, even while it
/// is told what to follow.
pub(super) struct Ear(pub(super) Weak<Watchers>);

impl ChangeListener for Ear {
    fn changed(&self, key: &StoreKey, version: u64) {
        if let Some(watchers) = self.0.upgrade().filter(|watchers| watchers.count() > 0) {
            watchers.hinted(key, version);
        }
    }

    fn missed(&self) {
        if let Some(watchers) = self.0.upgrade().filter(|watchers| watchers.count() > 0) {
            watchers.missed();
        }
    }
}
