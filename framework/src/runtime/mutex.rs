//! The lock and the condition that park coroutines.
//!
//! They are our own because may's allocate an aligned queue when they are made, which a lock that
//! each request makes and nobody contends for should not (measured on may 0.3.51: four
//! `posix_memalign` a request). Waiters get the lock in the order they came: the one that gives it
//! back hands it over.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::blocker::deadline;
use super::sync::ShortLock;
use super::waiter::{Waiter, Waiters, leave};

const FREE: u8 = 0;
const HELD: u8 = 1;
/// Held, and somebody may wait. It is left with the lock on the waiters only.
const WANTED: u8 = 2;

/// A mutual-exclusion lock that may be held across a yield. Not re-entrant: taking it twice on one
/// coroutine waits for ever.
///
/// ```
/// use maypole::sync::Mutex;
///
/// let total = Mutex::new(1);
/// *total.lock() += 1;
/// assert_eq!(*total.lock(), 2);
/// ```
pub struct Mutex<T: ?Sized> {
    state: AtomicU8,
    waiters: ShortLock<Waiters>,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves between threads with the lock, one owner at a time.
#[expect(unsafe_code, reason = "a lock hands its value from thread to thread")]
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: `value` is reached through a guard only, and there is one guard at a time.
#[expect(unsafe_code, reason = "a lock hands its value from thread to thread")]
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked lock around `value`.
    pub const fn new(value: T) -> Self {
        let waiters = ShortLock::new(Waiters::new());
        Self { state: AtomicU8::new(FREE), waiters, value: UnsafeCell::new(value) }
    }

    /// The value, when nobody can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock and takes it; it is given back when the guard is dropped.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if let Some(guard) = self.try_lock() {
            return guard;
        }
        let waiter = Waiter::new();
        let is_mine = self.waiters.with(|waiters| {
            // From here on the holder cannot give the lock back without looking at the waiters.
            let is_free = self.state.swap(WANTED, Ordering::Acquire) == FREE;
            if !is_free {
                waiters.push_back(Arc::clone(&waiter));
            }
            is_free
        });
        if !is_mine {
            waiter.wait();
        }
        MutexGuard::new(self)
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        let taken = self.state.compare_exchange(FREE, HELD, success, failure);
        // Not `then_some`: that would make a guard, and drop it, in any case.
        taken.is_ok().then(|| MutexGuard::new(self))
    }

    /// Hands the lock to the next waiter, or leaves it free. Never waits: it is a destructor's.
    fn give_back(&self) {
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        if self.state.compare_exchange(HELD, FREE, success, failure).is_ok() {
            return;
        }
        let next = self.waiters.with(|waiters| {
            let next = waiters.pop_front();
            if next.is_none() {
                self.state.store(FREE, Ordering::Release);
            }
            next
        });
        if let Some(next) = next {
            next.call();
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// The taken lock of a [`Mutex`].
///
/// Threads may share it only if they may share the value:
/// ```compile_fail,E0277
/// let lock = maypole::sync::Mutex::new(std::cell::Cell::new(1));
/// let guard = lock.lock();
/// std::thread::scope(|scope| scope.spawn(|| guard.set(2)).join());
/// ```
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// A shared lock alone would make the guard `Sync` for every `T` that is `Send`.
    _value: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// For who holds the lock now, once.
    const fn new(lock: &'a Mutex<T>) -> Self {
        Self { lock, _value: PhantomData }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[expect(unsafe_code, reason = "the guard is the right to look")]
    fn deref(&self) -> &T {
        // SAFETY: this guard is the only one, and lives as long as the reference.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[expect(unsafe_code, reason = "the guard is the right to change")]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard is the only one, and is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.give_back();
    }
}

impl<T: ?Sized> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MutexGuard")
    }
}

/// Waits for a change of what a [`Mutex`] guards.
#[derive(Default)]
pub struct Condvar {
    waiters: ShortLock<Waiters>,
}

impl Condvar {
    /// A condition nobody waits for yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiters: ShortLock::new(Waiters::new()) }
    }

    /// Gives the lock up, waits to be notified, takes the lock again. Check the condition in a
    /// loop: others may have had the lock in between.
    #[must_use = "the lock is held again"]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let lock = guard.lock;
        let waiter = self.enter();
        drop(guard);
        waiter.wait();
        lock.lock()
    }

    /// As [`wait`](Self::wait), for at most `limit` (rounded up to whole milliseconds). The flag
    /// tells whether the time ran out.
    #[must_use = "the lock is held again"]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let lock = guard.lock;
        let waiter = self.enter();
        drop(guard);
        // Whoever is not in the list any more was called, even if the time ran out meanwhile.
        let ran_out = !waiter.wait_until(deadline(limit.max(Duration::from_millis(1))))
            && self.waiters.with(|waiters| leave(waiters, &waiter));
        (lock.lock(), ran_out)
    }

    fn enter(&self) -> Arc<Waiter> {
        let waiter = Waiter::new();
        self.waiters.with(|waiters| waiters.push_back(Arc::clone(&waiter)));
        waiter
    }

    /// Wakes the one that has waited longest.
    pub fn notify_one(&self) {
        if let Some(waiter) = self.waiters.with(Waiters::pop_front) {
            waiter.call();
        }
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        let waiters = self.waiters.with(std::mem::take);
        waiters.iter().for_each(|waiter| waiter.call());
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}
