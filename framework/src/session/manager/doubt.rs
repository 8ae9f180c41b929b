//! A change of id of which nobody knows whether it took place: the store was away at the commit point
//! for longer than the commit asks. The answer cannot tell which of two ids is the good one, so the
//! browser gets the new one beside the old; the store decides, when it is back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::super::session::Session;
use super::super::state::{Base, State};
use super::Manager;
use super::load::Found;
use crate::runtime;

/// The longest wait between two looks at a change of id in doubt; the first ones are shorter.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// Changes of id looked after at once. For others the visitor has to be back in time.
const MAX_LOOKED_AFTER: usize = 256;

static LOOKED_AFTER: AtomicUsize = AtomicUsize::new(0);

/// Counts one of them for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Option<Self> {
        let counted = (LOOKED_AFTER.fetch_add(1, Ordering::Relaxed), Self);
        (counted.0 < MAX_LOOKED_AFTER).then_some(counted.1)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LOOKED_AFTER.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Completes the new session, if the change of id took place, as soon as the store is back: the
/// visitor who was told to come again may take longer than the proof of it is kept.
pub(super) fn look_after(session: &Session, state: &State) {
    let doubt = state.open.as_ref().and_then(|open| open.doubt.as_ref());
    let (Some(placed), Some(inner)) = (doubt, &session.inner) else { return };
    let Some(counted) = Counted::new() else { return };
    let (manager, placed) = (Arc::downgrade(&inner.manager), Arc::clone(placed));
    let work = move || {
        watch_over(&manager, &placed);
        drop(counted);
    };
    // Only best effort: the visitor's next request does the same.
    runtime::spawn_alone(work).ok();
}

/// Looks until the record placed for the change has come to its end.
fn watch_over(manager: &Weak<Manager>, placed: &Base) {
    let mut wait = Duration::from_secs(1);
    loop {
        runtime::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
        let Some(manager) = manager.upgrade() else { return };
        let now = manager.clock.now();
        match manager.find_unchecked(&placed.id, now) {
            Ok(Found::Live(base)) if base.record.pending.is_none() => return,
            Ok(Found::Dead(_)) => return,
            // Not completed, or not known, or not passed; an attempt may come true late.
            Ok(Found::Live(_) | Found::Absent) | Err(_) => {}
        }
        if now >= placed.deadline {
            return;
        }
    }
}
