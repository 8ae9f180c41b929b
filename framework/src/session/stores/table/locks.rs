//! The two kinds of locks the table is made of, behind a trait, so that the order in which it takes
//! them can be checked by a model checker with locks of its own.

use crate::runtime::sync::{Mutex, ShortLock};

/// The locks of a [`Map`](super::map::Map).
pub(super) trait Locks: 'static {
    /// A lock that may be held while the journal is written; who waits for it parks.
    type Long: Send + Sync;
    /// A lock for a few instructions.
    type Short<T: Send>: Send + Sync;

    fn long() -> Self::Long;
    fn hold<R>(lock: &Self::Long, section: impl FnOnce() -> R) -> R;
    fn short<T: Send>(value: T) -> Self::Short<T>;
    fn with<T: Send, R>(lock: &Self::Short<T>, section: impl FnOnce(&mut T) -> R) -> R;
}

/// The locks of the running program.
#[derive(Debug)]
pub(super) struct Parking;

impl Locks for Parking {
    type Long = Mutex<()>;
    type Short<T: Send> = ShortLock<T>;

    fn long() -> Self::Long {
        Mutex::new(())
    }

    fn hold<R>(lock: &Self::Long, section: impl FnOnce() -> R) -> R {
        let _held = lock.lock();
        section()
    }

    fn short<T: Send>(value: T) -> Self::Short<T> {
        ShortLock::new(value)
    }

    fn with<T: Send, R>(lock: &Self::Short<T>, section: impl FnOnce(&mut T) -> R) -> R {
        lock.with(section)
    }
}
