//! Locks and channels that park the coroutine, never the worker thread under it.
//!
//! They work on plain threads as well. None of them is poisoned by a panic: what they guard is
//! left as the panicking code left it.

use std::fmt;

pub use super::channel::{Receiver, Sender, channel};
pub use super::mutex::{Condvar, Mutex, MutexGuard};
pub use super::semaphore::{Permit, Semaphore};

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
