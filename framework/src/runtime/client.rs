//! A connected socket that this process opened: TCP or unix, blocking in style on coroutines and on
//! plain threads.
//!
//! It is connected on a plain thread, since names resolve there, and used wherever it is wanted. A
//! deadline is one store; on a coroutine the [keeper](super::keeper) enforces it, a plain thread
//! waits with its own time-out.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use may::io::{CoIo, WaitIo, WaitIoWaker};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use socket2::{Domain, SockAddr, Type};

use super::keeper::{Kept, keep};
use super::local::is_coroutine;
use super::settings::workers;
use super::ticks;

/// A quiet peer is asked by the kernel after this time whether it still lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What the keeper sees of a socket.
struct ClientWatch {
    waker: WaitIoWaker,
    deadline_ms: AtomicU64,
}

impl ClientWatch {
    fn is_overdue(&self) -> bool {
        let deadline = self.deadline_ms.load(Ordering::Relaxed);
        deadline != 0 && ticks::exact_ms() >= deadline
    }

    /// The time left; `None` without a deadline.
    fn left(&self) -> Option<Duration> {
        match self.deadline_ms.load(Ordering::Relaxed) {
            0 => None,
            deadline => Some(Duration::from_millis(deadline.saturating_sub(ticks::exact_ms()))),
        }
    }
}

impl Kept for ClientWatch {
    /// Wakes the coroutine that waits for this socket if its deadline has passed.
    fn look_after(self: Arc<Self>) {
        if self.is_overdue() {
            self.waker.wakeup();
        }
    }
}

/// A connected socket. One coroutine may wait for it at a time; a second one needs
/// [`try_clone`](Self::try_clone).
pub(crate) struct ClientSocket {
    /// Taken out by the destructor alone.
    stream: Option<CoIo<socket2::Socket>>,
    watch: Arc<ClientWatch>,
}

impl ClientSocket {
    /// Connects to `address` within `limit`; blocks, so it belongs on a plain thread.
    pub(crate) fn connect_tcp(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.connect_timeout(&address.into(), limit)?;
        socket.set_tcp_nodelay(true)?;
        let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        // Without it a dead peer is noticed by the first request only.
        socket.set_tcp_keepalive(&keepalive).ok();
        Self::new(socket)
    }

    /// Connects to the unix socket at `path` within `limit`; blocks, as above.
    pub(crate) fn connect_unix(path: &Path, limit: Duration) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect_timeout(&SockAddr::unix(path)?, limit)?;
        Self::new(socket)
    }

    fn new(socket: socket2::Socket) -> io::Result<Self> {
        super::settings::in_force();
        let stream = CoIo::new(socket).map_err(io::Error::from)?;
        let waker = stream.waker();
        let watch = Arc::new(ClientWatch { waker, deadline_ms: AtomicU64::new(0) });
        keep(Arc::downgrade(&watch) as Weak<dyn Kept>);
        Ok(Self { stream: Some(stream), watch })
    }

    /// A handle of its own on the same connection, with a deadline of its own.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Self::new(self.socket()?.try_clone()?)
    }

    /// The same connection in the hands of `worker`: who waits for it wakes there. Where no
    /// descriptor of that worker is to be had, it stays where it is.
    pub(crate) fn on_worker(self, worker: usize) -> io::Result<Self> {
        let workers = workers();
        let is_its = |socket: &socket2::Socket| {
            // may gives each descriptor to the worker that is its number modulo theirs.
            usize::try_from(socket.as_raw_fd()).is_ok_and(|number| number % workers == worker)
        };
        if is_its(self.socket()?) {
            return Ok(self);
        }
        let mut others = Vec::new();
        while others.len() < 2 * workers {
            // Without descriptors to spare it is good where it is.
            let Ok(copy) = self.socket()?.try_clone() else { break };
            if is_its(&copy) {
                return Ok(Self::new(copy).unwrap_or(self));
            }
            others.push(copy);
        }
        Ok(self)
    }

    /// How many bytes could be read without waiting, 1 at most; 0 is the end, `None` nothing yet.
    pub(crate) fn peek(&self) -> Option<usize> {
        let mut byte = [MaybeUninit::uninit()];
        match self.socket().and_then(|socket| socket.peek(&mut byte)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            outcome => Some(outcome.unwrap_or(0)),
        }
    }

    /// Waits fail with [`ErrorKind::TimedOut`] once `limit` has passed; `None` for no deadline.
    pub(crate) fn set_deadline(&self, limit: Option<Duration>) {
        let deadline =
            limit.map_or(0, |limit| ticks::exact_ms().saturating_add(ticks::millis(limit)).max(1));
        self.watch.deadline_ms.store(deadline, Ordering::Relaxed);
    }

    /// Reads what there is, waiting for the first byte until the deadline. 0 is the end.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket()?.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::POLLIN)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Writes as much as the kernel takes without waiting; gives how much that was.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.socket()?.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Writes all of `bytes`, waiting for the peer until the deadline.
    pub(crate) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let written = self.try_write(bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            self.wait(PollFlags::POLLOUT)?;
        }
    }

    /// Ends the connection in both directions; whoever waits for it sees the end.
    pub(crate) fn shutdown(&self) {
        if let Ok(socket) = self.socket() {
            socket.shutdown(Shutdown::Both).ok();
        }
    }

    fn wait(&self, interest: PollFlags) -> io::Result<()> {
        self.check_deadline()?;
        if is_coroutine() {
            self.stream.as_ref().ok_or(ErrorKind::NotConnected)?.wait_io();
        } else {
            self.wait_on_thread(interest)?;
        }
        self.check_deadline()
    }

    fn wait_on_thread(&self, interest: PollFlags) -> io::Result<()> {
        let limit = match self.watch.left() {
            None => PollTimeout::NONE,
            Some(left) => PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        };
        let mut polled = [PollFd::new(self.socket()?.as_fd(), interest)];
        match nix::poll::poll(&mut polled, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn socket(&self) -> io::Result<&socket2::Socket> {
        self.stream.as_ref().map(CoIo::inner).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn check_deadline(&self) -> io::Result<()> {
        if self.watch.is_overdue() { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        // may closes a descriptor before it tells the poller. For one of two handles on a
        // connection that is too late: the entry would stay, pointing to freed memory (seen on may
        // 0.3.51 as EEXIST for the next handle). `into_inner` tells the poller first.
        drop(self.stream.take().map(CoIo::into_inner));
    }
}

impl fmt::Debug for ClientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSocket")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::ClientSocket;
    use crate::runtime::returns::home;
    use crate::runtime::settings::workers;
    use crate::runtime::{sleep, spawn};

    #[test]
    #[expect(clippy::disallowed_types, reason = "on a plain thread")]
    fn who_waits_wakes_on_the_worker_that_has_the_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for worker in 0..workers() {
            let address = listener.local_addr().unwrap();
            let socket = ClientSocket::connect_tcp(address, Duration::from_secs(5)).unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            let socket = socket.on_worker(worker).unwrap();
            let fd = usize::try_from(socket.socket().unwrap().as_raw_fd()).unwrap();
            assert_eq!(fd % workers(), worker);
            let reader = spawn(move || {
                socket.set_deadline(Some(Duration::from_secs(10)));
                // A byte that was there before the wait wakes nobody.
                while home() != Some(worker) && socket.read(&mut [0]).is_ok_and(|count| count > 0) {
                }
                home()
            })
            .unwrap();
            while !reader.is_finished() {
                peer.write_all(b"a").unwrap();
                sleep(Duration::from_millis(5));
            }
            assert_eq!(reader.join().unwrap(), Some(worker));
        }
    }
}
