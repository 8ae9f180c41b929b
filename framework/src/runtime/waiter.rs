//! Somebody who waits for a lock, a condition or a permit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::blocker::{Blocker, Parked, park_until};

/// Those who wait, the one that has waited longest first.
pub(super) type Waiters = VecDeque<Arc<Waiter>>;

pub(super) struct Waiter {
    blocker: Blocker,
    /// In a model, the checker's thread that waits instead.
    #[cfg(test)]
    checked: Option<shuttle::thread::Thread>,
    is_called: AtomicBool,
}

impl Waiter {
    /// For the running coroutine or thread to wait with.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            blocker: Blocker::current(),
            #[cfg(test)]
            checked: super::checked::is_checked().then(shuttle::thread::current),
            is_called: AtomicBool::new(false),
        })
    }

    pub(super) fn call(&self) {
        self.is_called.store(true, Ordering::Release);
        #[cfg(test)]
        if let Some(thread) = &self.checked {
            return thread.unpark();
        }
        self.blocker.unpark();
    }

    fn is_called(&self) -> bool {
        self.is_called.load(Ordering::Acquire)
    }

    pub(super) fn wait(&self) {
        while !self.is_called() {
            #[cfg(test)]
            if self.checked.is_some() {
                shuttle::thread::park();
                continue;
            }
            self.blocker.park();
        }
    }

    /// As [`wait`](Self::wait), until `deadline` at the longest. False if nobody called in time.
    pub(super) fn wait_until(self: &Arc<Self>, deadline: Instant) -> bool {
        while !self.is_called() {
            if Instant::now() >= deadline {
                return false;
            }
            park_until(self, deadline);
        }
        true
    }
}

impl Parked for Waiter {
    fn blocker(&self) -> &Blocker {
        &self.blocker
    }
}

/// Takes `waiter` off the list. False if it was not there any more: somebody calls it.
pub(super) fn leave(waiters: &mut Waiters, waiter: &Arc<Waiter>) -> bool {
    let before = waiters.len();
    waiters.retain(|other| !Arc::ptr_eq(other, waiter));
    waiters.len() < before
}
