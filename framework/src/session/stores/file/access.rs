//! From a key to its record: the loops that look again when a file changes under its name, and the
//! order of quota, creation and write.

use std::io;
use std::time::SystemTime;

use super::FileStore;
use super::contents::{Contents, Read};
use super::descriptors::Claimed;
use super::directory::shard_of;
use super::disk::{self, Access, Opened, refused};
use super::record::{self, Held, Hold};
use super::slot::{self, Header};
#[cfg(doc)]
use crate::session::SessionStore;
use crate::session::{StoreError, StoreKey, Stored};

/// How often a file may change under its name while one call looks for it.
pub(super) const MAX_LOOKS: usize = 64;

/// What becomes of a file after it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is likely to be used again soon.
    KeepOpen,
    Close,
}

/// Reads without the lock before a reader takes it.
const UNLOCKED_READS: usize = 3;

/// Records one creation may evict to get below the quotas.
const MAX_EVICTIONS: usize = 4;

impl FileStore {
    /// The file of `key` under its lock, or `None` if there is no record. Whatever fails here,
    /// nothing was written yet.
    pub(super) fn hold(
        &self,
        key: &StoreKey,
        access: Access,
    ) -> Result<Option<Box<Held>>, StoreError> {
        for _ in 0..MAX_LOOKS {
            let hold = match self.descriptors.claim(key) {
                Some(file) => Held::take(&self.directory, key, file, self.patience),
                None => Held::open(&self.directory, key, access, self.patience),
            };
            match hold.map_err(refused("cannot open a session file"))? {
                Hold::Held(held) => {
                    if access == Access::Write && !held.file.is_kept() {
                        self.descriptors.keep(key, &held.file, held.contents.slot_bytes);
                    }
                    return Ok(Some(held));
                }
                Hold::Absent => {
                    self.descriptors.forget(key);
                    self.directory.check_mounted().map_err(refused("cannot find the sessions"))?;
                    return Ok(None);
                }
                Hold::Busy => return Err(StoreError::refused("a session file stayed locked")),
                Hold::Again => self.descriptors.forget(key),
            }
        }
        Err(StoreError::refused("a session file changed too often"))
    }

    /// The record of `key`, expired or not.
    pub(super) fn read(&self, key: &StoreKey, then: Then) -> Result<Option<Contents>, StoreError> {
        let mut seen = None;
        for _ in 0..UNLOCKED_READS {
            let read = self.read_unlocked(key, then);
            let Some(read) = read.map_err(refused("cannot read a session file"))? else {
                self.descriptors.forget(key);
                self.directory.check_mounted().map_err(refused("cannot find the sessions"))?;
                return Ok(None);
            };
            match read {
                // Seen twice in a row, an invalid slot is no write under way but an old crash.
                Read::Record(contents)
                    if contents.is_settled() || seen == Some(contents.header.sequence) =>
                {
                    return Ok(Some(contents));
                }
                Read::Record(contents) => seen = Some(contents.header.sequence),
                Read::Foreign => break,
                Read::Unfinished | Read::Damaged(_) => seen = None,
            }
        }
        Ok(self.hold(key, Access::Read)?.map(|held| held.contents))
    }

    pub(super) fn read_unlocked(&self, key: &StoreKey, then: Then) -> io::Result<Option<Read>> {
        let path = self.directory.record(key);
        // A file that is kept open serves writers too.
        let (opened, keeps) = match disk::open(&path, Access::Write) {
            Ok(opened) => (opened, then == Then::KeepOpen),
            Err(error) if is_read_only(&error) => (disk::open(&path, Access::Read)?, false),
            Err(error) => return Err(error),
        };
        let file = match opened {
            Opened::Absent => return Ok(None),
            Opened::Foreign => return Ok(Some(Read::Foreign)),
            Opened::File(file) => file,
        };
        let read = Contents::read(&file, &file.metadata()?, key)?;
        if let (Read::Record(contents), true) = (&read, keeps) {
            self.descriptors.keep(key, &Claimed::new(file), contents.slot_bytes);
        }
        Ok(Some(read))
    }

    /// Creates a record where there is no file; false if there is one by now.
    /// Only a newcomer needs room for that; what bounds the others says [`SessionStore`].
    pub(super) fn create(
        &self,
        key: &StoreKey,
        new: &Stored,
        now: SystemTime,
    ) -> Result<bool, StoreError> {
        let slot_bytes = slot::slot_bytes_for(new.bytes.len());
        let file = slot::encode_file(key, &Header::of(new, 1), &new.bytes, slot_bytes);
        let (shard, file_bytes) = (shard_of(key), file.len() as u64);
        if new.evictable {
            self.make_room(shard, file_bytes, now)?;
        } else {
            self.usage.take(shard, file_bytes);
        }
        let created = record::create(&self.directory, &self.durability, key, &file, self.patience);
        if !matches!(created, Ok(true)) {
            self.usage.released(shard, file_bytes);
        }
        created.map_err(|error| error.at("cannot create a session file"))
    }

    fn make_room(&self, shard: u8, file_bytes: u64, now: SystemTime) -> Result<(), StoreError> {
        for _ in 0..=MAX_EVICTIONS {
            if self.usage.reserve(shard, file_bytes) {
                return Ok(());
            }
            let evicted = self.usage.evict(&self.directory, now);
            if !evicted.map_err(refused("cannot look for sessions to evict"))? {
                return Err(StoreError::Full);
            }
        }
        self.usage.evicted_in_vain();
        Err(StoreError::Full)
    }

    pub(super) fn write(
        &self,
        held: &Held,
        header: &Header,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        let grown = held
            .write(&self.directory, &self.durability, header, payload)
            .map_err(|error| error.at("cannot write a session file"))?;
        if grown > 0 {
            self.descriptors.forget(held.key());
            self.usage.grown(held.shard(), grown);
        }
        Ok(())
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
