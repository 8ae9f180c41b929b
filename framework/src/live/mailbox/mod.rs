//! A mailbox: many senders that never wait, one receiver that does.
//!
//! The receiver either waits for its mailbox alone ([`Mailbox::recv`]), or for its socket and its
//! mailbox at once: then it names the socket's waker once ([`Mailbox::wakes`]), and before each
//! wait for the socket asks [`Mailbox::take_or_await`].
//!
//! Why no wake is lost: "I found nothing and go to wait" is noted under the same lock under which a
//! letter is put in. A sender therefore either put its letter in before, then the receiver found
//! it; or after, then it sees the note and wakes. A wake that comes before the receiver has parked
//! is kept by what it parks on (may's flag of the socket, the flag of a `Parker`), so the park
//! returns at once. After every wait the receiver looks again. `tests.rs` lets a model checker try
//! the schedules.

mod queue;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use queue::{Letter, Received, WhenFull};

use queue::{Posted, Queue};

use crate::runtime::sync::ShortLock;
use crate::runtime::{Parker, Waker};

/// The receiving end. Dropping it closes the mailbox: what is posted then is dropped.
pub(crate) struct Mailbox<L: Letter> {
    shared: Arc<ShortLock<Shared<L>>>,
}

struct Shared<L> {
    queue: Queue<L>,
    waker: Option<Waker>,
}

impl<L: Letter> Mailbox<L> {
    /// An empty mailbox for `capacity` letters (at least one).
    pub(crate) fn new(capacity: usize, when_full: WhenFull) -> Self {
        let queue = Queue::new(capacity, when_full);
        Self { shared: Arc::new(ShortLock::new(Shared { queue, waker: None })) }
    }

    /// A sending end.
    pub(crate) fn post(&self) -> Post<L> {
        Post { shared: Arc::clone(&self.shared) }
    }

    /// From now on a post wakes whom `waker` names, if the mailbox is awaited.
    pub(crate) fn wakes(&self, waker: Waker) {
        self.shared.with(|shared| shared.waker = Some(waker));
    }

    /// What is there now.
    pub(crate) fn take(&self) -> Received<L> {
        self.shared.with(|shared| shared.queue.take())
    }

    /// The last letter of all, if it was posted, before those that came earlier.
    pub(crate) fn take_end(&self) -> Option<L> {
        self.shared.with(|shared| shared.queue.take_end())
    }

    /// What is there now; with [`Received::Nothing`] the next post wakes the receiver.
    pub(crate) fn take_or_await(&self) -> Received<L> {
        self.shared.with(|shared| shared.queue.take_or_await())
    }

    /// Waits for something, for at most `limit`; then [`Received::Nothing`]. For a receiver without
    /// a socket, on a coroutine or a thread.
    pub(crate) fn recv(&self, limit: Option<Duration>) -> Received<L> {
        match self.take() {
            Received::Nothing => {}
            received => return received,
        }
        let deadline = limit.map(|limit| Instant::now() + limit);
        let parker = Parker::new();
        self.wakes(parker.waker());
        loop {
            match self.take_or_await() {
                Received::Nothing => {}
                received => return received,
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !parker.park(left) {
                return self.take();
            }
        }
    }
}

impl<L: Letter> Drop for Mailbox<L> {
    fn drop(&mut self) {
        let waiting = self.shared.with(|shared| shared.queue.close());
        drop(waiting);
    }
}

impl<L: Letter> fmt::Debug for Mailbox<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

/// A sending end of a [`Mailbox`]; clones send to the same one.
pub(crate) struct Post<L> {
    shared: Arc<ShortLock<Shared<L>>>,
}

impl<L: Letter> Post<L> {
    /// Puts `letter` in and wakes the receiver. Neither waits nor yields, so it may be called under
    /// locks, in destructors and on any thread. False when nobody will ever read it: the receiver
    /// is gone and this end can be dropped.
    pub(crate) fn send(&self, letter: L) -> bool {
        let (posted, waker) = self.shared.with(|shared| {
            let posted = shared.queue.post(letter);
            let waker = if posted.wakes { shared.waker.clone() } else { None };
            (posted, waker)
        });
        if let Some(waker) = waker {
            waker.wake();
        }
        let Posted { is_closed, dropped, .. } = posted;
        drop(dropped);
        !is_closed
    }
}

impl<L> Clone for Post<L> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<L> fmt::Debug for Post<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}
