//! A connection after its response head: raw bytes both ways after `101 Switching Protocols`, and
//! what a connection that stays open can be waited for.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use crate::runtime::Waker;

/// A connection that one coroutine waits for, together with whatever else wakes that coroutine.
pub(crate) trait Line {
    /// Wakes the coroutine out of [`wait`](Self::wait).
    fn waker(&self) -> Waker;

    /// Waits until something may have come from the client or the waker was called, or until
    /// `deadline_ms` on the coarse clock (0: none). Unless `through_drain` is set, a server that
    /// drains ends every wait. It may end for no reason.
    ///
    /// # Errors
    /// When the connection cannot be waited for any more.
    fn wait(&self, deadline_ms: u64, through_drain: bool) -> io::Result<()>;

    /// Gives back memory the coroutine does not need while it waits, where the wait may be long.
    fn rest(&self);

    /// Whether the server is about to stop.
    fn is_draining(&self) -> bool;

    /// Whether the client is known to send nothing more: it has closed.
    fn has_ended(&self) -> bool;
}

/// The two directions of an upgraded connection, whatever carries them.
pub(crate) trait Duplex: Line + Send {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// What there is now; `None` when there is nothing yet. 0 is the end.
    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>>;
    /// For who has not waited lately: the next [`read_now`](Self::read_now) finds what came meanwhile.
    fn look_anew(&mut self);
    /// While the server stops, a client that reads nothing is waited for no longer than `limit`.
    fn hurry_when_draining(&mut self, limit: Duration);
    fn write_all(&mut self, pieces: [&[u8]; 2]) -> io::Result<()>;
}

/// The raw connection an upgrade hands over; a [`Read`] and a [`Write`].
///
/// Bytes the client sent right behind its request come first. Reads wait without a deadline, until
/// the client closes or the server has drained for `shutdown_grace`. It may be handed to a child;
/// on a plain thread and on the blocking pool it fails.
pub struct Upgraded {
    inner: Box<dyn Duplex>,
}

impl Upgraded {
    pub(crate) fn new(inner: Box<dyn Duplex>) -> Self {
        Self { inner }
    }

    /// What is beneath, for protocols of our own.
    pub(crate) fn into_duplex(self) -> Box<dyn Duplex> {
        self.inner
    }
}

impl Read for Upgraded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl Write for Upgraded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all([bytes, &[]])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgraded")
    }
}
