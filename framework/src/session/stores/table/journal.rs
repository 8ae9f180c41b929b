//! The journal on disk: what was appended to it survives a kill -9, in the order in which it was
//! appended.
//!
//! An append is one `write` on the thread of the caller. When the disk stalls, when a new segment
//! must be begun, or when each save is to wait for the disk (`fsync = always`), appends queue for
//! a thread of their own that writes and syncs many at once, and the caller parks.

mod active;
mod writer;

#[cfg(test)]
pub(super) use self::active::Fault;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use self::active::{Active, ActiveLock};
use self::writer::Queue;
use super::super::{Fsync, disk};
use super::frame::Frames;
use super::options::TableOptions;
use super::owner::Owner;
use super::segment::{self, FileKind};
use crate::runtime::sync::ShortLock;

/// How an append failed.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing of it is in the journal.
    NotWritten(io::Error),
    /// It does not count, and what there may be of it could not be cut off yet: a restart before
    /// the next append may find it.
    InDoubt(io::Error),
    /// It is in the journal and survives a kill -9, but perhaps not a power loss.
    NotSynced(io::Error),
}

/// Where the journal ended when it was opened.
#[derive(Debug)]
pub(super) struct End {
    /// The last segment, if it can be continued.
    pub(super) continued: Option<(Arc<File>, segment::Header, u64)>,
    /// The id of the last segment, or of the snapshot if there is none behind it.
    pub(super) last_id: u64,
    /// Bytes of all files.
    pub(super) total_bytes: u64,
    /// Whether something in it could not be read: it is to be written anew.
    pub(super) is_damaged: bool,
    /// Files that may not be on the disk yet.
    pub(super) unsynced: Vec<Arc<File>>,
}

/// The journal of one store.
#[derive(Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    fsync: Fsync,
    segment_bytes: u64,
    stall_bound: Duration,
    active: ActiveLock,
    queue: Queue,
    is_stalled: AtomicBool,
    stalls: AtomicU64,
    total_bytes: AtomicU64,
    /// Set when the disk failed to sync: what it holds is to be written anew from memory.
    needs_rewrite: AtomicBool,
    owner: ShortLock<Owner>,
}

impl Journal {
    pub(super) fn open(
        dir: PathBuf,
        options: &TableOptions,
        owner: Owner,
        end: End,
    ) -> io::Result<Arc<Self>> {
        let mut total_bytes = end.total_bytes;
        let mut active = match end.continued {
            Some((file, header, bytes)) => Active::continued(file, &header, bytes),
            // What a damaged segment before it holds was read as far as it goes.
            None => {
                total_bytes += segment::HEADER_BYTES as u64;
                Active::create(&dir, end.last_id + 1, None)?
            }
        };
        active.is_to_sync(end.unsynced);
        let journal = Arc::new(Self {
            dir,
            fsync: options.fsync,
            segment_bytes: options.segment_bytes,
            stall_bound: options.stall_bound,
            active: ActiveLock::new(active),
            queue: Queue::default(),
            is_stalled: AtomicBool::new(false),
            stalls: AtomicU64::new(0),
            total_bytes: AtomicU64::new(total_bytes),
            needs_rewrite: AtomicBool::new(end.is_damaged),
            owner: ShortLock::new(owner),
        });
        let writer = Arc::clone(&journal);
        let thread = std::thread::Builder::new()
            .name("maypole-journal".to_owned())
            .spawn(move || writer.write_queued())?;
        journal.queue.keep(thread);
        Ok(journal)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of all files of the journal.
    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// How often the disk was found to stall.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// Appends frames, all or none. Parks the caller if the disk makes it wait.
    pub(super) fn append(&self, mut frames: Frames) -> Result<(), AppendError> {
        let may_write_here =
            self.fsync != Fsync::Always && !self.is_stalled.load(Ordering::Relaxed);
        if may_write_here {
            let written = self.active.try_with(|active| {
                let fits = active.is_whole() && active.has_room(frames.0.len(), self.segment_bytes);
                fits.then(|| {
                    let begun = Instant::now();
                    let appended = active.append(&mut frames.0);
                    (appended.map_err(|error| active.failure(error)), begun.elapsed())
                })
            });
            if let Some((result, took)) = written.flatten() {
                if took > self.stall_bound {
                    self.is_stalled.store(true, Ordering::Relaxed);
                    self.stalls.fetch_add(1, Ordering::Relaxed);
                    log::debug!("the disk of the session journal stalls: a save took {took:?}");
                }
                return self.counted(frames.0.len(), result);
            }
        }
        self.queue.push_and_wait(frames)
    }

    fn counted(&self, bytes: usize, result: Result<(), AppendError>) -> Result<(), AppendError> {
        result?;
        self.total_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Begins a new segment; gives the id of the one that ended. Later appends go to the new one.
    pub(super) fn rotate(&self) -> io::Result<u64> {
        self.active.with(|active| self.rotate_active(active))
    }

    fn rotate_active(&self, active: &mut Active) -> io::Result<u64> {
        let ended = active.id();
        active.rotate(&self.dir)?;
        self.total_bytes.fetch_add(segment::HEADER_BYTES as u64, Ordering::Relaxed);
        Ok(ended)
    }

    /// Brings everything appended so far to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        // The descriptors are taken under the lock, the disk is waited for outside.
        let unsynced = self.active.with(Active::take_unsynced);
        let synced = unsynced.sync(&self.dir);
        if let Err(error) = &synced {
            self.poison(unsynced.last_id, error);
        }
        synced
    }

    /// After a failed sync the kernel may have dropped what it could not write, and a second sync
    /// would tell nothing of it: the segment is ended and everything written anew from memory.
    fn poison(&self, id: u64, error: &io::Error) {
        log::error!("the disk failed to sync the session journal, writing it anew: {error}");
        self.needs_rewrite.store(true, Ordering::Relaxed);
        let rotated = self.active.with(|active| {
            if active.id() == id { self.rotate_active(active).map(drop) } else { Ok(()) }
        });
        if let Err(error) = rotated {
            log::error!("cannot begin a new segment of the session journal: {error}");
        }
    }

    /// Looks whether the journal is still in its place, and begins it again if somebody deleted
    /// it: what is written to a deleted file survives nothing.
    pub(super) fn check_place(&self) -> io::Result<()> {
        if self.active.with(|active| active.is_linked())? {
            return Ok(());
        }
        log::error!("the session journal was deleted while in use; writing it again");
        disk::create_dir(&self.dir, true)?;
        // The lock went with the directory. Whoever took the new one has the journal now.
        let taken = Owner::take(&self.dir);
        let owner = taken.map_err(|error| {
            self.active.with(Active::close);
            io::Error::other(error.chain())
        })?;
        self.owner.with(|old| *old = owner);
        self.needs_rewrite.store(true, Ordering::Relaxed);
        self.rotate().map(drop)
    }

    /// Whether the journal is to be written anew whatever its size.
    pub(super) fn needs_rewrite(&self) -> bool {
        self.needs_rewrite.load(Ordering::Relaxed)
    }

    /// Whether a rewrite was asked for; asks no more.
    pub(super) fn begin_rewrite(&self) -> bool {
        self.needs_rewrite.swap(false, Ordering::Relaxed)
    }

    /// Asks again for a rewrite that failed.
    pub(super) fn ask_rewrite(&self) {
        self.needs_rewrite.store(true, Ordering::Relaxed);
    }

    /// Notes that a snapshot is there.
    pub(super) fn added(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Deletes a file that a snapshot has replaced.
    pub(super) fn delete(&self, id: u64, kind: FileKind) -> io::Result<()> {
        let path = segment::path(&self.dir, id, kind);
        let bytes = std::fs::symlink_metadata(&path).map_or(0, |found| found.len());
        if disk::unlink(&path)? {
            let less = |total: u64| Some(total.saturating_sub(bytes));
            self.total_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
        }
        Ok(())
    }

    /// Makes the thread end when it has written what is queued. Does not wait for it.
    pub(super) fn stop(&self) {
        self.queue.close();
    }

    /// Waits for the thread after [`stop`](Self::stop), syncs, and lets others have the journal.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.queue.join();
        let synced = if self.fsync == Fsync::Never { Ok(()) } else { self.sync() };
        self.active.with(Active::close);
        self.owner.with(|owner| owner.release())?;
        synced
    }

    #[cfg(test)]
    pub(super) fn fail_next(&self, fault: Fault) {
        self.active.with(|active| active.fail_next(fault));
    }
}
