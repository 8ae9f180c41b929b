//! The way back from the blocking pool: parked coroutines return to the worker they came from,
//! many of them with one system call.
//!
//! may wakes a coroutine from a plain thread with a write to an event descriptor each, on any
//! worker. Here each worker has a list and a coroutine of its own that waits for a descriptor of
//! that worker; only the first entry of a list writes to it.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;

use may::io::{CoIo, WaitIo};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::blocker::Parked;
use super::settings::workers;
use super::spawn::spawn_on;
use super::sync::ShortLock;

/// The worker a coroutine ran on when it left; `None` when it cannot be told.
pub(super) type Home = Option<usize>;

struct Lane {
    returning: ShortLock<Vec<Arc<dyn Parked>>>,
    thread: OnceLock<ThreadId>,
    bell: Bell,
}

#[derive(Clone)]
struct Bell(Arc<EventFd>);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// One lane a worker; none at all if the system gives no descriptors for them.
fn lanes() -> &'static [Lane] {
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
            spawn_on(worker, || lane.serve()).ok();
        }
    });
    lanes
}

/// Where the calling coroutine is to be woken later.
#[inline(never)]
pub(super) fn home() -> Home {
    let here = std::thread::current().id();
    lanes().iter().position(|lane| lane.thread.get() == Some(&here))
}

/// Wakes a parked coroutine on its home worker.
pub(super) fn wake(home: Home, caller: Arc<dyn Parked>) {
    let Some(lane) = home.and_then(|home| lanes().get(home)) else {
        caller.blocker().unpark();
        return;
    };
    let is_first = lane.returning.with(|returning| {
        returning.push(caller);
        returning.len() == 1
    });
    if is_first {
        // It fails only at 2^64 - 2 unread writes.
        lane.bell.0.write(1).ok();
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
            bell: Bell(Arc::new(bell)),
        })
    }

    fn serve(&self) {
        let Ok(bell) = CoIo::new(self.bell.clone()) else { return };
        // Only a wait for the descriptor makes sure that this coroutine is on its worker.
        self.bell.0.write(1).ok();
        bell.wait_io();
        self.thread.set(std::thread::current().id()).ok();
        let mut returning = Vec::new();
        loop {
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
