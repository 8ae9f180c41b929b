//! A bounded channel that parks coroutines. Its destructors never wait: they only post.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::semaphore::Semaphore;
use super::sync::ShortLock;

/// A channel of at most `capacity` waiting values (at least one), from many senders to many
/// receivers.
///
/// ```
/// let (sender, receiver) = maypole::sync::channel(8);
/// let child = maypole::spawn(move || sender.send("hello"))?;
/// assert_eq!(receiver.recv(), Some("hello"));
/// assert_eq!(receiver.recv(), None, "the sender is gone");
/// # child.join()?.unwrap();
/// # Ok::<(), maypole::Error>(())
/// ```
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Channel {
        queue: ShortLock::new(VecDeque::new()),
        filled: Semaphore::new(0),
        free: Semaphore::new(capacity.max(1)),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
    });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

/// Two counting semaphores keep the account: `filled` has a permit per value, `free` one per empty
/// place. When one side is gone, a permit without a value or place behind it wakes the other side;
/// whoever finds that posts it again for the next.
struct Channel<T> {
    queue: ShortLock<VecDeque<T>>,
    filled: Semaphore,
    free: Semaphore,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

/// The sending end of a [`channel`].
pub struct Sender<T> {
    shared: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends `value`, waiting while the channel is full.
    ///
    /// # Errors
    /// Gives the value back when every receiver is gone.
    pub fn send(&self, value: T) -> Result<(), T> {
        self.shared.free.take();
        self.push(value)
    }

    /// Sends `value` if there is room for it now.
    ///
    /// # Errors
    /// Gives the value back when the channel is full or every receiver is gone.
    pub fn try_send(&self, value: T) -> Result<(), T> {
        if self.shared.free.try_take() { self.push(value) } else { Err(value) }
    }

    fn push(&self, value: T) -> Result<(), T> {
        if self.shared.receivers.load(Ordering::Acquire) == 0 {
            self.shared.free.give_back();
            return Err(value);
        }
        self.shared.queue.with(|queue| queue.push_back(value));
        self.shared.filled.give_back();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::AcqRel);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.filled.give_back();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// The receiving end of a [`channel`].
pub struct Receiver<T> {
    shared: Arc<Channel<T>>,
}

impl<T> Receiver<T> {
    /// The next value, waiting for one; `None` when every sender is gone and the channel empty.
    #[must_use]
    pub fn recv(&self) -> Option<T> {
        self.shared.filled.take();
        self.pop()
    }

    /// The next value, if one is waiting.
    #[must_use]
    pub fn try_recv(&self) -> Option<T> {
        if self.shared.filled.try_take() { self.pop() } else { None }
    }

    fn pop(&self) -> Option<T> {
        let value = self.shared.queue.with(VecDeque::pop_front);
        let account = if value.is_some() { &self.shared.free } else { &self.shared.filled };
        account.give_back();
        value
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::AcqRel);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.free.give_back();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}
