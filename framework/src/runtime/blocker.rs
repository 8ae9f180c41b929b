//! The one thing here that makes a coroutine (or a thread) wait and lets it go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alarm;
use super::local::is_coroutine;
use super::time::give_way;

/// Waiting and waking for the one that made it. A wake that comes first is kept for the next wait.
///
/// It is may's blocker with two laws around it (may 0.3.51, November 2026):
///
/// - **Who can wake a coroutine keeps its handle.** While may parks a coroutine, it first makes it
///   known to whoever may wake it and only then writes into what the handles of that coroutine own
///   (`cancel.set_co`). Meanwhile the coroutine may have been woken on another worker and have come
///   to its end; were its last handle gone, the write would go to freed memory, and did: it took a
///   count off in a free chunk of the heap. may's blocker cannot be dropped before that write, so
///   a handle that is dropped after it lives long enough.
/// - **may's own timers are not used.** Its `sleep` has nothing that could outlive the write, and
///   its parks with a limit lose the wake if the limit ends before the coroutine is made known.
pub(super) struct Blocker {
    // The order of the fields is the order they are dropped in, and the first law.
    #[expect(clippy::disallowed_types, reason = "this is what makes it safe to use")]
    inner: may::sync::Blocker,
    coroutine: Option<may::coroutine::Coroutine>,
}

impl Blocker {
    /// For the running coroutine or thread to wait with.
    pub(super) fn current() -> Arc<Self> {
        let coroutine = is_coroutine().then(may::coroutine::current);
        #[expect(clippy::disallowed_types, reason = "as above")]
        let inner = may::sync::Blocker::new(false);
        Arc::new(Self { inner, coroutine })
    }

    /// Waits for a wake; it may end early (a late wake, a cancelled coroutine).
    pub(super) fn park(&self) {
        self.inner.park(None).ok();
    }

    /// As [`park`](Self::park), and ends at `deadline` or a little later.
    pub(super) fn park_until(self: &Arc<Self>, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if self.coroutine.is_none() {
            self.inner.park(Some(left)).ok();
        } else if let Some(alarm) = alarm::set(deadline, Arc::clone(self)) {
            self.park();
            alarm::unset(&alarm);
        } else {
            // Without a thread for alarms: the caller looks again and again, and others go on.
            give_way();
        }
    }

    /// Wakes it; never waits.
    pub(super) fn unpark(&self) {
        self.inner.unpark();
    }
}

/// The end of a wait of at most `limit`; one of centuries is as good as one without an end.
pub(super) fn deadline(limit: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    Instant::now() + limit.min(FAR)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Blocker, deadline};
    use crate::runtime::{run_to_end, spawn};

    #[test]
    fn a_wait_ends_with_its_deadline_or_its_wake() {
        let wait = || {
            let blocker = Blocker::current();
            let begin = Instant::now();
            blocker.park_until(deadline(Duration::from_millis(5)));
            let alone = begin.elapsed();
            let waker = std::sync::Arc::clone(&blocker);
            let other = spawn(move || waker.unpark()).unwrap();
            blocker.park_until(deadline(Duration::MAX));
            other.join().unwrap();
            blocker.unpark();
            blocker.park_until(deadline(Duration::MAX));
            alone
        };
        let limit = Duration::from_millis(5);
        assert!(run_to_end(wait).unwrap() >= limit, "on a coroutine");
        assert!(wait() >= limit, "on a thread");
    }
}
