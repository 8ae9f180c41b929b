//! One keep-alive connection: at most one request under way.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;

/// A connection and the request it waits for.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// When the request under way was sent; `None` while idle.
    pub(crate) sent_at: Option<Instant>,
    pub(crate) received: Vec<u8>,
}

impl Connection {
    /// Connects before the clock starts, so waiting here costs nothing that is measured.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        Ok(Self { stream, sent_at: None, received: Vec::with_capacity(4096) })
    }

    /// Sends a request of a few hundred bytes, which always fits into an empty socket buffer.
    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.sent_at = Some(Instant::now());
        self.stream.write_all(request)
    }

    /// Takes what has arrived; `false` when the server has closed.
    pub(crate) fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.received.extend_from_slice(buffer.get(..n).unwrap_or_default());
                    // A short read has emptied the socket; epoll tells when there is more.
                    if n < buffer.len() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
