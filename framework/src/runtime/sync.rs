//! Locks and channels that park the coroutine, never the worker thread under it.
//!
//! They work on plain threads as well. None of them is poisoned by a panic: what they guard is
//! left as the panicking code left it.

use std::fmt;
use std::time::Duration;

pub use super::channel::{Receiver, Sender, channel};
pub use super::mutex::{Condvar, Mutex, MutexGuard};

use super::time::leave_timer_thread;

/// A number of permits; who finds none waits.
#[derive(Debug)]
pub struct Semaphore {
    inner: may::sync::Semphore,
}

impl Semaphore {
    /// A semaphore with `permits` to give.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self { inner: may::sync::Semphore::new(permits) }
    }

    /// Waits for a permit. It is given back by dropping it.
    #[must_use = "dropping the permit gives it back"]
    pub fn acquire(&self) -> Permit<'_> {
        self.inner.wait();
        Permit { semaphore: self }
    }

    /// Waits for a permit for at most `limit` (rounded up to whole milliseconds).
    #[must_use = "dropping the permit gives it back"]
    pub fn acquire_timeout(&self, limit: Duration) -> Option<Permit<'_>> {
        if self.inner.wait_timeout(limit.max(Duration::from_millis(1))) {
            return Some(Permit { semaphore: self });
        }
        leave_timer_thread();
        None
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), for a permit that is
    /// [given back](Self::give_back) by hand. True if there was one in time.
    pub(crate) fn take_timeout(&self, limit: Duration) -> bool {
        let taken = self.inner.wait_timeout(limit.max(Duration::from_millis(1)));
        if !taken {
            leave_timer_thread();
        }
        taken
    }

    /// Gives a permit back. Never waits, so a destructor may.
    pub(crate) fn give_back(&self) {
        self.inner.post();
    }

    /// Takes a permit if there is one.
    #[must_use = "dropping the permit gives it back"]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.inner.try_wait().then_some(Permit { semaphore: self })
    }
}

/// A permit of a [`Semaphore`].
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.inner.post();
    }
}

/// A lock for sections of a few instructions that never yield; usable in destructors.
///
/// The closure keeps its guard from outliving the section: a std guard held across a yield would
/// block the worker for ever.
pub(crate) struct ShortLock<T> {
    #[expect(clippy::disallowed_types, reason = "held only inside `with`, which never yields")]
    inner: std::sync::Mutex<T>,
}

impl<T> ShortLock<T> {
    #[expect(clippy::disallowed_types, reason = "as above")]
    pub(crate) const fn new(value: T) -> Self {
        Self { inner: std::sync::Mutex::new(value) }
    }

    /// Runs `section` with the value; it must neither yield nor block.
    pub(crate) fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        section(&mut self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl<T: Default> Default for ShortLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for ShortLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortLock")
    }
}
