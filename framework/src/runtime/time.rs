//! Sleeping.

use std::time::{Duration, Instant};

use super::blocker::{Blocker, deadline};
use super::local::is_coroutine;

/// Lets the running coroutine sleep for at least `duration`; other coroutines go on.
///
/// On a plain thread it puts that thread to sleep. The precision is about a millisecond.
pub fn sleep(duration: Duration) {
    let deadline = deadline(duration.max(Duration::from_millis(1)));
    let blocker = Blocker::current();
    while Instant::now() < deadline {
        blocker.park_until(deadline);
    }
}

/// Lets other coroutines of this worker go on, after much work without a wait.
pub(crate) fn give_way() {
    if is_coroutine() {
        may::coroutine::yield_now();
    }
}
