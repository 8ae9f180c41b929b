//! The one way to catch a panic, for the named boundaries: handler, commit, response body or
//! upgrade.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::spawn::panic_text;

/// Runs `work` and gives the words of its panic, should it panic.
///
/// A cancelled coroutine unwinds by a panic of its own kind, which goes on.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        if let Some(generator::Error::Cancel) = panic.downcast_ref::<generator::Error>() {
            resume_unwind(panic);
        }
        panic_text(&*panic).to_owned()
    })
}
