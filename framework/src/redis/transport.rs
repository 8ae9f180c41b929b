//! One connection as bytes: a socket, encrypted or not.
//!
//! TLS is done on values (rustls asks for no socket), so that one coroutine can read while another
//! writes: only the short steps between bytes and bytes are locked.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use rustls::ClientConnection;

use super::sentinel::Reign;
use crate::runtime::ClientSocket;
use crate::runtime::sync::ShortLock;

const READ_BYTES: usize = 16 * 1024;

/// A connected socket and its encryption.
pub(super) struct Transport {
    socket: ClientSocket,
    tls: Option<ShortLock<Tls>>,
    /// For as long as the sentinels name this server.
    reign: Option<Reign>,
}

struct Tls {
    connection: Box<ClientConnection>,
    /// What came in and is not opened yet.
    sealed: Vec<u8>,
    opened: usize,
}

impl Tls {
    /// Opened bytes; `None` when more has to come in first.
    fn read(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return Some(outcome),
            }
            // Only now, when all that was opened is read, there is room for more.
            let mut rest = self.sealed.get(self.opened..).unwrap_or_default();
            if rest.is_empty() {
                return None;
            }
            let before = rest.len();
            if let Err(error) = open_some(&mut self.connection, &mut rest) {
                return Some(Err(error));
            }
            self.opened += before - rest.len();
        }
    }
}

impl Transport {
    pub(super) fn plain(socket: ClientSocket) -> Self {
        Self { socket, tls: None, reign: None }
    }

    /// Shakes hands; the socket's deadline bounds it.
    pub(super) fn encrypted(socket: ClientSocket, mut tls: ClientConnection) -> io::Result<Self> {
        // What waits to be sent is bounded by the queue of commands.
        tls.set_buffer_limit(None);
        let mut buffer = vec![0; READ_BYTES];
        while tls.is_handshaking() {
            send_sealed(&socket, &mut tls)?;
            if !tls.is_handshaking() {
                break;
            }
            let count = socket.read(&mut buffer)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            feed(&mut tls, buffer.get(..count).unwrap_or_default()).inspect_err(|_| {
                // The alert tells the server why; whether it arrives does not matter any more.
                send_sealed(&socket, &mut tls).ok();
            })?;
        }
        send_sealed(&socket, &mut tls)?;
        let tls = Tls { connection: Box::new(tls), sealed: Vec::new(), opened: 0 };
        Ok(Self { socket, tls: Some(ShortLock::new(tls)), reign: None })
    }

    pub(super) fn under(self, reign: Reign) -> Self {
        Self { reign: Some(reign), ..self }
    }

    /// Whether the sentinels call another server master by now.
    pub(super) fn is_deposed(&self) -> bool {
        self.reign.as_ref().is_some_and(Reign::is_over)
    }

    /// In the hands of `worker`, without a deadline; see [`ClientSocket::on_worker`].
    pub(super) fn on_worker(self, worker: usize) -> io::Result<Self> {
        Ok(Self { socket: self.socket.on_worker(worker)?, ..self })
    }

    pub(super) fn set_deadline(&self, limit: Option<Duration>) {
        self.socket.set_deadline(limit);
    }

    /// Whether the server has closed it, as far as the kernel knows. What came in unasked is a
    /// reason not to use a plain connection any more; encryption has words of its own.
    pub(super) fn is_closed(&self) -> bool {
        match self.socket.peek() {
            Some(0) => true,
            Some(_) => self.tls.is_none(),
            None => false,
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn shutdown(&self) {
        self.socket.shutdown();
    }

    /// Turns `bytes` into what goes over the wire. The order of calls is the order on the wire, so
    /// only one may be sealing and writing at a time.
    pub(super) fn seal(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(tls) = &self.tls else { return Ok(bytes) };
        tls.with(|tls| {
            tls.connection.writer().write_all(&bytes)?;
            let mut sealed = Vec::with_capacity(bytes.len() + 64);
            while tls.connection.wants_write() {
                tls.connection.write_tls(&mut sealed)?;
            }
            Ok(sealed)
        })
    }

    /// Whether the encryption has something to say by itself, such as a new key.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.with(|tls| tls.connection.wants_write()))
    }

    /// Writes sealed bytes without waiting; gives how many the kernel took.
    pub(super) fn try_write(&self, sealed: &[u8]) -> io::Result<usize> {
        self.socket.try_write(sealed)
    }

    /// A handle that a second coroutine can wait with, for sealed bytes.
    pub(super) fn second_handle(&self) -> io::Result<ClientSocket> {
        self.socket.try_clone()
    }

    /// Seals and writes, waiting for the peer until the deadline.
    pub(super) fn write_all(&self, bytes: Vec<u8>) -> io::Result<()> {
        let sealed = self.seal(bytes)?;
        self.socket.write_all(&sealed)
    }

    /// Reads opened bytes, waiting for the first until the deadline; 0 is the end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.socket.read(buffer) };
        let mut sealed = Vec::new();
        loop {
            if let Some(outcome) = tls.with(|tls| tls.read(buffer)) {
                return outcome;
            }
            sealed.resize(READ_BYTES, 0);
            let count = self.socket.read(&mut sealed)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            sealed.truncate(count);
            tls.with(|tls| {
                std::mem::swap(&mut tls.sealed, &mut sealed);
                tls.opened = 0;
            });
        }
    }
}

/// Opens all that came in during the greeting.
fn feed(tls: &mut ClientConnection, mut sealed: &[u8]) -> io::Result<()> {
    while !sealed.is_empty() {
        open_some(tls, &mut sealed)?;
    }
    Ok(())
}

/// Opens as much as there is room for; the opened bytes wait in `tls`.
fn open_some(tls: &mut ClientConnection, sealed: &mut &[u8]) -> io::Result<()> {
    tls.read_tls(sealed)?;
    tls.process_new_packets()
        .map(drop)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

fn send_sealed(socket: &ClientSocket, tls: &mut ClientConnection) -> io::Result<()> {
    let mut sealed = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut sealed)?;
    }
    socket.write_all(&sealed)
}

/// Reading by `&Transport`, as the parser wants it.
pub(super) struct Incoming<'a>(pub(super) &'a Transport);

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}
