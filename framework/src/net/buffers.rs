//! Buffers that go round between connections: an idle one holds none.

use crate::runtime::sync::ShortLock;

/// First size of a read buffer; a request head nearly always fits.
pub(super) const READ_BYTES: usize = 4 * 1024;
/// A write buffer that grew larger is not kept.
const MAX_KEPT_WRITE_BYTES: usize = 32 * 1024;
/// Sets kept for reuse: some for each core would do.
const KEPT: usize = 64;

/// What a connection needs to read a request and write its answer.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) read: Vec<u8>,
    pub(super) write: Vec<u8>,
}

/// Buffers nobody uses at the moment.
#[derive(Debug)]
pub(crate) struct BufferPool {
    free: ShortLock<Vec<Buffers>>,
}

impl BufferPool {
    pub(crate) fn new() -> Self {
        Self { free: ShortLock::new(Vec::with_capacity(KEPT)) }
    }

    /// A pair whose read buffer has [`READ_BYTES`] and whose write buffer is empty.
    pub(super) fn take(&self) -> Buffers {
        self.free
            .with(Vec::pop)
            .unwrap_or_else(|| Buffers { read: vec![0; READ_BYTES], write: Vec::new() })
    }

    /// Keeps the pair for the next connection, if it has the usual size and there is room.
    pub(super) fn put(&self, mut buffers: Buffers) {
        let is_usual = buffers.read.len() == READ_BYTES;
        if is_usual && buffers.write.capacity() <= MAX_KEPT_WRITE_BYTES {
            buffers.write.clear();
            self.free.with(|free| {
                if free.len() < KEPT {
                    free.push(buffers);
                }
            });
        }
    }
}
