//! One file per session: the default store, safe against kill -9 and shared by the processes of
//! one machine. This room knows slots, locks and directories; every call blocks, so the framework
//! runs it on the blocking pool.

mod access;
mod contents;
mod descriptors;
mod directory;
mod options;
mod quarantine;
mod record;
mod slot;
mod sweep;
mod sync;
#[cfg(test)]
mod tests;
mod usage;

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use self::access::{MAX_LOOKS, Then};
use self::contents::Contents;
use self::descriptors::Descriptors;
use self::directory::{Directory, shard_of};
use self::record::Held;
use self::slot::Header;
use self::sweep::Sweep;
use self::sync::Durability;
use self::usage::Usage;
use super::disk::{self, Access, failed};
use super::{Fsync, millis};
use crate::Error;
use crate::session::{
    Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch,
};

pub use self::options::FileStoreOptions;
pub use self::usage::FileUsage;

/// How long a save waits for the lock of its session's file.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Keeps each session in a file of its own, `<dir>/xx/<key>`, with mode 0600 in directories of
/// mode 0700.
///
/// A save overwrites the older of two checksummed slots in place, under the lock of the file, so a
/// process killed at any point leaves the old record or the new one. Several stores, in one process
/// or in several, may share a directory on a local disk. A file that cannot be read is set aside
/// into `<dir>/quarantine/` with one warning, and its session is absent from then on.
///
/// Every call blocks on the disk: wrap it in `Blocking` before a coroutine uses it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use maypole::session::stores::{FileStore, FileStoreOptions};
/// use maypole::session::{Expected, SessionStore, StoreKey, Stored, Swap};
///
/// # let dir = std::env::temp_dir().join(format!("maypole-doc-{}", std::process::id()));
/// let store = FileStore::open(FileStoreOptions::new(&dir))?;
/// let (key, now) = (StoreKey::from_bytes([7; 32]), SystemTime::now());
/// let record = Stored {
///     bytes: b"cart".to_vec(),
///     version: 1,
///     deadline: now + Duration::from_secs(60),
///     last_seen: now,
///     evictable: false,
/// };
/// assert_eq!(store.swap(&key, Expected::Absent, &record, now)?, Swap::Done);
/// assert_eq!(store.load(&key, now)?.map(|found| found.bytes), Some(b"cart".to_vec()));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct FileStore {
    directory: Directory,
    descriptors: Box<Descriptors>,
    durability: Durability,
    usage: Usage,
    sweep: Sweep,
    patience: Duration,
}

impl FileStore {
    /// Opens, or creates, the store in a directory. Takes a few milliseconds, however many
    /// sessions there are.
    ///
    /// # Errors
    /// `Start` if the directory is a symbolic link or no directory, belongs to another user, is
    /// open to group or others, lies in a public root, cannot be written, or is on a file system
    /// without locks.
    pub fn open(options: FileStoreOptions) -> Result<Self, Error> {
        let FileStoreOptions { dir, fsync, fsync_interval, public_roots, .. } = options;
        let directory = Directory::open(&dir, &public_roots)?;
        let usage = Usage::new(options.max_sessions, options.max_total_bytes);
        usage.count_at_start(&directory).map_err(|error| {
            Error::new(crate::ErrorKind::Start, "cannot read the session directory")
                .caused_by(error)
        })?;
        let durability = Durability::new(fsync, fsync_interval);
        Ok(Self {
            directory,
            descriptors: Box::new(Descriptors::new(options.max_open_files)),
            durability,
            usage,
            sweep: Sweep::new(),
            patience: LOCK_PATIENCE,
        })
    }

    /// The absolute path of the directory.
    #[must_use]
    pub fn location(&self) -> &Path {
        self.directory.path()
    }

    /// How often [`sync_pass`](Self::sync_pass) is to be called; `None` if never.
    #[must_use]
    pub fn sync_interval(&self) -> Option<Duration> {
        self.durability.interval()
    }

    /// Brings what was saved since the last pass to the disk; gives the number of files.
    ///
    /// The owner of a store with [`Fsync::Interval`] calls it once an interval, and at the end.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the disk failed: some of these saves may not survive a power
    /// loss. The pass does not stop at the first such file.
    pub fn sync_pass(&self) -> Result<usize, StoreError> {
        self.durability.pass(&self.directory).map_err(failed("cannot sync session files"))
    }

    /// What the store holds, as far as this process knows.
    #[must_use]
    pub fn usage(&self) -> FileUsage {
        self.usage.now()
    }
}

impl SessionStore for FileStore {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        let found = self.read(key, Then::KeepOpen)?;
        Ok(found.filter(|found| !found.header.is_expired(now)).map(Contents::into_stored))
    }

    fn load_now(
        &self,
        key: &StoreKey,
        now: SystemTime,
    ) -> Option<Result<Option<Stored>, StoreError>> {
        let found = Some(self.descriptors.read_now(key)?);
        Some(Ok(found.filter(|found| !found.header.is_expired(now)).map(Contents::into_stored)))
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        if new.bytes.len() > slot::MAX_PAYLOAD_BYTES {
            return Err(StoreError::TooLarge);
        }
        for _ in 0..MAX_LOOKS {
            let held = self.hold(key, Access::Write)?;
            let is_live = |held: &Held| !held.contents.header.is_expired(now);
            match (held, expected) {
                (None, Expected::Version(_)) => return Ok(Swap::Missing),
                (None, Expected::Absent) => {
                    if self.create(key, new, now)? {
                        return Ok(Swap::Done);
                    }
                }
                (Some(held), Expected::Absent) if is_live(&held) => return Ok(Swap::Conflict),
                (Some(held), Expected::Version(_)) if !is_live(&held) => return Ok(Swap::Missing),
                (Some(held), Expected::Version(version))
                    if held.contents.header.version != version =>
                {
                    return Ok(Swap::Conflict);
                }
                (Some(held), _) => {
                    let sequence = held.contents.header.next_sequence();
                    self.write(&held, &Header::of(new, sequence), &new.bytes)?;
                    return Ok(Swap::Done);
                }
            }
        }
        Err(StoreError::refused("a session file changed too often"))
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        let Some(held) = self.hold(key, Access::Write)? else { return Ok(Touch::Stale) };
        let old = held.contents.header;
        if old.version != version || old.is_expired(now) {
            return Ok(Touch::Stale);
        }
        let Renewed { deadline, last_seen, evictable } = renewed;
        let (sequence, evictable) = (old.next_sequence(), old.evictable && evictable);
        let header = Header { sequence, deadline, last_seen, evictable, ..old };
        self.write(&held, &header, held.contents.payload())?;
        Ok(Touch::Done)
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let Some(held) = self.hold(key, Access::Read)? else { return Ok(false) };
        let bytes = held.contents.file_bytes();
        let removed = held.unlink().map_err(failed("cannot remove a session file"))?;
        if removed {
            self.descriptors.forget(key);
            self.usage.released(shard_of(key), bytes);
            self.durability
                .after_new_name(&self.directory, shard_of(key))
                .map_err(failed("cannot sync the session directory"))?;
        }
        Ok(removed)
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        let swept = self.sweep.run(&self.directory, &self.usage, now, budget);
        self.descriptors.check(&self.directory);
        swept.map_err(failed("cannot sweep the session directory"))
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let mut listed = Vec::new();
        for shard in 0..=u8::MAX {
            let keys = sweep::keys(&self.directory, shard, after)
                .map_err(failed("cannot list the session directory"))?;
            for key in keys {
                if listed.len() >= limit {
                    return Ok(listed);
                }
                let found = self.read(&key, Then::Close)?;
                if let Some(found) = found.filter(|found| !found.header.is_expired(now)) {
                    listed.push((key, found.into_stored()));
                }
            }
        }
        Ok(listed)
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("location", &self.location()).finish_non_exhaustive()
    }
}
