//! One session file under its lock: the only place that writes, grows, removes or sets one aside.
//!
//! The lock is the file's own (`flock`), so it dies with its holder and needs no second file. A
//! lock says nothing about a name: whoever got it checks that the file still has its name, since
//! the holder before may have removed the file or grown it into another one.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::contents::{Contents, Read};
use super::descriptors::Claimed;
use super::directory::{Directory, shard_of};
use super::disk::{self, Access, Opened, WriteError};
use super::quarantine;
use super::slot::{self, Header};
use super::sync::Durability;
use crate::session::StoreKey;

/// What became of the wish to hold a file.
pub(super) enum Hold {
    Absent,
    /// Somebody else had the lock for the whole time we were ready to wait.
    Busy,
    /// The file has changed under its name, or what was there has been cleared away: look again.
    Again,
    Held(Box<Held>),
}

/// A session file whose lock is ours, with what it holds. Dropping it gives the lock back.
pub(super) struct Held {
    pub(super) file: Claimed,
    path: PathBuf,
    key: StoreKey,
    pub(super) contents: Contents,
}

impl Held {
    /// Locks and reads the file of `key`. What cannot be read is cleared away: a cut creation
    /// silently, anything else into quarantine with one warning.
    pub(super) fn open(
        directory: &Directory,
        key: &StoreKey,
        access: Access,
        patience: Duration,
    ) -> io::Result<Hold> {
        match disk::open(&directory.record(key), access)? {
            Opened::Absent => Ok(Hold::Absent),
            Opened::Foreign => {
                quarantine::foreign(directory, key, patience)?;
                Ok(Hold::Again)
            }
            Opened::File(file) => Self::take(directory, key, Claimed::new(file), patience),
        }
    }

    /// As [`open`](Self::open), with a file that is open already.
    pub(super) fn take(
        directory: &Directory,
        key: &StoreKey,
        claimed: Claimed,
        patience: Duration,
    ) -> io::Result<Hold> {
        if !claimed.lock(patience)? {
            return Ok(Hold::Busy);
        }
        let (file, path) = (claimed.file(), directory.record(key));
        let found = file.metadata()?;
        // Removed or grown by the holder before us. A file with a second link (a backup, say) may
        // have lost its name and still count one; of one that was opened long ago nobody knows.
        let may_be_elsewhere = found.nlink() > 1 || claimed.is_kept();
        if found.nlink() == 0 || (may_be_elsewhere && !is_named(file, &path)?) {
            return Ok(Hold::Again);
        }
        match Contents::read(file, &found, key)? {
            Read::Record(contents) => {
                let held = Self { file: claimed, path, key: *key, contents };
                return Ok(Hold::Held(Box::new(held)));
            }
            // A file in quarantine has a link as well; only who still has the name may act on it.
            Read::Unfinished | Read::Damaged(_) if !is_named(file, &path)? => {}
            Read::Unfinished => {
                disk::unlink(&path)?;
            }
            Read::Damaged(why) => quarantine::damaged(directory, key, why)?,
            Read::Foreign => quarantine::foreign(directory, key, patience)?,
        }
        Ok(Hold::Again)
    }

    /// Writes a new state; whatever fails, the state before stays readable.
    ///
    /// Gives the bytes by which the file has grown.
    pub(super) fn write(
        &self,
        directory: &Directory,
        durability: &Durability,
        header: &Header,
        payload: &[u8],
    ) -> Result<u64, WriteError> {
        let slot_bytes = self.contents.slot_bytes;
        if slot::slot_bytes_for(payload.len()) > slot_bytes {
            return self.grow(directory, durability, header, payload);
        }
        let file = self.file.file();
        let synced = durability.before_overwrite(&self.key, file, slot_bytes);
        synced.map_err(WriteError::NotWritten)?;
        let bytes = slot::encode(&self.key, header, payload, slot_bytes);
        file.write_all_at(&bytes, self.contents.spare_offset()).map_err(|error| {
            if self.is_as_before() {
                WriteError::NotWritten(error)
            } else {
                WriteError::InDoubt(error)
            }
        })?;
        durability.after_write(&self.key, file).map_err(WriteError::InDoubt)?;
        Ok(0)
    }

    /// Whether a slot that could not be written as a whole left the file with the state before. The
    /// lock is ours, so nobody else completes it; the next save writes over it.
    fn is_as_before(&self) -> bool {
        let file = self.file.file();
        let found = file.metadata().and_then(|found| Contents::read(file, &found, &self.key));
        matches!(found, Ok(Read::Record(found)) if found.header == self.contents.header)
    }

    /// Whose file it is.
    pub(super) fn key(&self) -> &StoreKey {
        &self.key
    }

    /// The sub-directory the file is in.
    pub(super) fn shard(&self) -> u8 {
        shard_of(&self.key)
    }

    /// Removes the file.
    pub(super) fn unlink(self) -> io::Result<bool> {
        let removed = disk::unlink(&self.path)?;
        disk::disown(self.file.file())?;
        Ok(removed)
    }

    /// A new file with larger slots takes the name. It is made durable before it does, in every
    /// mode: without that a power loss takes the old file (its name is gone) and the new one (its
    /// bytes have not arrived).
    fn grow(
        &self,
        directory: &Directory,
        durability: &Durability,
        header: &Header,
        payload: &[u8],
    ) -> Result<u64, WriteError> {
        let shard = shard_of(&self.key);
        let slot_bytes = slot::grown_slot_bytes(self.contents.slot_bytes, payload.len());
        let bytes = slot::encode_file(&self.key, header, payload, slot_bytes);
        let temporary = directory.temporary(shard).map_err(WriteError::NotWritten)?;
        let file = disk::create_new(&temporary).map_err(WriteError::NotWritten)?;
        let written = file.write_all_at(&bytes, 0).and_then(|()| file.sync_data());
        let renamed = written.and_then(|()| disk::rename(&temporary, &self.path));
        if let Err(error) = renamed {
            // If this fails too, the sweep finds the file.
            let _ = disk::unlink(&temporary);
            let is_as_before = is_named(self.file.file(), &self.path).unwrap_or(false);
            return Err(if is_as_before {
                WriteError::NotWritten(error)
            } else {
                WriteError::InDoubt(error)
            });
        }
        disk::disown(self.file.file()).map_err(WriteError::InDoubt)?;
        durability.after_new_name(directory, shard).map_err(WriteError::InDoubt)?;
        Ok((bytes.len() as u64).saturating_sub(self.contents.file_bytes()))
    }
}

/// Creates the file of `key` with its first record; false if there is a file already.
///
/// The file is created under its own name and filled under its lock. Killed in between, it is
/// empty or cut short, which readers, having waited for the lock, take for no record at all.
pub(super) fn create(
    directory: &Directory,
    durability: &Durability,
    key: &StoreKey,
    first_file: &[u8],
    patience: Duration,
) -> Result<bool, WriteError> {
    let path = directory.record(key);
    let shard = shard_of(key);
    let empty = create_empty(directory, durability, key, patience);
    let Some(file) = empty.map_err(WriteError::NotWritten)? else { return Ok(false) };
    if let Err(error) = file.write_all_at(first_file, 0) {
        // A full disk: no half-written file stays. If it cannot be removed it reads as absent.
        return Err(match disk::unlink(&path) {
            Ok(_) => WriteError::NotWritten(error),
            Err(_) => WriteError::InDoubt(error),
        });
    }
    durability.after_write(key, &file).map_err(WriteError::InDoubt)?;
    durability.after_new_name(directory, shard).map_err(WriteError::InDoubt)?;
    Ok(true)
}

/// The empty file of `key` under its lock; `None` if there is a file already.
fn create_empty(
    directory: &Directory,
    durability: &Durability,
    key: &StoreKey,
    patience: Duration,
) -> io::Result<Option<File>> {
    let path = directory.record(key);
    let created = match disk::create_new(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            directory.create_shard(shard_of(key))?;
            durability.after_new_shard(directory)?;
            disk::create_new(&path)
        }
        result => result,
    };
    let file = match created {
        Ok(file) => file,
        // A symbolic link or a directory is "there" as well; opening it will tell.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    // Somebody may have opened the empty file first, taken it for a cut creation and removed it.
    let is_ours = disk::lock(&file, patience)? && is_named(&file, &path)?;
    Ok(is_ours.then_some(file))
}

/// Whether an open file is still what its name leads to.
pub(super) fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(named.ino() == ours.ino() && named.dev() == ours.dev()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
