//! Whether the running coroutine is inside the closure of an `update`, where its session is locked.

use std::sync::{Arc, LazyLock};

use crate::runtime::{Context, current_context, with_context};

/// Takes the place of the request's context meanwhile.
struct InUse;

static IN_USE: LazyLock<Context> = LazyLock::new(|| Arc::new(InUse));

/// Runs the closure of an `update`.
pub(super) fn run(closure: impl FnOnce()) {
    with_context(Some(Arc::clone(&IN_USE)), closure);
}

/// Whether the caller runs below [`run`].
pub(super) fn is_running() -> bool {
    current_context().is_some_and(|context| context.is::<InUse>())
}
