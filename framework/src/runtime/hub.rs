//! All connections of one server: running ones on their coroutines, idle ones as a few bytes.
//!
//! Each worker has a station: an epoll of its own, nested in may's, in which parked sockets wait.
//! Parking costs one `epoll_ctl`; a parked connection has no coroutine and no buffer. When bytes
//! arrive the station starts a coroutine on the same worker. This file knows no HTTP: what a
//! coroutine does with its socket is a function given at start.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use may::io::{CoIo, WaitIo, WaitIoWaker};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slotmap::{DefaultKey, Key, KeyData, SlotMap};

use super::settings::{coroutine_capacity, workers};
use super::socket::{Place, RawStream, Socket, Watch};
use super::spawn::{live_coroutines, spawn_here, spawn_on};
use super::sync::ShortLock;
use super::ticks;

/// What a hub is started with.
#[derive(Debug, Clone)]
pub(crate) struct HubSettings {
    /// Connections at once, parked ones included.
    pub(crate) max_connections: usize,
    /// How long a connection keeps its coroutine while nothing arrives.
    pub(crate) linger_ms: u64,
    /// How long a new connection may stay silent.
    pub(crate) first_byte_ms: u64,
    /// How long a worker may serve nobody before a warning is logged; `None` for never.
    pub(crate) stall_warning_ms: Option<u64>,
    /// Sent to a connection that is one too many, before it is closed.
    pub(crate) refusal: &'static [u8],
}

/// What a connection keeps while it is parked.
#[derive(Debug, Default)]
pub(crate) struct Carry {
    /// Bytes of an unfinished request.
    pub(crate) bytes: Vec<u8>,
    /// Requests answered so far.
    pub(crate) requests: u32,
    /// When the unfinished request must be complete, on the coarse clock; 0 if none has begun.
    pub(crate) head_deadline_ms: u64,
}

/// How a connection's turn on its coroutine ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Close the socket.
    Close,
    /// Wait without a coroutine until bytes arrive or the deadline passes; then `farewell` is sent.
    Park { carry: Carry, deadline_ms: u64, farewell: Option<Farewell> },
}

/// Composes the last bytes of a connection at their time, given in seconds since 1970.
pub(crate) type Farewell = fn(u64) -> Vec<u8>;

type Serve = dyn Fn(&Arc<Socket>, Carry) -> Ending + Send + Sync;

/// All connections of one server.
pub(crate) struct Hub {
    settings: HubSettings,
    serve: Box<Serve>,
    stations: Box<[Station]>,
    phase: AtomicU8,
    connections: AtomicUsize,
}

const RUNNING: u8 = 0;
const DRAINING: u8 = 1;
const ABORTING: u8 = 2;
const CLOSED: u8 = 3;

struct Station {
    epoll: Arc<EpollFd>,
    waker: OnceLock<WaitIoWaker>,
    parked: ShortLock<SlotMap<DefaultKey, Parked>>,
    active: ShortLock<SlotMap<DefaultKey, Arc<Watch>>>,
}

struct EpollFd(Epoll);

impl AsRawFd for EpollFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

struct Parked {
    link: Link,
    peer: SocketAddr,
    deadline_ms: u64,
    farewell: Option<Farewell>,
    carry: Carry,
}

enum Link {
    /// Accepted, and not yet known to may.
    #[expect(clippy::disallowed_types, reason = "it only waits here")]
    New(std::net::TcpStream),
    Kept(RawStream),
}

impl Link {
    #[expect(clippy::disallowed_types, reason = "non-blocking")]
    fn stream(&self) -> &std::net::TcpStream {
        match self {
            Self::New(stream) => stream,
            Self::Kept(stream) => stream.inner(),
        }
    }
}

impl Hub {
    /// A hub whose connections are served by `serve`, with one reactor per worker running.
    pub(crate) fn start(
        settings: HubSettings,
        serve: impl Fn(&Arc<Socket>, Carry) -> Ending + Send + Sync + 'static,
    ) -> io::Result<Arc<Self>> {
        let workers = workers();
        let stations = (0..workers).map(|worker| Station::new(worker, workers));
        let hub = Arc::new(Self {
            settings,
            serve: Box::new(serve),
            stations: stations.collect::<io::Result<_>>()?,
            phase: AtomicU8::new(RUNNING),
            connections: AtomicUsize::new(0),
        });
        for index in 0..workers {
            let hub = Arc::clone(&hub);
            spawn_on(index, move || hub.react(index))
                .map_err(|error| io::Error::other(error.chain()))?;
        }
        Ok(hub)
    }

    pub(super) fn linger_ms(&self) -> u64 {
        self.settings.linger_ms
    }

    pub(super) fn stall_warning_ms(&self) -> Option<u64> {
        self.settings.stall_warning_ms
    }

    /// Open connections, parked ones included.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Connections without a coroutine.
    pub(crate) fn parked(&self) -> usize {
        self.stations.iter().map(|station| station.parked.with(|parked| parked.len())).sum()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != RUNNING
    }

    pub(super) fn is_aborting(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= ABORTING
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == CLOSED
    }

    /// Idle connections end now, running ones after their present request.
    pub(crate) fn drain(&self) {
        self.phase.fetch_max(DRAINING, Ordering::AcqRel);
    }

    /// Every wait for a socket fails from now on.
    pub(crate) fn abort(&self) {
        self.phase.fetch_max(ABORTING, Ordering::AcqRel);
    }

    /// Ends the reactors; nothing is accepted or woken any more.
    pub(crate) fn close(&self) {
        self.phase.store(CLOSED, Ordering::Release);
        for station in &self.stations {
            if let Some(waker) = station.waker.get() {
                waker.wakeup();
            }
        }
    }

    /// Takes a new connection in, parked until its first byte.
    #[expect(clippy::disallowed_types, reason = "accepted by a thread of its own")]
    pub(super) fn admit(&self, stream: std::net::TcpStream, peer: SocketAddr) {
        if self.connections.fetch_add(1, Ordering::AcqRel) >= self.settings.max_connections {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            refuse(&stream, self.settings.refusal);
            return;
        }
        let Some(station) = self.station_of(&stream) else { return };
        let deadline_ms = ticks::now_ms() + self.settings.first_byte_ms;
        let parked = Parked {
            link: Link::New(stream),
            peer,
            deadline_ms,
            farewell: None,
            carry: Carry::default(),
        };
        if station.park(parked, add).is_err() {
            self.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn station_of(&self, stream: &impl AsRawFd) -> Option<&Station> {
        let index = self.index_of(stream);
        self.stations.get(index)
    }

    /// may polls a descriptor on worker `fd % workers`; parking stays on that worker.
    fn index_of(&self, stream: &impl AsRawFd) -> usize {
        usize::try_from(stream.as_raw_fd()).unwrap_or(0) % self.stations.len().max(1)
    }

    /// The reactor of one worker: starts a coroutine for each parked socket that has bytes.
    fn react(self: &Arc<Self>, index: usize) {
        let Some(station) = self.stations.get(index) else { return };
        let Ok(epoll) = CoIo::new(Arc::clone(&station.epoll)) else {
            log::error!("worker {index} cannot wait for parked connections");
            return;
        };
        station.waker.set(epoll.waker()).ok();
        let mut events = vec![EpollEvent::empty(); 256];
        while !self.is_closed() {
            let count = station.epoll.0.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            for event in events.iter().take(count) {
                self.wake(index, DefaultKey::from(KeyData::from_ffi(event.data())));
            }
            // Edge-triggered from may's side: fewer than asked for means all were fetched.
            if count < events.len() {
                epoll.wait_io();
            }
        }
    }

    fn wake(self: &Arc<Self>, index: usize, key: DefaultKey) {
        let Some(station) = self.stations.get(index) else { return };
        let Some(parked) = station.parked.with(|slots| slots.remove(key)) else { return };
        if live_coroutines() >= coroutine_capacity() {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            refuse(parked.link.stream(), self.settings.refusal);
            return;
        }
        let Parked { link, peer, carry, .. } = parked;
        let stream = match link {
            Link::Kept(stream) => Ok(stream),
            Link::New(stream) => CoIo::new(stream),
        };
        let Ok(stream) = stream else {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            return;
        };
        let watch = Arc::new(Watch::new(&stream));
        let active = station.active.with(|slots| slots.insert(Arc::clone(&watch)));
        let place = Place { hub: Arc::clone(self), station: index, active, watch };
        let socket = Arc::new(Socket::new(stream, place, peer));
        let hub = Arc::clone(self);
        // When no coroutine can be had, dropping the socket closes the connection.
        spawn_here(move || hub.run(socket, carry)).ok();
    }

    fn run(&self, socket: Arc<Socket>, carry: Carry) {
        socket.begin();
        match (self.serve)(&socket, carry) {
            Ending::Close => {}
            Ending::Park { carry, deadline_ms, farewell } => {
                // A clone somebody kept (a child that outlived its request) forbids parking.
                let Some(mut socket) = Arc::into_inner(socket) else { return };
                let peer = socket.peer();
                let Some(stream) = socket.take_stream() else { return };
                drop(socket);
                let parked =
                    Parked { link: Link::Kept(stream), peer, deadline_ms, farewell, carry };
                let station = self.station_of(parked.link.stream());
                let armed = station.map(|station| station.park(parked, modify));
                if !matches!(armed, Some(Ok(()))) {
                    self.connections.fetch_sub(1, Ordering::AcqRel);
                }
            }
        }
    }

    /// A running connection ends its turn; `closed` unless it was parked.
    pub(super) fn leave(&self, station: usize, active: DefaultKey, closed: bool) {
        if let Some(station) = self.stations.get(station) {
            station.active.with(|slots| slots.remove(active));
        }
        if closed {
            self.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Wakes running connections that are overdue or idle. Called by the sweeper at each tick.
    pub(super) fn sweep_active(&self, now_ms: u64) {
        let everybody = self.is_aborting();
        let draining = self.is_draining();
        let linger_ms = if draining { 0 } else { self.settings.linger_ms };
        for station in &self.stations {
            let due: Vec<_> = station.active.with(|slots| {
                let due = |watch: &&Arc<Watch>| {
                    everybody
                        || (draining && watch.ends_with_drain())
                        || watch.is_overdue(now_ms)
                        || watch.is_idle_for(now_ms, linger_ms)
                };
                slots.values().filter(due).cloned().collect()
            });
            due.iter().for_each(|watch| watch.wake());
        }
    }

    /// Closes parked connections whose time is up, and, while draining, all idle ones.
    pub(super) fn sweep_parked(&self, now_ms: u64) {
        let draining = self.is_draining();
        let aborting = self.is_aborting();
        for station in &self.stations {
            let mut ended = Vec::new();
            station.parked.with(|slots| {
                let over = |parked: &Parked| {
                    let is_due =
                        now_ms >= parked.deadline_ms || (draining && parked.carry.bytes.is_empty());
                    // Bytes that came in time are answered, however late their worker wakes up.
                    aborting || (is_due && !has_bytes(parked.link.stream()))
                };
                let keys: Vec<_> =
                    slots.iter().filter(|(_, parked)| over(parked)).map(|(key, _)| key).collect();
                ended.extend(keys.into_iter().filter_map(|key| slots.remove(key)));
            });
            self.connections.fetch_sub(ended.len(), Ordering::AcqRel);
            for parked in &ended {
                let farewell = parked.farewell.map(|compose| compose(ticks::unix_secs()));
                refuse(parked.link.stream(), &farewell.unwrap_or_default());
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

impl Station {
    /// An epoll whose descriptor may polls on `worker`.
    fn new(worker: usize, workers: usize) -> io::Result<Self> {
        let mut others = Vec::new();
        let epoll = loop {
            let epoll = EpollFd(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
            if usize::try_from(epoll.as_raw_fd()).unwrap_or(0) % workers.max(1) == worker {
                break epoll;
            }
            others.push(epoll);
        };
        Ok(Self {
            epoll: Arc::new(epoll),
            waker: OnceLock::new(),
            parked: ShortLock::new(SlotMap::new()),
            active: ShortLock::new(SlotMap::new()),
        })
    }

    /// First the slot, then the arming, both under the lock: an event finds its slot filled, and
    /// the sweeper cannot close the descriptor in between.
    fn park(
        &self,
        parked: Parked,
        arm: impl FnOnce(&Epoll, BorrowedStream<'_>, EpollEvent) -> nix::Result<()>,
    ) -> io::Result<()> {
        self.parked.with(|slots| {
            let key = slots.insert(parked);
            let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLONESHOT;
            let event = EpollEvent::new(interest, key.data().as_ffi());
            let Some(slot) = slots.get(key) else { return Ok(()) };
            let armed = arm(&self.epoll.0, slot.link.stream().as_fd(), event);
            if armed.is_err() {
                slots.remove(key);
            }
            Ok(armed?)
        })
    }
}

type BorrowedStream<'a> = std::os::fd::BorrowedFd<'a>;

fn add(epoll: &Epoll, stream: BorrowedStream<'_>, event: EpollEvent) -> nix::Result<()> {
    epoll.add(stream, event)
}

fn modify(epoll: &Epoll, stream: BorrowedStream<'_>, mut event: EpollEvent) -> nix::Result<()> {
    epoll.modify(stream, &mut event)
}

/// Whether bytes have arrived that nobody has read yet.
#[expect(clippy::disallowed_types, reason = "made non-blocking first")]
fn has_bytes(stream: &std::net::TcpStream) -> bool {
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_ok_and(|count| count > 0)
}

/// Sends a last word if the socket takes it at once; the caller closes by dropping.
#[expect(clippy::disallowed_types, reason = "made non-blocking first")]
fn refuse(mut stream: &std::net::TcpStream, farewell: &[u8]) {
    if !farewell.is_empty() && stream.set_nonblocking(true).is_ok() {
        stream.write_all(farewell).ok();
        stream.shutdown(std::net::Shutdown::Write).ok();
    }
}
