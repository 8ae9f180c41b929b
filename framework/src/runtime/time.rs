//! Sleeping.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::blocker::{Blocker, deadline, park_until};
use super::local::is_coroutine;
use super::returns;

/// Lets the running coroutine sleep for at least `duration`; other coroutines go on.
///
/// On a plain thread it puts that thread to sleep. The precision is about a millisecond.
pub fn sleep(duration: Duration) {
    let deadline = deadline(duration.max(Duration::from_millis(1)));
    let blocker = Arc::new(Blocker::current());
    while Instant::now() < deadline {
        park_until(&blocker, deadline);
    }
}

/// As [`give_way`], and lets this worker look for what has come from the network, too: may 0.3.51
/// does so only when no coroutine is ready, and one that yields is ready at once. So the caller
/// leaves and comes back by the network itself, as from the blocking pool.
pub(crate) fn give_way_to_all() {
    let home = if is_coroutine() { returns::home() } else { None };
    if home.is_none() {
        return give_way();
    }
    let blocker = Arc::new(Blocker::current());
    returns::send(home, Arc::<Blocker>::clone(&blocker));
    blocker.park();
}

/// Lets other ready coroutines of this worker go on, after much work without a wait.
pub(crate) fn give_way() {
    if is_coroutine() {
        may::coroutine::yield_now();
    }
}
