//! The segment that is being written.

#![expect(
    clippy::disallowed_types,
    reason = "the lock is held for one write to a file, which is the one inline disk call there is; \
              workers only try to take it, and nothing yields inside"
)]

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::super::super::disk;
use super::super::frame;
use super::super::segment::{self, FileKind, Header};
use super::AppendError;

/// How often a worker tries to get the lock before it hands its frames to the thread: about 20 us,
/// while a write takes one or two.
const TRIES: usize = 300;

/// The segment that is being written, under its lock.
#[derive(Debug)]
pub(super) struct ActiveLock(Mutex<Active>);

impl ActiveLock {
    pub(super) const fn new(active: Active) -> Self {
        Self(Mutex::new(active))
    }

    /// For the journal's own threads, which may wait.
    pub(super) fn with<R>(&self, section: impl FnOnce(&mut Active) -> R) -> R {
        section(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For workers, which must not: `None` if somebody else's write takes long.
    pub(super) fn try_with<R>(&self, section: impl FnOnce(&mut Active) -> R) -> Option<R> {
        for _ in 0..TRIES {
            match self.0.try_lock() {
                Ok(mut active) => return Some(section(&mut active)),
                Err(TryLockError::Poisoned(poisoned)) => {
                    return Some(section(&mut poisoned.into_inner()));
                }
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        None
    }
}

/// An open segment and how much of it counts.
#[derive(Debug)]
pub(super) struct Active {
    file: Arc<File>,
    id: u64,
    salt: u32,
    bytes: u64,
    /// Whether a failed write left something behind `bytes`.
    has_torn_tail: bool,
    is_closed: bool,
    /// Ended segments that were not synced yet.
    ended: Vec<Arc<File>>,
    is_dirty: bool,
    has_new_name: bool,
    #[cfg(test)]
    fault: Option<Fault>,
}

/// What is still to be brought to the disk.
#[derive(Debug)]
pub(super) struct Unsynced {
    files: Vec<Arc<File>>,
    has_new_name: bool,
    pub(super) last_id: u64,
    #[cfg(test)]
    fails: bool,
}

/// A failure of the disk that a test asks for.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// A write stops after so many bytes.
    ShortWrite(usize),
    /// As above, and what was written cannot be cut off again.
    TornWrite(usize),
    /// The next sync fails.
    Sync,
}

impl Active {
    pub(super) fn create(dir: &Path, id: u64, previous_bytes: Option<u64>) -> io::Result<Self> {
        let header = Header::new(id, previous_bytes)?;
        let file = segment::create(&segment::path(dir, id, FileKind::Segment), &header)?;
        let mut active = Self::continued(Arc::new(file), &header, segment::HEADER_BYTES as u64);
        active.has_new_name = true;
        active.is_dirty = true;
        Ok(active)
    }

    pub(super) fn continued(file: Arc<File>, header: &Header, bytes: u64) -> Self {
        Self {
            file,
            id: header.id,
            salt: header.salt,
            bytes,
            has_torn_tail: false,
            is_closed: false,
            ended: Vec::new(),
            is_dirty: false,
            has_new_name: false,
            #[cfg(test)]
            fault: None,
        }
    }

    /// Adds files to what the next sync brings to the disk.
    pub(super) fn is_to_sync(&mut self, files: Vec<Arc<File>>) {
        self.has_new_name = true;
        self.ended.extend(files);
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn is_whole(&self) -> bool {
        !self.has_torn_tail
    }

    /// Whether the file still has a name.
    pub(super) fn is_linked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }

    /// Whether so many bytes more belong into this segment. The first frames always do.
    pub(super) fn has_room(&self, bytes: usize, segment_bytes: u64) -> bool {
        self.bytes == segment::HEADER_BYTES as u64
            || self.bytes.saturating_add(bytes as u64) <= segment_bytes
    }

    /// Appends frames, all or none: what a failed write left is cut off, at the latest before the
    /// next append.
    pub(super) fn append(&mut self, frames: &mut [u8]) -> io::Result<()> {
        if self.is_closed {
            return Err(io::Error::other("the session journal is closed"));
        }
        self.cut_torn_tail()?;
        frame::seal(frames, self.salt);
        self.has_torn_tail = true;
        let written = self.write(frames);
        if let Err(error) = written {
            // If this fails too, it is tried again before the next append.
            self.cut_torn_tail().ok();
            return Err(error);
        }
        self.has_torn_tail = false;
        self.bytes += frames.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    /// What an append that failed leaves behind.
    pub(super) fn failure(&self, error: io::Error) -> AppendError {
        if self.is_whole() { AppendError::NotWritten(error) } else { AppendError::InDoubt(error) }
    }

    fn cut_torn_tail(&mut self) -> io::Result<()> {
        if self.has_torn_tail {
            self.check_cut()?;
            self.file.set_len(self.bytes)?;
            self.has_torn_tail = false;
        }
        Ok(())
    }

    /// Ends this segment and begins the next. If that fails, this one goes on.
    pub(super) fn rotate(&mut self, dir: &Path) -> io::Result<()> {
        if self.is_closed {
            return Err(io::Error::other("the session journal is closed"));
        }
        let mut next = Self::create(dir, self.id + 1, Some(self.bytes))?;
        next.ended = std::mem::take(&mut self.ended);
        if self.is_dirty {
            next.ended.push(Arc::clone(&self.file));
        }
        *self = next;
        Ok(())
    }

    /// What is to be synced, which then counts as synced.
    pub(super) fn take_unsynced(&mut self) -> Unsynced {
        let mut files = std::mem::take(&mut self.ended);
        if std::mem::take(&mut self.is_dirty) {
            files.push(Arc::clone(&self.file));
        }
        Unsynced {
            files,
            has_new_name: std::mem::take(&mut self.has_new_name),
            last_id: self.id,
            #[cfg(test)]
            fails: self.fault.take_if(|fault| *fault == Fault::Sync).is_some(),
        }
    }

    /// Refuses every further append.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    #[cfg(not(test))]
    fn write(&self, frames: &[u8]) -> io::Result<()> {
        self.file.write_all_at(frames, self.bytes)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests let it fail")]
    const fn check_cut(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Active {
    pub(super) fn fail_next(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        let (Some(Fault::ShortWrite(bytes)) | Some(Fault::TornWrite(bytes))) = self.fault else {
            return self.file.write_all_at(frames, self.bytes);
        };
        self.fault.take_if(|fault| matches!(fault, Fault::ShortWrite(_)));
        self.file.write_all_at(&frames[..bytes.min(frames.len())], self.bytes)?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn check_cut(&self) -> io::Result<()> {
        match self.fault {
            Some(Fault::TornWrite(_)) => Err(io::Error::other("cannot be cut")),
            _ => Ok(()),
        }
    }
}

impl Unsynced {
    pub(super) fn sync(&self, dir: &Path) -> io::Result<()> {
        #[cfg(test)]
        if self.fails {
            return Err(io::Error::other("the disk failed"));
        }
        for file in &self.files {
            file.sync_data()?;
        }
        if self.has_new_name { disk::sync_dir(dir) } else { Ok(()) }
    }
}
