//! The one thing here that makes a coroutine (or a thread) wait and lets it go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alarm;
use super::local::is_coroutine;
use super::time::give_way;

/// Waiting and waking for the one that made it. A wake that comes first is kept for the next wait.
/// It lies within what is waited for, see [`Parked`].
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
    pub(super) fn current() -> Self {
        let coroutine = is_coroutine().then(may::coroutine::current);
        #[expect(clippy::disallowed_types, reason = "as above")]
        let inner = may::sync::Blocker::new(false);
        Self { inner, coroutine }
    }

    /// Waits for a wake; it may end early (a late wake, a cancelled coroutine).
    pub(super) fn park(&self) {
        self.inner.park(None).ok();
    }

    /// Wakes it; never waits.
    pub(super) fn unpark(&self) {
        self.inner.unpark();
    }
}

/// What holds the blocker of the one that waits for it, and is shared with whoever is to wake it: so
/// a wait takes one allocation of ours.
pub(super) trait Parked: Send + Sync + 'static {
    fn blocker(&self) -> &Blocker;
}

impl Parked for Blocker {
    fn blocker(&self) -> &Blocker {
        self
    }
}

/// As [`Blocker::park`], and ends at `deadline` or a little later.
pub(super) fn park_until<P: Parked>(place: &Arc<P>, deadline: Instant) {
    let (blocker, left) = (place.blocker(), deadline.saturating_duration_since(Instant::now()));
    if left.is_zero() {
        return;
    }
    if blocker.coroutine.is_none() {
        blocker.inner.park(Some(left)).ok();
        return;
    }
    let whom: Arc<dyn Parked> = Arc::<P>::clone(place);
    if let Some(alarm) = alarm::set(deadline, whom) {
        blocker.park();
        alarm::unset(&alarm);
    } else {
        // Without a thread for alarms: the caller looks again and again, and others go on.
        give_way();
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

    use super::{Blocker, deadline, park_until};
    use crate::runtime::{run_to_end, spawn};

    #[test]
    fn a_wait_ends_with_its_deadline_or_its_wake() {
        let wait = || {
            let blocker = std::sync::Arc::new(Blocker::current());
            let begin = Instant::now();
            park_until(&blocker, deadline(Duration::from_millis(5)));
            let alone = begin.elapsed();
            let waker = std::sync::Arc::clone(&blocker);
            let other = spawn(move || waker.unpark()).unwrap();
            park_until(&blocker, deadline(Duration::MAX));
            other.join().unwrap();
            blocker.unpark();
            park_until(&blocker, deadline(Duration::MAX));
            alone
        };
        let limit = Duration::from_millis(5);
        assert!(run_to_end(wait).unwrap() >= limit, "on a coroutine");
        assert!(wait() >= limit, "on a thread");
    }
}
