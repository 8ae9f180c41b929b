//! The journal's own thread: writes what may not be written on a worker, many frames at once.

#![expect(
    clippy::disallowed_types,
    reason = "only the journal's own thread waits here; workers hold the lock for a push"
)]

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::active::Active;
use super::{AppendError, Journal};
use crate::runtime::sync::{Condvar, Mutex};
use crate::session::stores::Fsync;
use crate::session::stores::table::frame::Frames;

/// Bytes written at once.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// How long no write may have stalled before workers write again by themselves.
const RECOVERY: Duration = Duration::from_millis(100);

/// Appends that wait for the thread.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: std::sync::Mutex<State>,
    has_work: std::sync::Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    is_closed: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    frames: Frames,
    answer: Arc<Answer>,
}

/// Where the caller waits. Even a cancelled coroutine waits on: it holds its stripe, and what is
/// written must be published before another save of the same session looks.
#[derive(Debug, Default)]
struct Answer {
    outcome: Mutex<Option<Result<(), AppendError>>>,
    is_given: Condvar,
}

impl Answer {
    fn give(&self, outcome: Result<(), AppendError>) {
        self.outcome.lock().get_or_insert(outcome);
        self.is_given.notify_one();
    }

    fn wait(&self) -> Result<(), AppendError> {
        let mut outcome = self.outcome.lock();
        loop {
            if let Some(outcome) = outcome.take() {
                return outcome;
            }
            outcome = self.is_given.wait(outcome);
        }
    }
}

/// Nobody waits for ever for a thread that is gone.
impl Drop for Job {
    fn drop(&mut self) {
        // The thread may have gone in the middle of it.
        self.answer.give(Err(AppendError::InDoubt(closed())));
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, thread: JoinHandle<()>) {
        self.lock().thread = Some(thread);
    }

    /// Has the thread append the frames; parks the caller meanwhile.
    pub(super) fn push_and_wait(&self, frames: Frames) -> Result<(), AppendError> {
        let answer = Arc::new(Answer::default());
        let mut state = self.lock();
        if state.is_closed {
            return Err(AppendError::NotWritten(closed()));
        }
        state.jobs.push(Job { frames, answer: Arc::clone(&answer) });
        drop(state);
        self.has_work.notify_one();
        answer.wait()
    }

    /// The jobs that wait; none when the queue is closed and empty.
    fn take(&self) -> Vec<Job> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.is_closed {
            state = self.has_work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut state.jobs)
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.has_work.notify_all();
    }

    /// Refuses what waits and what is still to come.
    fn abandon(&self) {
        self.close();
        let abandoned = std::mem::take(&mut self.lock().jobs);
        drop(abandoned);
    }

    pub(super) fn join(&self) {
        let thread = self.lock().thread.take();
        if let Some(thread) = thread {
            thread.join().ok();
        }
    }
}

/// Closes the queue however the thread ends.
struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Journal {
    /// The work of the thread, until the queue is closed.
    pub(super) fn write_queued(&self) {
        let _end = End(&self.queue);
        let mut stalled_at = None;
        loop {
            let jobs = self.queue.take();
            if jobs.is_empty() {
                return;
            }
            let begun = Instant::now();
            self.write_jobs(jobs);
            if self.is_stalled.load(Ordering::Relaxed) {
                let last = *stalled_at.get_or_insert(begun);
                if begun.elapsed() > self.stall_bound {
                    stalled_at = Some(Instant::now());
                } else if last.elapsed() > RECOVERY {
                    stalled_at = None;
                    self.is_stalled.store(false, Ordering::Relaxed);
                    log::debug!("the disk of the session journal has recovered");
                }
            }
        }
    }

    fn write_jobs(&self, mut jobs: Vec<Job>) {
        while !jobs.is_empty() {
            let mut bytes = 0;
            let fits = |job: &Job| {
                bytes += job.frames.0.len();
                bytes <= MAX_BATCH_BYTES
            };
            let count = jobs.iter().map(fits).take_while(|fits| *fits).count().max(1);
            let rest = jobs.split_off(count.min(jobs.len()));
            self.write_batch(&jobs);
            jobs = rest;
        }
    }

    /// Writes the frames of all jobs at once; if that fails each by itself, since a disk that is
    /// full may still have room for small ones.
    fn write_batch(&self, jobs: &[Job]) {
        let all: Vec<u8> = jobs.iter().flat_map(|job| job.frames.0.iter().copied()).collect();
        let together = self.append_here(all);
        let outcomes: Vec<_> = match together {
            Ok(()) => jobs.iter().map(|_| Ok(())).collect(),
            Err(error) if jobs.len() == 1 => vec![Err(error)],
            Err(_) => jobs.iter().map(|job| self.append_here(job.frames.0.clone())).collect(),
        };
        let synced = if self.fsync == Fsync::Always { self.sync() } else { Ok(()) };
        for (job, outcome) in jobs.iter().zip(outcomes) {
            let answer = match (outcome, &synced) {
                (Err(error), _) => Err(error),
                (Ok(()), Err(error)) => Err(AppendError::NotSynced(again(error))),
                (Ok(()), Ok(())) => Ok(()),
            };
            job.answer.give(answer);
        }
    }

    fn append_here(&self, mut frames: Vec<u8>) -> Result<(), AppendError> {
        let result = self.active.with(|active| {
            let appended = self.append_to(active, &mut frames);
            appended.map_err(|error| active.failure(error))
        });
        if result.is_ok() {
            self.total_bytes.fetch_add(frames.len() as u64, Ordering::Relaxed);
        }
        result
    }

    fn append_to(&self, active: &mut Active, frames: &mut [u8]) -> io::Result<()> {
        if !active.has_room(frames.len(), self.segment_bytes) {
            self.rotate_active(active)?;
        }
        let appended = active.append(frames);
        // A torn tail that cannot be cut off ends the segment: the next says where it counts to.
        if appended.is_err() && !active.is_whole() && self.rotate_active(active).is_ok() {
            return active.append(frames);
        }
        appended
    }
}

fn closed() -> io::Error {
    io::Error::other("the session journal is closed")
}

/// The same error for another receiver.
fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
