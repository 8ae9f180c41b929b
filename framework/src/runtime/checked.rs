//! Hands the waiting of [`Mutex`](super::sync::Mutex) to a model checker (shuttle), so that a test
//! can try the interleavings of the real code above it. In tests only.

use std::thread::{ThreadId, current};

use super::sync::ShortLock;

/// The threads that run a model just now; all of a checker's own threads live on one of them.
static CHECKED: ShortLock<Vec<ThreadId>> = ShortLock::new(Vec::new());

/// Runs `model`, which starts the checker, with locks that wait in the checker.
pub(crate) fn checked<T>(model: impl FnOnce() -> T) -> T {
    struct Entered(ThreadId);
    impl Drop for Entered {
        fn drop(&mut self) {
            CHECKED.with(|threads| threads.retain(|thread| *thread != self.0));
        }
    }
    let entered = Entered(current().id());
    CHECKED.with(|threads| threads.push(entered.0));
    model()
}

pub(super) fn is_checked() -> bool {
    let id = current().id();
    CHECKED.with(|threads| threads.contains(&id))
}

/// In a model, lets the checker go on with another thread here.
pub(crate) fn point() {
    if is_checked() {
        shuttle::thread::yield_now();
    }
}
