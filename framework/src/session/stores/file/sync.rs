//! When saves reach the disk itself. A kill -9 loses nothing in any mode: written bytes are the
//! kernel's. This room is about power loss.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use super::Fsync;
use super::directory::Directory;
use super::disk::{self, Access, Guarded, Opened};
use super::slot;
use crate::session::StoreKey;

/// Files remembered between two passes; a save beyond that syncs its own file.
const MAX_DIRTY: usize = 65_536;

/// Keeps the promise of the chosen [`Fsync`].
pub(super) struct Durability {
    mode: Fsync,
    interval: Duration,
    dirty: Guarded<Dirty>,
    /// Held by the pass that runs: of two at once the second waits.
    passing: Guarded<()>,
}

#[derive(Default)]
struct Dirty {
    files: HashSet<StoreKey>,
    /// Taken by the pass that runs now, and not known to be on disk yet.
    in_flight: HashSet<StoreKey>,
    /// Sub-directories with new names, by first byte of the key.
    shards: HashSet<u8>,
    /// Whether a sub-directory itself is new.
    root: bool,
}

impl Durability {
    pub(super) fn new(mode: Fsync, interval: Duration) -> Self {
        Self { mode, interval, dirty: Guarded::new(Dirty::default()), passing: Guarded::new(()) }
    }

    /// How often the owner is to call `pass`, if at all.
    pub(super) fn interval(&self) -> Option<Duration> {
        (self.mode == Fsync::Interval).then_some(self.interval)
    }

    /// Called before the older slot is overwritten.
    ///
    /// A slot of several pages can be torn by a power loss. If the other slot is not on disk yet
    /// both could be torn at once, and the session would be gone instead of a little old.
    pub(super) fn before_overwrite(
        &self,
        key: &StoreKey,
        file: &File,
        slot_bytes: usize,
    ) -> io::Result<()> {
        if self.mode != Fsync::Interval || !slot::spans_pages(slot_bytes) {
            return Ok(());
        }
        let is_dirty =
            self.dirty.with(|dirty| dirty.files.contains(key) || dirty.in_flight.contains(key));
        if is_dirty { file.sync_data() } else { Ok(()) }
    }

    /// Called after a slot was written, before the save is acknowledged.
    pub(super) fn after_write(&self, key: &StoreKey, file: &File) -> io::Result<()> {
        let sync_now = match self.mode {
            Fsync::Never => false,
            Fsync::Always => true,
            Fsync::Interval => self.dirty.with(|dirty| {
                let is_full = dirty.files.len() >= MAX_DIRTY && !dirty.files.contains(key);
                if !is_full {
                    dirty.files.insert(*key);
                }
                is_full
            }),
        };
        if sync_now { file.sync_data() } else { Ok(()) }
    }

    /// Called after a name appeared in, or left, a sub-directory.
    pub(super) fn after_new_name(&self, directory: &Directory, shard: u8) -> io::Result<()> {
        match self.mode {
            Fsync::Never => Ok(()),
            Fsync::Always => disk::sync_dir(&directory.shard(shard)),
            Fsync::Interval => {
                self.dirty.with(|dirty| dirty.shards.insert(shard));
                Ok(())
            }
        }
    }

    /// Called after a sub-directory was created.
    pub(super) fn after_new_shard(&self, directory: &Directory) -> io::Result<()> {
        match self.mode {
            Fsync::Never => Ok(()),
            Fsync::Always => disk::sync_dir(directory.path()),
            Fsync::Interval => {
                self.dirty.with(|dirty| dirty.root = true);
                Ok(())
            }
        }
    }

    /// Syncs everything written since the last pass; gives the number of files.
    ///
    /// One bad file does not keep the others from the disk: all are tried, the first error is told.
    pub(super) fn pass(&self, directory: &Directory) -> io::Result<usize> {
        self.passing.with(|()| {
            let (files, dirs) = self.dirty.with(|dirty| dirty.take(directory));
            let synced = files.len();
            let mut result = Ok(synced);
            let files = files.iter().map(|key| sync_file(directory, key));
            let dirs = dirs.iter().map(|path| match disk::sync_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            });
            for outcome in files.chain(dirs) {
                result = result.and_then(|synced| outcome.map(|()| synced));
            }
            self.dirty.with(|dirty| dirty.in_flight = HashSet::new());
            result
        })
    }
}

impl Dirty {
    fn take(&mut self, directory: &Directory) -> (Vec<StoreKey>, Vec<PathBuf>) {
        self.in_flight = mem::take(&mut self.files);
        let mut dirs: Vec<_> =
            mem::take(&mut self.shards).into_iter().map(|shard| directory.shard(shard)).collect();
        if mem::take(&mut self.root) {
            dirs.push(directory.path().to_owned());
        }
        (self.in_flight.iter().copied().collect(), dirs)
    }
}

fn sync_file(directory: &Directory, key: &StoreKey) -> io::Result<()> {
    match disk::open(&directory.record(key), Access::Read)? {
        Opened::File(file) => file.sync_data(),
        Opened::Absent | Opened::Foreign => Ok(()),
    }
}
