//! A connected socket as a connection's coroutine uses it: blocking in style, never in fact.
//!
//! Reads and writes try the kernel first and park the coroutine only when it has nothing. Deadlines
//! are one store each; the sweeper wakes whoever is overdue.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use may::io::{CoIo, WaitIo, WaitIoWaker};
use nix::sys::epoll::EpollFlags;
use slotmap::DefaultKey;

use super::hub::Hub;
use super::stack;
use super::ticks;
use super::time::give_way_to_all;
use super::wake::Waker;

/// The kernel's socket, registered with may.
#[expect(clippy::disallowed_types, reason = "non-blocking, and waited for through may")]
pub(super) type RawStream = CoIo<std::net::TcpStream>;

/// How long a write waits for a peer that reads nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) usual: Duration,
    /// While the server drains, from its beginning; what is longer than `usual` is that.
    pub(crate) draining: Duration,
}

impl Patience {
    pub(crate) const fn always(limit: Duration) -> Self {
        Self { usual: limit, draining: limit }
    }
}

/// Reads and writes without a wait after which others get their turn: a peer that never pauses, on
/// either side, would keep a worker to itself.
const READY_IN_A_ROW: u32 = 64;

/// What may's wait tells when nothing but its waker ended it (may 0.3.51).
const WOKEN: usize = 0x8000_0000;

/// What the sweeper sees of a running connection.
pub(super) struct Watch {
    waker: WaitIoWaker,
    deadline_ms: AtomicU64,
    idle_since_ms: AtomicU64,
    /// The wait that is going on ends when the server drains.
    ends_with_drain: AtomicBool,
}

impl Watch {
    pub(super) fn new(stream: &RawStream) -> Self {
        Self {
            waker: stream.waker(),
            deadline_ms: AtomicU64::new(0),
            idle_since_ms: AtomicU64::new(0),
            ends_with_drain: AtomicBool::new(false),
        }
    }

    pub(super) fn ends_with_drain(&self) -> bool {
        self.ends_with_drain.load(Ordering::Relaxed)
    }

    pub(super) fn is_overdue(&self, now_ms: u64) -> bool {
        let deadline = self.deadline_ms.load(Ordering::Relaxed);
        deadline != 0 && now_ms >= deadline
    }

    pub(super) fn is_idle_for(&self, now_ms: u64, linger_ms: u64) -> bool {
        let since = self.idle_since_ms.load(Ordering::Relaxed);
        since != 0 && now_ms >= since.saturating_add(linger_ms)
    }

    /// Wakes the coroutine if it waits for the socket; harmless if it does not.
    pub(super) fn wake(&self) {
        self.waker.wakeup();
    }
}

/// A connected socket with its deadline.
pub(crate) struct Socket {
    stream: Option<RawStream>,
    peer: SocketAddr,
    /// The last read left nothing behind, so the next one would only learn that.
    drained: AtomicBool,
    /// The peer closed, reset or failed: no event will come any more, only reads tell.
    ended: AtomicBool,
    /// Reads and writes since the last wait.
    ready_in_a_row: AtomicU32,
    pub(super) watch: Arc<Watch>,
    pub(super) hub: Arc<Hub>,
    pub(super) station: usize,
    pub(super) active: DefaultKey,
    /// Near the top of the stack of the coroutine that serves this connection; 0 before.
    stack_mark: AtomicUsize,
}

/// The outcome of [`Socket::wait_idle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleWait {
    /// There may be something to read.
    Ready,
    /// Nothing came for the linger time, or the server drains: give the coroutine back.
    Idle,
}

impl Socket {
    pub(super) fn new(stream: RawStream, place: Place, peer: SocketAddr) -> Self {
        let Place { hub, station, active, watch } = place;
        Self {
            stream: Some(stream),
            peer,
            drained: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            ready_in_a_row: AtomicU32::new(0),
            watch,
            hub,
            station,
            active,
            stack_mark: AtomicUsize::new(0),
        }
    }

    /// The running coroutine serves this connection from here on, and is not deep in calls yet.
    pub(super) fn begin(&self) {
        self.stack_mark.store(stack::mark(), Ordering::Relaxed);
    }

    /// Gives the memory back that deep calls left of the serving coroutine's stack, before a wait
    /// that may be long; a system call, and page faults when it goes deep again. On another
    /// coroutine it does nothing.
    pub(crate) fn trim_stack(&self) {
        stack::trim(self.stack_mark.load(Ordering::Relaxed));
    }

    /// The other end's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the server is shutting down and idle connections should end.
    pub(crate) fn is_draining(&self) -> bool {
        self.hub.is_draining()
    }

    /// From now on waits fail with [`ErrorKind::TimedOut`] once `limit` has passed.
    pub(crate) fn set_deadline(&self, limit: Duration) {
        self.set_deadline_at(ticks::now_ms().saturating_add(ticks::millis(limit)));
    }

    /// As [`set_deadline`](Self::set_deadline), with a moment of the coarse clock.
    pub(crate) fn set_deadline_at(&self, deadline_ms: u64) {
        self.watch.deadline_ms.store(deadline_ms, Ordering::Relaxed);
    }

    /// Waits have no deadline from now on.
    pub(crate) fn clear_deadline(&self) {
        self.watch.deadline_ms.store(0, Ordering::Relaxed);
    }

    /// Reads what there is, waiting for the first byte until the deadline. 0 is the end.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_drained() {
                // Whoever is late already gets no last look: it would be one for each byte.
                self.check_deadline()?;
                if let Err(error) = self.wait() {
                    return self.read_late(buffer, error);
                }
            }
            if let Some(count) = self.try_read(buffer)? {
                self.pause_now_and_then();
                return Ok(count);
            }
        }
    }

    /// The end of a wait that failed. If it was for its time: what came meanwhile is read all the same,
    /// for the worker may have been busy, and the peer in time.
    #[cold]
    fn read_late(&self, buffer: &mut [u8], error: io::Error) -> io::Result<usize> {
        match error.kind() {
            ErrorKind::TimedOut => self.try_read(buffer)?.ok_or(error),
            _ => Err(error),
        }
    }

    /// Waits until there may be something to read, until the deadline, or for the linger time.
    pub(crate) fn wait_idle(&self) -> io::Result<IdleWait> {
        if !self.is_drained() {
            self.watch.idle_since_ms.store(0, Ordering::Relaxed);
            self.pause_now_and_then();
            return Ok(IdleWait::Ready);
        }
        let now = ticks::now_ms();
        if self.watch.is_idle_for(now, self.hub.linger_ms()) || self.is_draining() {
            self.watch.idle_since_ms.store(0, Ordering::Relaxed);
            return Ok(IdleWait::Idle);
        }
        if self.watch.idle_since_ms.load(Ordering::Relaxed) == 0 {
            self.watch.idle_since_ms.store(now, Ordering::Relaxed);
        }
        self.wait()?;
        Ok(IdleWait::Ready)
    }

    /// Reads what there is; `None` when there is nothing yet. 0 is the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.std_stream()?.read(buffer) {
                Ok(count) => {
                    self.drained.store(count > 0 && count < buffer.len(), Ordering::Relaxed);
                    self.watch.idle_since_ms.store(0, Ordering::Relaxed);
                    return Ok(Some(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.drained.store(true, Ordering::Relaxed);
                    self.ended.store(false, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes all of `bytes`; each wait for the peer to read is bounded by `limit`.
    pub(crate) fn write_all(&self, bytes: &[u8], limit: Duration) -> io::Result<()> {
        self.write_all_vectored([bytes, &[]], Patience::always(limit))
    }

    /// Writes two pieces one after the other, with as few system calls as the kernel allows.
    pub(crate) fn write_all_vectored(
        &self,
        mut pieces: [&[u8]; 2],
        patience: Patience,
    ) -> io::Result<()> {
        // Bytes that arrive meanwhile wake the wait too; only bytes that leave are progress.
        let mut timed_by = None;
        loop {
            let [first, second] = pieces;
            let written = match (first.is_empty(), second.is_empty()) {
                (true, true) => return Ok(()),
                (false, true) => self.std_stream()?.write(first),
                (true, false) => self.std_stream()?.write(second),
                (false, false) => {
                    self.std_stream()?.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
                }
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    pieces = advance(pieces, count);
                    if timed_by.take().is_some() {
                        self.clear_deadline();
                    }
                    self.pause_now_and_then();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.await_room(patience, &mut timed_by)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the peer may have read something. `timed_by` is the limit that runs since it
    /// last did: of a drain that begins meanwhile it is the shorter one.
    fn await_room(&self, patience: Patience, timed_by: &mut Option<Duration>) -> io::Result<()> {
        // First the note, then the look, as in `wait_or_woken`.
        let may_shorten =
            patience.draining < patience.usual && *timed_by != Some(patience.draining);
        self.watch.ends_with_drain.store(may_shorten, Ordering::Relaxed);
        let is_short = may_shorten && self.is_draining();
        if is_short || timed_by.is_none() {
            let limit = if is_short { patience.draining } else { patience.usual };
            self.set_deadline(limit);
            *timed_by = Some(limit);
        }
        // Noted for nothing, it would be woken at every tick.
        if is_short {
            self.watch.ends_with_drain.store(false, Ordering::Relaxed);
        }
        let waited = self.wait();
        self.watch.ends_with_drain.store(false, Ordering::Relaxed);
        waited
    }

    /// Wakes a coroutine that [waits](Self::wait_or_woken) for this socket.
    pub(crate) fn waker(&self) -> Waker {
        Waker::of_socket(Arc::clone(&self.watch))
    }

    /// Waits until something happens to the socket or its [`waker`](Self::waker) is called, until
    /// `deadline_ms` on the coarse clock (0: none) and, unless `through_drain`, until the server
    /// drains. A wake from before the wait ends it at once; it may end for no reason.
    pub(crate) fn wait_or_woken(&self, deadline_ms: u64, through_drain: bool) -> io::Result<()> {
        // First the note, then the look: whoever drains looks for notes again and again.
        self.watch.ends_with_drain.store(!through_drain, Ordering::Relaxed);
        self.set_deadline_at(deadline_ms);
        let waited = match !through_drain && self.is_draining() {
            true => Ok(()),
            false => self.wait(),
        };
        self.clear_deadline();
        self.watch.ends_with_drain.store(false, Ordering::Relaxed);
        match waited {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
            waited => waited,
        }
    }

    /// Whether a read would only learn that nothing has come.
    fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed) && !self.ended.load(Ordering::Relaxed)
    }

    /// Whether the peer is known to have closed, or at least its sending half.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Reads what there is; `None` when there is nothing yet, which may be known without asking
    /// the kernel. 0 is the end.
    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if self.is_drained() { Ok(None) } else { self.try_read(buffer) }
    }

    /// Has the next [`read_now`](Self::read_now) ask the kernel. What is known of the socket is as old
    /// as the last wait; this is for who does not wait.
    pub(crate) fn forget_drained(&self) {
        self.drained.store(false, Ordering::Relaxed);
    }

    /// Says that nothing more will be sent; the peer's bytes can still be read.
    pub(crate) fn shutdown_write(&self) {
        if let Ok(stream) = self.std_stream() {
            stream.shutdown(Shutdown::Write).ok();
        }
    }

    /// Makes the peer see a reset, not an orderly end, when the socket is closed.
    pub(crate) fn reset_when_closed(&self) {
        if let Ok(stream) = self.std_stream() {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
        }
    }

    #[expect(clippy::disallowed_types, reason = "non-blocking, and waited for through may")]
    fn std_stream(&self) -> io::Result<&std::net::TcpStream> {
        self.stream.as_ref().map(RawStream::inner).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn pause_now_and_then(&self) {
        let count = self.ready_in_a_row.load(Ordering::Relaxed);
        if count < READY_IN_A_ROW {
            self.ready_in_a_row.store(count + 1, Ordering::Relaxed);
        } else {
            self.ready_in_a_row.store(0, Ordering::Relaxed);
            give_way_to_all();
        }
    }

    /// Parks the coroutine until something happens to the socket; spurious wakes are possible.
    fn wait(&self) -> io::Result<()> {
        self.check_deadline()?;
        self.ready_in_a_row.store(0, Ordering::Relaxed);
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        let flags = stream.wait_io();
        let over = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        #[expect(clippy::cast_sign_loss, reason = "the bits of a flag set")]
        if flags & over.bits() as usize != 0 {
            self.ended.store(true, Ordering::Relaxed);
        }
        // A wake by hand alone brings no bytes.
        if flags != WOKEN {
            self.drained.store(false, Ordering::Relaxed);
        }
        self.check_deadline()
    }

    fn check_deadline(&self) -> io::Result<()> {
        if self.hub.is_aborting() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if self.watch.is_overdue(ticks::now_ms()) {
            Err(ErrorKind::TimedOut.into())
        } else {
            Ok(())
        }
    }

    /// Takes the kernel's socket out; the connection counts as closed unless it is parked.
    pub(super) fn take_stream(&mut self) -> Option<RawStream> {
        self.stream.take()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.hub.leave(self.station, self.active, self.stream.is_some());
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Where a running connection is entered in its hub.
pub(super) struct Place {
    pub(super) hub: Arc<Hub>,
    pub(super) station: usize,
    pub(super) active: DefaultKey,
    pub(super) watch: Arc<Watch>,
}

fn advance([first, second]: [&[u8]; 2], count: usize) -> [&[u8]; 2] {
    match first.get(count..) {
        Some(rest) => [rest, second],
        None => [&[], second.get(count - first.len()..).unwrap_or_default()],
    }
}
