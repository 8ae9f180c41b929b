//! A checksum of what a file of sessions holds.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// What is read or written, with the checksum of all that has passed.
pub(super) struct Summed<T> {
    pub(super) inner: T,
    sum: Sha256,
}

impl<T> Summed<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, sum: Sha256::new() }
    }

    /// The SHA-256 so far.
    pub(super) fn sum(&self) -> Vec<u8> {
        self.sum.clone().finalize().to_vec()
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sum.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.sum.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
