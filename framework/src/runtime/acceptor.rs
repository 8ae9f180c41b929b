//! The listening socket and the thread that accepts from it straight into the hub.
//!
//! The socket is bound without `SO_REUSEPORT`, so a port in use is an error at start; `may`'s own
//! listener would share the port in silence.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::hub::Hub;
use super::log_limit::LogLimit;

/// A bound, listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    #[expect(clippy::disallowed_types, reason = "accepted from by a thread of its own")]
    inner: std::net::TcpListener,
}

impl Listener {
    /// Binds `address` with room for `backlog` connections that wait to be accepted.
    pub(crate) fn bind(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of a former server in TIME_WAIT must not keep a new one from its port.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(Self { inner: socket.into() })
    }

    /// The address in force, with the port the system chose.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Starts accepting into `hub`, on a thread of its own, until the stop handle is used.
    pub(crate) fn accept_into(self, hub: Arc<Hub>) -> io::Result<Acceptor> {
        let listener = Arc::new(self.inner);
        let shared = Arc::clone(&listener);
        let thread = std::thread::Builder::new()
            .name("maypole-accept".to_owned())
            .spawn(move || accept_loop(&shared, &hub))?;
        Ok(Acceptor { listener, thread })
    }
}

/// A running acceptor.
#[derive(Debug)]
pub(crate) struct Acceptor {
    #[expect(clippy::disallowed_types, reason = "as above")]
    listener: Arc<std::net::TcpListener>,
    thread: std::thread::JoinHandle<()>,
}

impl Acceptor {
    /// Stops accepting and closes the port: later connections are refused by the system.
    pub(crate) fn stop(self) {
        SockRef::from(&self.listener.as_fd()).shutdown(std::net::Shutdown::Both).ok();
        self.thread.join().ok();
    }
}

#[expect(clippy::disallowed_types, reason = "as above")]
fn accept_loop(listener: &std::net::TcpListener, hub: &Hub) {
    let pauses = LogLimit::new();
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nodelay(true).ok();
                hub.admit(stream, peer);
            }
            // EINVAL: the socket was shut down by `stop`.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(left_out) = pauses.admit() {
                    log::warn!("accepting is paused: {error}{left_out}");
                }
                pause();
            }
        }
        if hub.is_draining() {
            return;
        }
    }
}

/// Errors that concern the connection just accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Out of descriptors or memory: give the connections that run a chance to end.
#[expect(clippy::disallowed_methods, reason = "a thread of its own, not a worker")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
