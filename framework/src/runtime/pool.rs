//! The blocking pool: a bounded number of threads for files, DNS and work that burns CPU.
//!
//! A coroutine hands its job over and parks; its worker serves others meanwhile. The pool is the
//! one place where a panic is caught to be handed to the caller.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock};

use super::local::{current_context, enter_pool, is_coroutine, with_context};
use super::returns;
use super::settings::in_force;
use super::sync::ShortLock;
use crate::error::{Error, ErrorKind, Result};

type Job = Box<dyn FnOnce() + Send>;

#[expect(clippy::disallowed_types, reason = "only the pool's own threads wait here")]
struct Pool {
    state: std::sync::Mutex<State>,
    job_waits: std::sync::Condvar,
    max_threads: usize,
    max_queue: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
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
    let answer = Arc::new(Answer {
        value: ShortLock::new(None),
        caller: may::sync::Blocker::current(),
        home: returns::home(),
    });
    let promise = Promise(Arc::clone(&answer));
    let context = current_context();
    pool().submit(Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| with_context(context, job)));
        promise.0.value.with(|value| *value = Some(Outcome::Ran(outcome)));
    }))?;
    loop {
        // A park that fails (a cancelled coroutine) must not leave the job's result behind.
        answer.caller.park(None).ok();
        match answer.value.with(Option::take) {
            Some(Outcome::Ran(Ok(value))) => return Ok(value),
            Some(Outcome::Ran(Err(panic))) => resume_unwind(panic),
            Some(Outcome::Abandoned) => {
                return Err(Error::new(ErrorKind::Overloaded, "the blocking pool has no thread"));
            }
            None => {}
        }
    }
}

/// Runs blocking or CPU-heavy work (files, password hashing, a driver that blocks) on a thread of
/// the blocking pool; the coroutine waits, its worker serves others meanwhile.
///
/// The work sees the request of the caller. On a plain thread it runs right there.
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

struct Answer<T> {
    value: ShortLock<Option<Outcome<T>>>,
    caller: Arc<may::sync::Blocker>,
    home: returns::Home,
}

enum Outcome<T> {
    Ran(std::thread::Result<T>),
    Abandoned,
}

/// Wakes the caller when the job has run, or was dropped without having run.
struct Promise<T>(Arc<Answer<T>>);

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.0.value.with(|value| {
            value.get_or_insert(Outcome::Abandoned);
        });
        returns::wake(self.0.home, Arc::clone(&self.0.caller));
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, job: Job) -> Result<()> {
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
                job();
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
