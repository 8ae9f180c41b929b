//! What the kernel can tell of a file without waiting for the disk.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Fills `buffer` from the start of the file with what the kernel has in memory, and gives how much
/// that was; `None` when it would have to wait for the disk, or cannot tell.
pub(crate) fn read_cached(file: &File, buffer: &mut [u8]) -> Option<usize> {
    let piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `piece` describes `buffer`, which is ours alone, and the descriptor is open.
    #[expect(unsafe_code, reason = "std has no read that refuses to wait")]
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const piece, 1, 0, libc::RWF_NOWAIT) };
    usize::try_from(read).ok()
}
