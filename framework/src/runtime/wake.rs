//! Whom to wake when something has come that is no byte of a socket: a parked coroutine, or one
//! that waits for its socket.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::blocker::{Blocker, Parked, deadline, park_until};
use super::socket::Watch;

/// Wakes one waiting coroutine (or thread). Waking never waits and never yields; who does not wait
/// just now finds the wake at its next wait, so a wake is never lost and may be spurious.
#[derive(Clone)]
pub(crate) struct Waker(Whom);

#[derive(Clone)]
enum Whom {
    Parked(Arc<Spot>),
    Socket(Arc<Watch>),
}

impl Waker {
    pub(super) fn of_socket(watch: Arc<Watch>) -> Self {
        Self(Whom::Socket(watch))
    }

    /// Wakes it; from any thread, also in a destructor.
    pub(crate) fn wake(&self) {
        match &self.0 {
            Whom::Parked(spot) => {
                spot.is_called.store(true, Ordering::Release);
                spot.blocker.unpark();
            }
            Whom::Socket(watch) => watch.wake(),
        }
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

/// A place to wait in without a socket; for the coroutine (or thread) that made it.
pub(crate) struct Parker(Arc<Spot>);

struct Spot {
    blocker: Blocker,
    is_called: AtomicBool,
}

impl Parked for Spot {
    fn blocker(&self) -> &Blocker {
        &self.blocker
    }
}

impl Parker {
    pub(crate) fn new() -> Self {
        let is_called = AtomicBool::new(false);
        Self(Arc::new(Spot { blocker: Blocker::current(), is_called }))
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(Whom::Parked(Arc::clone(&self.0)))
    }

    /// Waits to be woken, for at most `limit`; false if nobody did. A wake that came before counts.
    pub(crate) fn park(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.map(deadline);
        loop {
            if self.0.is_called.swap(false, Ordering::AcqRel) {
                return true;
            }
            match deadline {
                None => self.0.blocker.park(),
                Some(deadline) if Instant::now() >= deadline => return false,
                Some(deadline) => park_until(&self.0, deadline),
            }
        }
    }
}
