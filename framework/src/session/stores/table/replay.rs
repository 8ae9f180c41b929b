//! From the files of a journal to the table they describe.
//!
//! The newest snapshot comes first, then the segments behind it in order; for each key the last
//! frame counts. What a crash can leave is a torn frame at the very end: it was never acknowledged
//! and is cut off, with one warning. Damage anywhere else is the disk's fault. Then the frames that
//! cannot be read are passed over, everything behind them is still taken, the log says loudly how
//! many bytes were lost, and the journal is written anew. The sessions saved in those bytes are as
//! they were before.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::disk;
use super::frame::{self, Kind};
use super::journal::End;
use super::loaders::{Loaders, Source, with_loaders};
use super::locks::Locks;
use super::map::Map;
use super::segment::{self, FileKind, Header};
use super::usage::Usage;

/// Reads the journal in `dir` into the table, clears away what a crash left, and says where it ends.
pub(super) fn replay<L: Locks>(dir: &Path, map: &Map<L>, usage: &Usage) -> io::Result<End> {
    let files = segment::list(dir)?;
    let newest = |kind| files.iter().filter(|file| file.1 == kind).map(|file| file.0).max();
    let snapshot = newest(FileKind::Snapshot);
    let is_old = |(id, kind): &(u64, FileKind)| match kind {
        FileKind::Unfinished => true,
        FileKind::Snapshot => Some(*id) < snapshot,
        FileKind::Segment => Some(*id) <= snapshot,
    };
    let (old, current): (Vec<_>, Vec<_>) = files.into_iter().partition(is_old);
    let mut last_id = snapshot.unwrap_or(0);
    let (mut total_bytes, mut is_damaged, mut unsynced, mut continued) =
        (0, false, Vec::new(), None);
    with_loaders(map, usage, |loaders| -> io::Result<()> {
        let mut replay = Replay { loaders, total_bytes: 0, is_damaged: false, files: Vec::new() };
        if let Some(id) = snapshot {
            replay.snapshot(&segment::path(dir, id, FileKind::Snapshot))?;
        }
        let segments = current.into_iter().filter(|file| file.1 == FileKind::Segment);
        let segments: Vec<_> =
            segments.map(|(id, kind)| (id, segment::path(dir, id, kind))).collect();
        continued = replay.segments(&segments, &mut last_id)?;
        Replay { total_bytes, is_damaged, files: unsynced, .. } = replay;
        Ok(())
    })?;
    // Only now that all is read: until here a failed start has changed nothing.
    for (id, kind) in old {
        disk::unlink(&segment::path(dir, id, kind))?;
    }
    let continued = continued.filter(|_| !is_damaged);
    Ok(End { continued, last_id, total_bytes, is_damaged, unsynced })
}

struct Replay {
    loaders: Loaders,
    total_bytes: u64,
    is_damaged: bool,
    /// The process before us may have been killed before it synced them.
    files: Vec<Arc<File>>,
}

/// What became of the segment that was being written.
enum Last {
    /// It is written on, from there.
    Continued(Arc<File>, Header, u64),
    Ended,
    /// It had not even begun.
    Gone,
}

/// What reading a file to its end found.
#[derive(Debug, Default)]
struct Found {
    /// Where the last whole frame ended.
    end: u64,
    /// Bytes that are no frames, before that.
    hole_bytes: u64,
    frames: u64,
    /// What the end of a snapshot says.
    count: Option<u64>,
}

impl Replay {
    /// All segments, in order. Gives the last, if it can be continued.
    fn segments(
        &mut self,
        segments: &[(u64, PathBuf)],
        last_id: &mut u64,
    ) -> io::Result<Option<(Arc<File>, Header, u64)>> {
        let mut segments = segments.iter().peekable();
        while let Some((id, path)) = segments.next() {
            if *id != *last_id + 1 {
                self.damage(&format!("segments {} to {} are missing", *last_id + 1, id - 1));
            }
            let last = match segments.peek() {
                Some((_, next)) => {
                    self.segment(path, next)?;
                    Last::Ended
                }
                None => self.last_segment(path)?,
            };
            match last {
                Last::Gone => return Ok(None),
                Last::Ended => *last_id = *id,
                Last::Continued(file, header, bytes) => {
                    *last_id = *id;
                    return Ok(Some((file, header, bytes)));
                }
            }
        }
        Ok(None)
    }

    fn snapshot(&mut self, path: &Path) -> io::Result<()> {
        let Some((_, file, header)) = self.open(path)? else {
            self.damage(&format!("{} has no readable header", path.display()));
            return Ok(());
        };
        let found = self.read(&file, header.salt, file.metadata()?.len())?;
        if found.hole_bytes > 0 || found.count != Some(found.frames) {
            let damage =
                format!("{} is damaged: {} frames could be read", path.display(), found.frames);
            self.damage(&damage);
        }
        Ok(())
    }

    /// A segment behind which there is another, at `next`: it has no torn end.
    fn segment(&mut self, path: &Path, next: &Path) -> io::Result<()> {
        let Some((bytes, file, header)) = self.open(path)? else {
            self.damage(&format!("{} has no readable header", path.display()));
            return Ok(());
        };
        let next = Header::read(&File::open(next)?)?;
        let counted = next.and_then(|next| next.previous_bytes).unwrap_or(bytes);
        let found = self.read(&file, header.salt, counted.min(bytes))?;
        let missing = found.hole_bytes + counted.saturating_sub(found.end);
        if missing > 0 {
            self.damage(&format!("{missing} bytes of {} cannot be read", path.display()));
        }
        Ok(())
    }

    /// The segment that was being written.
    fn last_segment(&mut self, path: &Path) -> io::Result<Last> {
        let Some((bytes, file, header)) = self.open(path)? else {
            // The header is written at once, before anything else: without it nothing was.
            let bytes = std::fs::symlink_metadata(path)?.len();
            if bytes > segment::HEADER_BYTES as u64 {
                self.damage(&format!("{} has no readable header", path.display()));
                return Ok(Last::Ended);
            }
            log::warn!("the session journal was cut off at the start of {}", path.display());
            self.total_bytes -= bytes;
            disk::unlink(path)?;
            return Ok(Last::Gone);
        };
        let found = self.read(&file, header.salt, bytes)?;
        if found.hole_bytes > 0 {
            let hole = found.hole_bytes;
            self.damage(&format!("{hole} bytes of {} cannot be read", path.display()));
        }
        if found.end < bytes {
            log::warn!(
                "the session journal ended in the middle of a save, as after a crash: the last {} \
                 bytes of {} are cut off",
                bytes - found.end,
                path.display()
            );
            file.set_len(found.end)?;
            self.total_bytes -= bytes - found.end;
        }
        Ok(Last::Continued(file, header, found.end))
    }

    /// Opens a file of the journal; `None` if it does not begin as one.
    fn open(&mut self, path: &Path) -> io::Result<Option<(u64, Arc<File>, Header)>> {
        let disk::Opened::File(file) = disk::open(path, disk::Access::Write)? else {
            return Ok(None);
        };
        let bytes = file.metadata()?.len();
        self.total_bytes += bytes;
        let file = Arc::new(file);
        self.files.push(Arc::clone(&file));
        Ok(Header::read(&file)?.map(|header| (bytes, file, header)))
    }

    /// Takes every whole frame of a file into the table.
    fn read(&mut self, file: &File, salt: u32, end: u64) -> io::Result<Found> {
        let start = segment::HEADER_BYTES as u64;
        let mut source = Source::new(file, &self.loaders, start, end);
        let mut found = Found { end: start, ..Found::default() };
        loop {
            source.fill(frame::HEADER_BYTES)?;
            if source.rest().is_empty() {
                source.hand_over();
                return Ok(found);
            }
            let frame = frame::parse(source.rest(), salt);
            if let Some(frame) = &frame {
                source.fill(frame.frame_bytes())?;
            }
            // Not a frame: perhaps one begins behind the next byte.
            let Some(frame) = frame.filter(|frame| frame.is_whole(source.rest())) else {
                source.skip(1);
                continue;
            };
            found.hole_bytes += source.offset - found.end;
            if frame.kind == Kind::End {
                found.count = Some(frame.version);
            } else {
                found.frames += 1;
                source.take(&frame);
            }
            source.skip(frame.frame_bytes());
            found.end = source.offset;
        }
    }

    fn damage(&mut self, what: &str) {
        self.is_damaged = true;
        log::error!(
            "the session journal is damaged: {what}; sessions saved there are as they were before, \
             all others are whole"
        );
    }
}
