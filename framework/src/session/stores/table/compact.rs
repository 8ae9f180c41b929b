//! Writing the journal anew: a snapshot of the table replaces the segments it stands for.
//!
//! In this order: begin a new segment; wait until all that was written before is published; copy
//! the table shard by shard into a file beside; sync it; give it its name; delete the segments up
//! to the one that ended at the start, and never one that began meanwhile. A crash between any two
//! of these steps leaves a journal that says the same.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::disk;
use super::entry::Entry;
use super::frame::{self, Frames};
use super::journal::Journal;
use super::locks::Locks;
use super::map::Map;
use super::segment::{self, FileKind, Header};

/// A snapshot goes to the disk in such pieces, so that the disk is never handed all of it at once
/// while saves are waiting.
const SYNC_BYTES: u64 = 8 << 20;

/// The steps of a compaction, for tests that crash behind each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Rotated,
    Copied,
    Synced,
    Named,
    Deleted,
}

/// Replaces all segments written so far by a snapshot. Gives up without an error, and without a
/// trace, when `stop` is set.
pub(super) fn compact<L: Locks>(
    map: &Map<L>,
    journal: &Journal,
    stop: &AtomicBool,
    step: &mut dyn FnMut(Step),
) -> io::Result<()> {
    let mut snapshot = None;
    let written = write(map, journal, stop, &mut snapshot, step);
    match (written, snapshot) {
        (Ok(true), Some(snapshot)) => {
            snapshot.publish(journal)?;
            step(Step::Named);
            snapshot.delete_replaced(journal, step)
        }
        (written, snapshot) => {
            if let Some(Snapshot { id, .. }) = snapshot {
                disk::unlink(&segment::path(journal.dir(), id, FileKind::Unfinished))?;
            }
            written.map(drop)
        }
    }
}

/// Writes and syncs the snapshot; false if it was stopped.
fn write<L: Locks>(
    map: &Map<L>,
    journal: &Journal,
    stop: &AtomicBool,
    snapshot: &mut Option<Snapshot>,
    step: &mut dyn FnMut(Step),
) -> io::Result<bool> {
    let stopped = || io::Error::from(io::ErrorKind::Interrupted);
    let rotate = || {
        let boundary = journal.rotate()?;
        step(Step::Rotated);
        Ok(boundary)
    };
    let copied = map.snapshot(rotate, |boundary, entries| {
        if stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        if snapshot.is_none() {
            *snapshot = Some(Snapshot::create(journal, *boundary)?);
        }
        snapshot.as_mut().map_or(Ok(()), |snapshot| snapshot.add(&entries))
    });
    match copied {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
        copied => copied.map(drop)?,
    }
    step(Step::Copied);
    if let Some(snapshot) = snapshot {
        snapshot.finish()?;
    }
    step(Step::Synced);
    Ok(true)
}

#[derive(Debug)]
struct Snapshot {
    file: File,
    id: u64,
    salt: u32,
    bytes: u64,
    synced_bytes: u64,
    count: u64,
}

impl Snapshot {
    fn create(journal: &Journal, id: u64) -> io::Result<Self> {
        let header = Header::new(id, None)?;
        let path = segment::path(journal.dir(), id, FileKind::Unfinished);
        let file = segment::create(&path, &header)?;
        let bytes = segment::HEADER_BYTES as u64;
        Ok(Self { file, id, salt: header.salt, bytes, synced_bytes: 0, count: 0 })
    }

    fn add(&mut self, entries: &[Entry]) -> io::Result<()> {
        let payload_bytes: usize = entries.iter().map(|entry| entry.payload().len()).sum();
        let mut frames = Frames::with_capacity(payload_bytes + entries.len() * frame::HEADER_BYTES);
        entries.iter().for_each(|entry| frames.put(entry));
        self.count += entries.len() as u64;
        self.append(frames)?;
        if self.bytes - self.synced_bytes > SYNC_BYTES {
            self.file.sync_data()?;
            self.synced_bytes = self.bytes;
        }
        Ok(())
    }

    fn append(&mut self, mut frames: Frames) -> io::Result<()> {
        frame::seal(&mut frames.0, self.salt);
        self.file.write_all_at(&frames.0, self.bytes)?;
        self.bytes += frames.0.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut end = Frames::default();
        end.end(self.count);
        self.append(end)?;
        self.file.sync_all()
    }

    /// Gives the snapshot its name, which makes it stand for the segments.
    fn publish(&self, journal: &Journal) -> io::Result<()> {
        let path = |kind| segment::path(journal.dir(), self.id, kind);
        disk::rename(&path(FileKind::Unfinished), &path(FileKind::Snapshot))?;
        journal.added(self.bytes);
        disk::sync_dir(journal.dir())
    }

    fn delete_replaced(&self, journal: &Journal, step: &mut dyn FnMut(Step)) -> io::Result<()> {
        for (id, kind) in segment::list(journal.dir())? {
            let is_replaced = match kind {
                FileKind::Segment => id <= self.id,
                FileKind::Snapshot | FileKind::Unfinished => id < self.id,
            };
            if is_replaced {
                journal.delete(id, kind)?;
                step(Step::Deleted);
            }
        }
        Ok(())
    }
}
