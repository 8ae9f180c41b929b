//! The way back from the blocking pool: parked coroutines return to the worker they came from,
//! many of them with one system call.
//!
//! may wakes a coroutine from a plain thread with a write to an event descriptor each, on any
//! worker. Here each worker has a list and a coroutine of its own that waits for a descriptor of
//! that worker; only the first entry of a list writes to it. As this coroutine runs whenever its
//! worker is free, it also tells that the worker is.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use may::io::{CoIo, WaitIo};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::pthread::{Pthread, pthread_self};

use super::blocker::Parked;
use super::settings::workers;
use super::spawn::spawn_on;
use super::sync::ShortLock;

/// The worker a coroutine ran on when it left; `None` when it cannot be told.
pub(crate) type Home = Option<usize>;

pub(super) struct Lane {
    returning: ShortLock<Vec<Arc<dyn Parked>>>,
    thread: OnceLock<Thread>,
    /// Its coroutine has been started, though it may not have come to run yet.
    is_served: AtomicBool,
    beats: AtomicU64,
    bell: Bell,
}

struct Thread {
    id: Pthread,
    /// As the kernel calls it.
    kernel_id: i32,
}

#[derive(Clone)]
struct Bell(Arc<EventFd>);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// One lane a worker; none at all if the system gives no descriptors for them.
pub(super) fn lanes() -> &'static [Lane] {
    static LANES: OnceLock<Vec<Lane>> = OnceLock::new();
    static STARTED: OnceLock<()> = OnceLock::new();
    let lanes = LANES.get_or_init(|| {
        let workers = workers();
        (0..workers)
            .map(|worker| Lane::new(worker, workers))
            .collect::<Option<_>>()
            .unwrap_or_default()
    });
    STARTED.get_or_init(|| {
        for (worker, lane) in lanes.iter().enumerate() {
            // A lane nobody serves has no thread, so nobody comes home to it.
            lane.is_served.store(true, Ordering::Relaxed);
            if spawn_on(worker, || lane.serve()).is_err() {
                lane.is_served.store(false, Ordering::Relaxed);
            }
        }
    });
    lanes
}

/// The worker that runs the caller, where it is to be woken later.
#[inline(never)]
pub(crate) fn home() -> Home {
    let here = pthread_self();
    lanes().iter().position(|lane| lane.thread.get().is_some_and(|thread| thread.id == here))
}

/// Wakes a parked coroutine on its home worker.
pub(super) fn wake(home: Home, caller: Arc<dyn Parked>) {
    if home.is_some() && home != self::home() {
        return send(home, caller);
    }
    caller.blocker().unpark();
}

/// As [`wake`]; on the caller's own worker only when that has looked at the network.
pub(super) fn send(home: Home, caller: Arc<dyn Parked>) {
    let Some(lane) = home.and_then(|home| lanes().get(home)) else {
        return caller.blocker().unpark();
    };
    let is_first = lane.returning.with(|returning| {
        returning.push(caller);
        returning.len() == 1
    });
    if is_first {
        lane.ring();
    }
}

impl Lane {
    /// A lane whose descriptor may polls on `worker`.
    fn new(worker: usize, workers: usize) -> Option<Self> {
        let mut others = Vec::new();
        let bell = loop {
            let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
            let bell = EventFd::from_value_and_flags(0, flags).ok()?;
            if usize::try_from(bell.as_raw_fd()).ok()? % workers == worker {
                break bell;
            }
            others.push(bell);
        };
        Some(Self {
            returning: ShortLock::new(Vec::new()),
            thread: OnceLock::new(),
            is_served: AtomicBool::new(false),
            beats: AtomicU64::new(0),
            bell: Bell(Arc::new(bell)),
        })
    }

    /// Makes the lane's coroutine look, as soon as its worker is free.
    pub(super) fn ring(&self) {
        // It fails only at 2^64 - 2 unread writes.
        self.bell.0.write(1).ok();
    }

    /// How often the lane's coroutine has looked; it moves after each [`ring`](Self::ring).
    pub(super) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Whether the lane's coroutine looks after a [`ring`](Self::ring) once its worker is free.
    pub(super) fn is_served(&self) -> bool {
        self.is_served.load(Ordering::Relaxed)
    }

    /// The worker's thread as the kernel calls it; `None` until the lane's coroutine has run.
    pub(super) fn thread_id(&self) -> Option<i32> {
        self.thread.get().map(|thread| thread.kernel_id)
    }

    fn serve(&self) {
        let Ok(bell) = CoIo::new(self.bell.clone()) else {
            return self.is_served.store(false, Ordering::Relaxed);
        };
        // Only a wait for the descriptor makes sure that this coroutine is on its worker.
        self.ring();
        bell.wait_io();
        let kernel_id = nix::unistd::gettid().as_raw();
        self.thread.set(Thread { id: pthread_self(), kernel_id }).ok();
        let mut returning = Vec::new();
        loop {
            // Nobody else writes it.
            self.beats.store(self.beats().wrapping_add(1), Ordering::Relaxed);
            self.returning.with(|list| std::mem::swap(list, &mut returning));
            if returning.is_empty() {
                // Edge-triggered: each write is an event, the count need not be read.
                bell.wait_io();
            }
            for caller in returning.drain(..) {
                caller.blocker().unpark();
            }
        }
    }
}
