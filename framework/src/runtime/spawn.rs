//! Starting coroutines: the one place of the crate that does.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::local::{current_context, is_coroutine, swap_context, with_context};
use super::panics::catch_panic;
use super::settings::{coroutine_capacity, in_force};
use crate::error::{Error, ErrorKind, Result};

static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Those of them that belong to a worker, and do nothing but start and wake others.
static RESIDENT: AtomicUsize = AtomicUsize::new(0);

/// How many coroutines are running or waiting now.
pub(crate) fn live_coroutines() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// How many of them are more than the runtime's own.
pub(super) fn guests() -> usize {
    live_coroutines().saturating_sub(RESIDENT.load(Ordering::Relaxed))
}

/// Counts a coroutine for as long as it lives; its destructor only counts down.
struct Counted;

impl Counted {
    fn new() -> Result<Self> {
        if LIVE.fetch_add(1, Ordering::Relaxed) >= coroutine_capacity() {
            LIVE.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::Overloaded, "too many coroutines are running"));
        }
        Ok(Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// As [`Counted`], for those that belong to a worker.
struct Resident;

impl Resident {
    fn new() -> Self {
        RESIDENT.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        RESIDENT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `work` on a coroutine of its own, with the request of the caller as its context.
///
/// In the child `session()` and `request()` are those of
/// the request that spawned it. The answer does not wait for the child; what the child writes to
/// the session after the request's commit is refused with
/// [`ErrorKind::SessionClosed`].
///
/// # Errors
/// [`ErrorKind::Overloaded`] when the process has as many coroutines as its memory maps allow.
///
/// # Examples
/// ```
/// let child = maypole::spawn(|| 6 * 7)?;
/// assert_eq!(child.join()?, 42);
/// # Ok::<(), maypole::Error>(())
/// ```
pub fn spawn<T, F>(work: F) -> Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    in_force();
    let counted = Counted::new()?;
    let context = current_context();
    let body = move || {
        let _counted = counted;
        swap_context(context);
        work()
    };
    // SAFETY: `body` owns all it uses ('static + Send). That nothing thread-local is held across
    // a yield, and that the stack suffices, is the law of this house (README); may #109 is open.
    #[expect(unsafe_code, reason = "the one place that spawns")]
    let inner = started(|| unsafe { may::coroutine::Builder::new().spawn(body) })?;
    Ok(JoinHandle { inner })
}

/// may panics when the system has no memory for a stack. In a reactor that would end every idle
/// connection of its worker for good, so here, and only here beside the named boundaries, a panic
/// becomes an error: it is may's own, and comes before the new coroutine runs.
fn started<T>(
    start: impl FnOnce() -> io::Result<may::coroutine::JoinHandle<T>>,
) -> Result<may::coroutine::JoinHandle<T>> {
    let refused = || Error::new(ErrorKind::Overloaded, "a coroutine cannot be started");
    match catch_panic(start) {
        Ok(started) => started.map_err(|error| refused().caused_by(error)),
        Err(panic) => Err(refused().caused_by(panic)),
    }
}

/// Starts `work` on a coroutine that belongs to no request and that nobody waits for.
pub(crate) fn spawn_alone(work: impl FnOnce() + Send + 'static) -> Result<()> {
    with_context(None, || spawn(work)).map(drop)
}

/// Starts `work` on this thread at once, without a handle; it runs until its first yield.
pub(super) fn spawn_here(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let counted = Counted::new()?;
    let body = move || {
        let _counted = counted;
        work();
    };
    // SAFETY: as in `spawn`.
    #[expect(unsafe_code, reason = "the one place that spawns")]
    started(|| unsafe { may::coroutine::Builder::new().spawn_local(body) }).map(drop)
}

/// Starts `work`, which looks after the worker that `id` belongs to, on that worker.
pub(super) fn spawn_on(id: usize, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let counted = (Counted::new()?, Resident::new());
    let body = move || {
        let _counted = counted;
        work();
    };
    // SAFETY: as in `spawn`.
    #[expect(unsafe_code, reason = "the one place that spawns")]
    started(|| unsafe { may::coroutine::Builder::new().id(id).spawn(body) }).map(drop)
}

/// Runs `work` on a coroutine and waits for it; on a coroutine already, simply runs it.
pub(crate) fn run_to_end<T, F>(work: F) -> Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if is_coroutine() { Ok(work()) } else { spawn(work)?.join() }
}

/// A running child; dropping it lets the child run on by itself.
pub struct JoinHandle<T> {
    inner: may::coroutine::JoinHandle<T>,
}

impl<T> JoinHandle<T> {
    /// Waits for the child and gives what it returned.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the child panicked; the message is that of the panic.
    pub fn join(self) -> Result<T> {
        self.inner.join().map_err(|panic| {
            Error::new(
                ErrorKind::Internal,
                format!("a coroutine panicked: {}", panic_text(&*panic)),
            )
        })
    }

    /// Whether the child has come to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inner.is_done()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

/// The words of a panic, where it carries any.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Children that are all waited for; made by [`scope`].
#[derive(Debug, Default)]
pub struct Scope {
    children: Vec<JoinHandle<()>>,
}

impl Scope {
    /// Runs `work` on a coroutine of its own; [`scope`] returns only after its end.
    ///
    /// # Errors
    /// As [`spawn`].
    pub fn spawn(&mut self, work: impl FnOnce() + Send + 'static) -> Result<()> {
        self.children.push(spawn(work)?);
        Ok(())
    }
}

/// Runs several pieces of work at once and returns when all of them have ended.
///
/// The children own what they use (`'static`): borrowing from the stack of the caller would be
/// unsound on coroutines. They share the caller's session; its commit comes after them.
///
/// # Errors
/// The error of `body`, else [`ErrorKind::Internal`] for the first child that panicked. All
/// children have ended in either case, but not when `body` panics: then they run on by themselves.
///
/// # Examples
/// ```
/// maypole::scope(|s| {
///     s.spawn(|| { /* fetch one thing */ })?;
///     s.spawn(|| { /* and another */ })
/// })?;
/// # Ok::<(), maypole::Error>(())
/// ```
pub fn scope<T>(body: impl FnOnce(&mut Scope) -> Result<T>) -> Result<T> {
    let mut scope = Scope::default();
    let outcome = body(&mut scope);
    let mut first_panic = Ok(());
    for child in scope.children {
        first_panic = first_panic.and(child.join());
    }
    let value = outcome?;
    first_panic?;
    Ok(value)
}
