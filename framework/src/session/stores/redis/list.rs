//! Listing in order, out of a store that has none.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use super::RedisStore;
use super::walk::Walk;
use crate::session::{SessionStore, StoreError, StoreKey, Stored};

/// Keys kept from one walk through the store: 2 MiB. Few in tests, so that they need several.
const WINDOW: usize = if cfg!(test) { 16 } else { 65_536 };

/// A listing that pauses for longer begins a walk of its own again.
const WINDOW_AGE: Duration = Duration::from_secs(60);

/// Records asked for in one piece.
const BATCH: usize = 256;

/// The smallest keys after some key, from one walk through all of them.
#[derive(Debug, Default)]
pub(super) struct Window {
    keys: VecDeque<StoreKey>,
    /// The key given out last: a page that goes on behind it goes on here.
    last: Option<StoreKey>,
    /// Whether nothing comes after these keys.
    is_all: bool,
    made: Option<Instant>,
}

impl Window {
    fn goes_on_after(&self, after: &StoreKey) -> bool {
        self.last.as_ref() == Some(after)
            && self.made.is_some_and(|made| made.elapsed() < WINDOW_AGE)
    }
}

impl RedisStore {
    pub(super) fn list_page(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let mut page = Vec::new();
        if limit == 0 {
            return Ok(page);
        }
        let left = self.window.with(std::mem::take);
        let mut window = match after {
            Some(after) if left.goes_on_after(after) => left,
            after => self.walk_window(after)?,
        };
        while page.len() < limit {
            if window.keys.is_empty() {
                if window.is_all {
                    break;
                }
                window = self.walk_window(window.last.as_ref())?;
                continue;
            }
            let count = window.keys.len().min(limit - page.len()).min(BATCH);
            let keys: Vec<_> = window.keys.drain(..count).collect();
            window.last = keys.last().copied();
            let found = self.load_many(&keys, now)?;
            page.extend(keys.into_iter().zip(found).filter_map(|(key, found)| Some((key, found?))));
        }
        // Whoever asks on does it behind the last record, not behind the last key.
        if let Some((last, _)) = page.last() {
            window.last = Some(*last);
            self.window.with(|place| *place = window);
        }
        Ok(page)
    }

    fn walk_window(&self, after: Option<&StoreKey>) -> Result<Window, StoreError> {
        let mut walk = Walk::default();
        // A set: SCAN may give a key twice.
        let mut smallest = BTreeSet::new();
        let mut is_all = true;
        while let Some(keys) = self.next_keys(&mut walk)? {
            smallest.extend(keys.into_iter().filter(|key| after.is_none_or(|after| key > after)));
            while smallest.len() > WINDOW {
                smallest.pop_last();
                is_all = false;
            }
        }
        let last = after.copied();
        Ok(Window {
            keys: smallest.into_iter().collect(),
            last,
            is_all,
            made: Some(Instant::now()),
        })
    }
}
