//! One value that one coroutine or thread waits for and another one gives.

use std::fmt;
use std::sync::Arc;

use super::blocker::{Blocker, Parked};
use super::returns;
use super::sync::ShortLock;

/// A place for one value. Whoever makes it waits for it; anybody may give.
pub(crate) struct Promise<T> {
    value: ShortLock<Option<T>>,
    waiter: Blocker,
    home: returns::Home,
}

impl<T> Promise<T> {
    /// An empty place; the caller is the one that will [`wait`](Self::wait).
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            value: ShortLock::new(None),
            waiter: Blocker::current(),
            home: returns::home(),
        })
    }

    /// Waits until the value is there and takes it.
    pub(crate) fn wait(&self) -> T {
        loop {
            if let Some(value) = self.value.with(Option::take) {
                return value;
            }
            // A park may end early (a cancelled coroutine, a late wake); only the value counts.
            self.waiter.park();
        }
    }
}

impl<T: Send + 'static> Promise<T> {
    /// Puts the value in place and wakes the waiter, on the worker it came from. Never waits.
    pub(crate) fn give(self: &Arc<Self>, value: T) {
        self.value.with(|place| *place = Some(value));
        returns::wake(self.home, Arc::<Self>::clone(self));
    }
}

impl<T: Send + 'static> Parked for Promise<T> {
    fn blocker(&self) -> &Blocker {
        &self.waiter
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}
