//! A number of permits. It is our own because may's wakes by blockers that do not keep the woken
//! coroutine's handle, see [`Blocker`](super::blocker::Blocker).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::blocker::deadline;
use super::sync::ShortLock;
use super::waiter::{Waiter, Waiters, leave};

/// A number of permits; who finds none waits. They are given in the order of coming.
pub struct Semaphore {
    account: ShortLock<Account>,
}

struct Account {
    free: usize,
    /// Nobody waits while a permit is free.
    waiters: Waiters,
}

impl Account {
    const fn take(&mut self) -> bool {
        let is_free = self.free > 0;
        if is_free {
            self.free -= 1;
        }
        is_free
    }
}

impl Semaphore {
    /// A semaphore with `permits` to give.
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        Self { account: ShortLock::new(Account { free: permits, waiters: Waiters::new() }) }
    }

    /// Waits for a permit. It is given back by dropping it.
    #[must_use = "dropping the permit gives it back"]
    pub fn acquire(&self) -> Permit<'_> {
        self.take();
        Permit { semaphore: self }
    }

    /// Waits for a permit for at most `limit` (rounded up to whole milliseconds).
    #[must_use = "dropping the permit gives it back"]
    pub fn acquire_timeout(&self, limit: Duration) -> Option<Permit<'_>> {
        self.take_timeout(limit).then(|| Permit { semaphore: self })
    }

    /// Takes a permit if there is one.
    #[must_use = "dropping the permit gives it back"]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        // Not `then_some`: that would make a permit, and give it back, in any case.
        self.try_take().then(|| Permit { semaphore: self })
    }

    /// As [`acquire`](Self::acquire), for a permit that is [given back](Self::give_back) by hand.
    pub(crate) fn take(&self) {
        if let Some(waiter) = self.enter() {
            waiter.wait();
        }
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), for a permit that is
    /// [given back](Self::give_back) by hand. True if there was one in time.
    pub(crate) fn take_timeout(&self, limit: Duration) -> bool {
        let Some(waiter) = self.enter() else { return true };
        waiter.wait_until(deadline(limit.max(Duration::from_millis(1))))
            || !self.account.with(|account| leave(&mut account.waiters, &waiter))
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit that is given back by hand.
    pub(super) fn try_take(&self) -> bool {
        self.account.with(Account::take)
    }

    /// Gives a permit back, to the one that has waited longest. Never waits, so a destructor may.
    pub(crate) fn give_back(&self) {
        let next = self.account.with(|account| {
            let next = account.waiters.pop_front();
            if next.is_none() {
                account.free += 1;
            }
            next
        });
        if let Some(next) = next {
            next.call();
        }
    }

    /// Takes a permit or a place among those who wait.
    fn enter(&self) -> Option<Arc<Waiter>> {
        if self.try_take() {
            return None;
        }
        let waiter = Waiter::new();
        self.account.with(|account| {
            if account.take() {
                return None;
            }
            account.waiters.push_back(Arc::clone(&waiter));
            Some(waiter)
        })
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Semaphore")
    }
}

/// A permit of a [`Semaphore`].
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.give_back();
    }
}
