//! The blocking pool: a bounded number of threads for files, DNS and work that burns CPU.
//!
//! A coroutine hands its job over and parks; its worker serves others meanwhile. The pool is the
//! one place where a panic is caught to be handed to the caller.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock};

use super::blocker::{Blocker, Parked};
use super::local::{Context, current_context, enter_pool, is_coroutine, with_context};
use super::returns;
use super::settings::in_force;
use super::sync::ShortLock;
use crate::error::{Error, ErrorKind, Result};

#[expect(clippy::disallowed_types, reason = "only the pool's own threads wait here")]
struct Pool {
    state: std::sync::Mutex<State>,
    job_waits: std::sync::Condvar,
    max_threads: usize,
    max_queue: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>,
    threads: usize,
    idle: usize,
    /// A thread was woken or started and has not looked at the queue yet. While there is one,
    /// nobody else is woken: a burst of jobs costs one wake, and the woken thread wakes the next
    /// one if it leaves work behind.
    is_one_coming: bool,
}

fn pool() -> &'static Arc<Pool> {
    static POOL: OnceLock<Arc<Pool>> = OnceLock::new();
    POOL.get_or_init(|| {
        let settings = in_force();
        Arc::new(Pool {
            state: Default::default(),
            job_waits: Default::default(),
            max_threads: settings.blocking_threads.max(1),
            max_queue: settings.blocking_queue.max(1),
        })
    })
}

/// Runs `job` on a thread of the pool and parks the calling coroutine until it is done.
///
/// The job sees the request context of the caller. On a plain thread the job runs right here.
/// Fails with [`ErrorKind::Overloaded`], without running the job, when the queue is full. A panic
/// of the job goes on in the caller.
pub(crate) fn offload<T, F>(job: F) -> Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if !is_coroutine() {
        return Ok(job());
    }
    let task = Arc::new(Task {
        step: ShortLock::new(Step::Waits(job)),
        context: current_context(),
        caller: Blocker::current(),
        home: returns::home(),
    });
    pool().submit(Queued(Some(Arc::<Task<T, F>>::clone(&task))))?;
    loop {
        // A park that fails (a cancelled coroutine) must not leave the job's result behind.
        task.caller.park();
        match task.step.with(|step| step.take_if(Step::is_over)) {
            Some(Step::Ran(Ok(value))) => return Ok(value),
            Some(Step::Ran(Err(panic))) => {
                // Now, for the end of the blocker may yield, which a destructor must not in a panic.
                drop(task);
                resume_unwind(panic)
            }
            Some(_) => {
                return Err(Error::new(ErrorKind::Overloaded, "the blocking pool has no thread"));
            }
            None => {}
        }
    }
}

/// Runs blocking or CPU-heavy work (files, password hashing, a driver that blocks) on a thread of
/// the blocking pool; the coroutine waits, its worker serves others meanwhile.
///
/// The work sees the request of the caller. It may use a session that was used before the job: what
/// must ask the store there (the first use, `save`, `take`, `lock` and the like) is an error
/// ([`ErrorKind::SessionOnPool`]). On a plain thread it runs right there.
///
/// # Errors
/// [`ErrorKind::Overloaded`] (503), without running `work`, when `[runtime] blocking_queue` jobs
/// wait already. A panic of `work` goes on in the caller.
///
/// # Examples
/// ```
/// let sum: u64 = maypole::blocking(|| (1..=1000).sum())?;
/// assert_eq!(sum, 500_500);
/// # Ok::<(), maypole::Error>(())
/// ```
pub fn blocking<T, F>(work: F) -> Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    offload(work)
}

/// A job and its answer, in one allocation.
struct Task<T, F> {
    step: ShortLock<Step<T, F>>,
    context: Option<Context>,
    caller: Blocker,
    home: returns::Home,
}

enum Step<T, F> {
    Waits(F),
    Runs,
    Ran(std::thread::Result<T>),
    Abandoned,
}

impl<T, F> Step<T, F> {
    /// What was there, if it is `wanted`.
    fn take_if(&mut self, wanted: impl FnOnce(&Self) -> bool) -> Option<Self> {
        wanted(self).then(|| std::mem::replace(self, Self::Runs))
    }

    const fn waits(&self) -> bool {
        matches!(self, Self::Waits(_))
    }

    const fn is_over(&self) -> bool {
        matches!(self, Self::Ran(_) | Self::Abandoned)
    }
}

/// A task as a thread of the pool sees it.
trait Job: Parked {
    fn run(&self);
    /// Says that the task will not run, if it has not.
    fn abandon(&self);
    /// Where to wake the caller.
    fn home(&self) -> returns::Home;
}

impl<T: Send + 'static, F: FnOnce() -> T + Send + 'static> Job for Task<T, F> {
    fn run(&self) {
        if let Some(Step::Waits(job)) = self.step.with(|step| step.take_if(Step::waits)) {
            let context = self.context.clone();
            let outcome = catch_unwind(AssertUnwindSafe(|| with_context(context, job)));
            self.step.with(|step| *step = Step::Ran(outcome));
        }
    }

    fn abandon(&self) {
        let never_ran = self.step.with(|step| {
            let never_ran = step.take_if(Step::waits);
            if never_ran.is_some() {
                *step = Step::Abandoned;
            }
            never_ran
        });
        drop(never_ran);
    }

    fn home(&self) -> returns::Home {
        self.home
    }
}

impl<T: Send + 'static, F: FnOnce() -> T + Send + 'static> Parked for Task<T, F> {
    fn blocker(&self) -> &Blocker {
        &self.caller
    }
}

/// A task in the queue. Wakes the caller when it has run, or is dropped without having run.
struct Queued(Option<Arc<dyn Job>>);

impl Queued {
    fn run(self) {
        if let Some(job) = &self.0 {
            job.run();
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let Some(job) = self.0.take() else { return };
        job.abandon();
        // It goes along to the caller's worker, so that it is freed on the thread that made it.
        returns::wake(job.home(), job);
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, job: Queued) -> Result<()> {
        let mut state = self.lock();
        if state.queue.len() >= self.max_queue {
            return Err(Error::new(ErrorKind::Overloaded, "the blocking pool's queue is full"));
        }
        state.queue.push_back(job);
        self.call_a_thread(state)
    }

    /// Sees to it that somebody comes for the queue: an idle thread, or a new one.
    fn call_a_thread(self: &Arc<Self>, mut state: std::sync::MutexGuard<'_, State>) -> Result<()> {
        if state.queue.is_empty() || state.is_one_coming {
            return Ok(());
        }
        if state.idle > 0 {
            state.is_one_coming = true;
            drop(state);
            self.job_waits.notify_one();
            return Ok(());
        }
        if state.threads >= self.max_threads {
            return Ok(());
        }
        state.is_one_coming = true;
        state.threads += 1;
        drop(state);
        self.start_thread()
    }

    fn start_thread(self: &Arc<Self>) -> Result<()> {
        let pool = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name("maypole-blocking".to_owned())
            .spawn(move || pool.work());
        match started {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut state = self.lock();
                state.threads -= 1;
                state.is_one_coming = false;
                if state.threads > 0 {
                    return Ok(());
                }
                let abandoned = std::mem::take(&mut state.queue);
                drop(state);
                drop(abandoned);
                Err(Error::new(ErrorKind::Overloaded, "no thread for the blocking pool")
                    .caused_by(error))
            }
        }
    }

    fn work(self: &Arc<Self>) {
        enter_pool();
        let mut state = self.lock();
        state.is_one_coming = false;
        loop {
            if let Some(job) = state.queue.pop_front() {
                // Failing to start another thread is no failure of this one.
                self.call_a_thread(state).ok();
                job.run();
                state = self.lock();
            } else {
                state.idle += 1;
                // Who finds the mark is the one that was called, whatever became of the job.
                while !std::mem::take(&mut state.is_one_coming) {
                    state = self
                        .job_waits
                        .wait(state)
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                }
                state.idle -= 1;
            }
        }
    }
}
