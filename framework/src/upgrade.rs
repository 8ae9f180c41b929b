//! A connection after `101 Switching Protocols`: bytes both ways, still blocking in style.

use std::fmt;
use std::io::{self, Read, Write};

/// The two directions of an upgraded connection, whatever carries them.
pub(crate) trait Duplex: Send {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
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
}

impl Read for Upgraded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl Write for Upgraded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all(bytes)?;
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
