//! Sleeping.

use std::time::Duration;

use super::local::is_coroutine;

/// Lets the running coroutine sleep for at least `duration`; other coroutines go on.
///
/// On a plain thread it puts that thread to sleep. The precision is about a millisecond.
pub fn sleep(duration: Duration) {
    // may takes a time under one millisecond for "no time-out at all" in its parks; a sleep
    // rounds up with them.
    may::coroutine::sleep(duration.max(Duration::from_millis(1)));
    leave_timer_thread();
}

/// After a sleep or an expired time-out the coroutine runs on may's single timer thread until its
/// next yield; this is that yield.
pub(super) fn leave_timer_thread() {
    if is_coroutine() {
        may::coroutine::yield_now();
    }
}
