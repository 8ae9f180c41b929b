//! The one value that belongs to a coroutine: the context of the request it works for.
//!
//! `may` gives each coroutine a map of locals which its children do not inherit; `spawn` and the
//! blocking pool copy this value by hand.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

/// Whatever the rooms above attach to a coroutine; the runtime never looks inside.
pub(crate) type Context = Arc<dyn Any + Send + Sync>;

may::coroutine_local!(static CONTEXT: RefCell<Option<Context>> = RefCell::new(None));

/// Whether the caller runs on a coroutine (and not on a plain thread).
#[inline(never)]
pub(crate) fn is_coroutine() -> bool {
    may::coroutine::is_coroutine()
}

/// The context of the running coroutine (or thread), if it has one.
#[inline(never)]
pub(crate) fn current_context() -> Option<Context> {
    CONTEXT.with(|slot| slot.borrow().clone())
}

/// Puts `context` in place and gives back what was there.
#[inline(never)]
pub(crate) fn swap_context(context: Option<Context>) -> Option<Context> {
    CONTEXT.with(|slot| slot.replace(context))
}

may::coroutine_local!(static ON_POOL: std::cell::Cell<bool> = std::cell::Cell::new(false));

/// Whether the caller is a job on the blocking pool.
#[inline(never)]
pub(crate) fn is_on_pool() -> bool {
    // A coroutine is none, which is quicker to find out.
    !is_coroutine() && ON_POOL.with(std::cell::Cell::get)
}

/// Marks the calling thread as one of the pool's.
#[inline(never)]
pub(super) fn enter_pool() {
    ON_POOL.with(|on_pool| on_pool.set(true));
}

/// A number that no other living coroutine or thread has: where its own context lies.
#[inline(never)]
pub(crate) fn here() -> usize {
    CONTEXT.with(|slot| std::ptr::from_ref(slot).addr())
}

/// Runs `work` with `context` as the current one, and restores the former one afterwards, also
/// when `work` panics.
pub(crate) fn with_context<T>(context: Option<Context>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Context>);
    impl Drop for Restore {
        fn drop(&mut self) {
            swap_context(self.0.take());
        }
    }
    let _restore = Restore(swap_context(context));
    work()
}
