//! Walks through the whole store: a few files a call to delete what has expired, or in the order
//! of the keys to list what is there.

use std::fs::{DirEntry, ReadDir};
use std::io;
use std::time::{Duration, SystemTime};

use super::super::private::TEMPORARY_PREFIX;
use super::contents::{Contents, Read};
use super::directory::{Directory, key_of, shard_of};
use super::disk::{self, Access, Guarded, Opened};
use super::record::{Held, Hold};
use super::usage::{Shard, Usage, blocks};
use crate::session::{StoreKey, Swept};

/// A file being grown is there for milliseconds; one this old was left by a crash.
const STALE_TEMPORARY: Duration = Duration::from_secs(60);

/// The sweep of one store, and where it is.
pub(super) struct Sweep(Guarded<Position>);

#[derive(Default)]
struct Position {
    shard: u8,
    /// The rest of the sub-directory, open between two calls.
    entries: Option<ReadDir>,
    found: Shard,
}

/// What became of one file that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Its size.
    Kept(u64),
    /// Its size, of which the count is to be told.
    Removed(u64),
    Nothing,
}

impl Sweep {
    pub(super) fn new() -> Self {
        Self(Guarded::new(Position::default()))
    }

    /// Looks at up to `budget` entries, from where the call before stopped.
    pub(super) fn run(
        &self,
        directory: &Directory,
        usage: &Usage,
        now: SystemTime,
        budget: usize,
    ) -> io::Result<Swept> {
        self.0.with(|position| position.run(directory, usage, now, budget))
    }
}

impl Position {
    fn run(
        &mut self,
        directory: &Directory,
        usage: &Usage,
        now: SystemTime,
        budget: usize,
    ) -> io::Result<Swept> {
        let mut swept = Swept::default();
        while swept.examined < budget {
            if self.entries.is_none() {
                self.entries = self.open_shard(directory, usage)?;
            }
            let Some(entry) = self.entries.as_mut().and_then(Iterator::next) else {
                if self.next_shard(usage) {
                    swept.finished = true;
                    break;
                }
                continue;
            };
            swept.examined += 1;
            // A file that fails is told, and passed: the next call goes on behind it.
            match look(directory, self.shard, &entry?, now)? {
                Looked::Kept(bytes) => {
                    self.found.files += 1;
                    self.found.bytes += blocks(bytes);
                }
                Looked::Removed(bytes) => {
                    swept.removed += 1;
                    usage.released(self.shard, bytes);
                }
                Looked::Nothing => {}
            }
        }
        Ok(swept)
    }

    /// A sub-directory that cannot be opened fails this call and is not tried again in this pass.
    fn open_shard(&mut self, directory: &Directory, usage: &Usage) -> io::Result<Option<ReadDir>> {
        disk::entries(&directory.shard(self.shard)).inspect_err(|_| {
            self.next_shard(usage);
        })
    }

    /// Goes on to the next sub-directory; true if it was the last.
    fn next_shard(&mut self, usage: &Usage) -> bool {
        usage.counted(self.shard, self.found);
        self.found = Shard::default();
        self.entries = None;
        self.shard = self.shard.wrapping_add(1);
        self.shard == 0
    }
}

fn look(directory: &Directory, shard: u8, entry: &DirEntry, now: SystemTime) -> io::Result<Looked> {
    let name = entry.file_name();
    let Some(key) = key_of(&name, shard) else {
        if name.as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            remove_stale(entry)?;
        }
        return Ok(Looked::Nothing);
    };
    let Opened::File(file) = disk::open(&directory.record(&key), Access::Read)? else {
        return Ok(Looked::Nothing);
    };
    match Contents::read(&file, &file.metadata()?, &key)? {
        Read::Record(seen) if !seen.header.is_expired(now) => {
            return Ok(Looked::Kept(seen.file_bytes()));
        }
        Read::Foreign => return Ok(Looked::Nothing),
        Read::Record(_) | Read::Unfinished | Read::Damaged(_) => {}
    }
    drop(file);
    remove_expired(directory, &key, now)
}

/// Removes the record if it is expired under its lock too: it may have been renewed since it was
/// looked at. Opening it clears away what cannot be read.
pub(super) fn remove_expired(
    directory: &Directory,
    key: &StoreKey,
    now: SystemTime,
) -> io::Result<Looked> {
    // Not waited for: whoever holds the lock is using the session, and there is a next sweep.
    let Hold::Held(held) = Held::open(directory, key, Access::Read, Duration::ZERO)? else {
        return Ok(Looked::Nothing);
    };
    let bytes = held.contents.file_bytes();
    if !held.contents.header.is_expired(now) {
        return Ok(Looked::Kept(bytes));
    }
    Ok(if held.unlink()? { Looked::Removed(bytes) } else { Looked::Nothing })
}

fn remove_stale(entry: &DirEntry) -> io::Result<()> {
    let modified = match entry.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.modified()?,
    };
    // The disk's clock, not the caller's: this is about files, not about sessions.
    if modified.elapsed().is_ok_and(|age| age >= STALE_TEMPORARY) {
        disk::unlink(&entry.path())?;
    }
    Ok(())
}

/// The keys with files in one sub-directory that are greater than `after`, ascending.
pub(super) fn keys(
    directory: &Directory,
    shard: u8,
    after: Option<&StoreKey>,
) -> io::Result<Vec<StoreKey>> {
    if after.is_some_and(|after| shard_of(after) > shard) {
        return Ok(Vec::new());
    }
    let Some(entries) = disk::entries(&directory.shard(shard))? else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for entry in entries {
        keys.extend(key_of(&entry?.file_name(), shard).filter(|key| after.is_none_or(|a| key > a)));
    }
    keys.sort_unstable();
    Ok(keys)
}
