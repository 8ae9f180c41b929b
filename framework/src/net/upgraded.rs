//! The connection beneath an upgrade or a stream, as the rooms above wait for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::read::Input;
use crate::runtime::{Patience, Socket, Waker, is_coroutine};
use crate::upgrade::{Duplex, Line};

impl Line for Socket {
    fn waker(&self) -> Waker {
        self.waker()
    }

    fn wait(&self, deadline_ms: u64, through_drain: bool) -> io::Result<()> {
        only_on_a_coroutine()?;
        self.wait_or_woken(deadline_ms, through_drain)
    }

    fn rest(&self) {
        self.trim_stack();
    }

    fn is_draining(&self) -> bool {
        self.is_draining()
    }

    fn has_ended(&self) -> bool {
        self.has_ended()
    }
}

/// The socket after an upgrade, with the bytes that came behind the request first.
pub(super) struct UpgradedSocket {
    pub(super) socket: Arc<Socket>,
    pub(super) patience: Patience,
    pub(super) first: Input,
    /// A write or a read failed: nothing may be sent after it.
    pub(super) is_broken: Arc<AtomicBool>,
}

impl UpgradedSocket {
    fn note<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.is_err() {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

/// may cannot park a plain thread on a socket; it would panic.
fn only_on_a_coroutine() -> io::Result<()> {
    if is_coroutine() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::Unsupported, "a connection works on coroutines only"))
}

impl UpgradedSocket {
    /// The bytes that came behind the request; `None` when all were read.
    fn read_first(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let unread = self.first.unread();
        if unread.is_empty() {
            return None;
        }
        let count = unread.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(unread) {
            *to = *from;
        }
        self.first.start += count;
        if self.first.unread().is_empty() {
            self.first = Input::default();
        }
        Some(count)
    }
}

impl Line for UpgradedSocket {
    fn waker(&self) -> Waker {
        self.socket.waker()
    }

    fn wait(&self, deadline_ms: u64, through_drain: bool) -> io::Result<()> {
        only_on_a_coroutine()?;
        let waited = self.socket.wait_or_woken(deadline_ms, through_drain);
        self.note(waited)
    }

    fn rest(&self) {
        self.socket.trim_stack();
    }

    fn is_draining(&self) -> bool {
        self.socket.is_draining()
    }

    fn has_ended(&self) -> bool {
        self.socket.has_ended()
    }
}

impl Duplex for UpgradedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        only_on_a_coroutine()?;
        match self.read_first(buffer) {
            Some(count) => Ok(count),
            None => self.note(self.socket.read(buffer)),
        }
    }

    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        only_on_a_coroutine()?;
        match self.read_first(buffer) {
            Some(count) => Ok(Some(count)),
            None => self.note(self.socket.read_now(buffer)),
        }
    }

    fn look_anew(&mut self) {
        self.socket.forget_drained();
    }

    fn hurry_when_draining(&mut self, limit: Duration) {
        self.patience.draining = limit;
    }

    fn write_all(&mut self, pieces: [&[u8]; 2]) -> io::Result<()> {
        only_on_a_coroutine()?;
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.note(self.socket.write_all_vectored(pieces, self.patience))
    }
}
