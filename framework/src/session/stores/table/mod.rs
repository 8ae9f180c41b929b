//! Sessions in memory, with a journal on disk: the fast store of a single process. This room knows
//! a concurrent table and the files of its journal; nothing in it yields but the wait for another
//! writer of the same sessions and for a disk that stalls.

mod access;
mod compact;
mod entry;
mod frame;
mod journal;
mod loaders;
mod locks;
mod map;
mod options;
mod owner;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod upkeep;
mod usage;
mod walk;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::access::Search;
use self::journal::Journal;
use self::locks::Parking;
use self::map::{Map, Place};
use self::owner::Owner;
use self::upkeep::Upkeep;
use self::usage::{Usage, total_bytes};
use super::private;
use crate::runtime::sync::ShortLock;
use crate::session::StoreError;
use crate::{Error, ErrorKind};

pub use self::options::TableOptions;
pub use self::usage::TableUsage;

/// Keeps sessions in the memory of this process, and every change of them in a journal on disk.
///
/// A save is written to the journal before it is acknowledged or seen by anybody: it survives a
/// kill -9 of the process, and a power loss as [`Fsync`](super::Fsync) says. Opening the store reads
/// the journal back. Loads never touch the disk.
///
/// The journal is a directory of files with mode 0600, of which each save appends to the last.
/// When most of it is out of date it is written anew in the background. It belongs to one process:
/// opening it a second time fails and names the owner. Several processes share a
/// [`FileStore`](super::FileStore) instead.
///
/// The calls of the contract are made for coroutines and need no `Blocking` around them. Someone
/// has to call [`maintain`](Self::maintain) every now and then; the server does.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use maypole::session::stores::{TableOptions, TableStore};
/// use maypole::session::{Expected, SessionStore, StoreKey, Stored, Swap};
///
/// # let dir = std::env::temp_dir().join(format!("maypole-doc-table-{}", std::process::id()));
/// let store = TableStore::open(TableOptions::new(&dir))?;
/// let (key, now) = (StoreKey::from_bytes([7; 32]), SystemTime::now());
/// let record = Stored {
///     bytes: b"cart".to_vec(),
///     version: 1,
///     deadline: now + Duration::from_secs(60),
///     last_seen: now,
///     evictable: false,
/// };
/// assert_eq!(store.swap(&key, Expected::Absent, &record, now)?, Swap::Done);
/// store.close()?;
///
/// let again = TableStore::open(TableOptions::new(&dir))?;
/// assert_eq!(again.load(&key, now)?.map(|found| found.bytes), Some(b"cart".to_vec()));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct TableStore {
    inner: Arc<Inner>,
}

/// What the threads of a store share with it.
struct Inner {
    map: Map<Parking>,
    journal: Arc<Journal>,
    usage: Usage,
    sweep: ShortLock<Place>,
    search: ShortLock<Search>,
    upkeep: Upkeep,
    is_stopped: AtomicBool,
}

impl TableStore {
    /// Opens, or creates, the store with its journal in a directory, and reads the journal:
    /// a million sessions of 300 bytes take 0.6 s on two free cores, up to 2 s on busy ones.
    ///
    /// A journal that ends in the middle of a save, as after a crash, is cut there with one
    /// warning. One that is damaged elsewhere is read as far as it can be, with an error in the
    /// log; the start does not fail for it.
    ///
    /// # Errors
    /// `Start` if the directory is a symbolic link or no directory, belongs to another user, is
    /// open to group or others, lies in a public root or cannot be written; if another process, or
    /// another store of this one, has the journal; or if reading it fails.
    pub fn open(options: TableOptions) -> Result<Self, Error> {
        let (dir, _) = private::open(&options.dir, &options.public_roots)?;
        let owner = Owner::take(&dir)?;
        let map = Map::new();
        let usage = Usage::new(options.max_sessions, options.max_total_bytes);
        let cannot = |verb: &str, dir: &Path| {
            let message = format!("cannot {verb} the session journal in {}", dir.display());
            Error::new(ErrorKind::Start, message)
        };
        let end = replay::replay(&dir, &map, &usage)
            .map_err(|error| cannot("read", &dir).caused_by(error))?;
        let journal = Journal::open(dir.clone(), &options, owner, end)
            .map_err(|error| cannot("begin", &dir).caused_by(error))?;
        let inner = Inner {
            map,
            journal,
            usage,
            sweep: ShortLock::new(Place::default()),
            search: ShortLock::new(Search::default()),
            upkeep: Upkeep::new(options),
            is_stopped: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The absolute path of the directory.
    #[must_use]
    pub fn location(&self) -> &Path {
        self.inner.journal.dir()
    }

    /// What the store holds.
    #[must_use]
    pub fn usage(&self) -> TableUsage {
        let held = self.inner.usage.held();
        TableUsage {
            sessions: u64::try_from(held.sessions).unwrap_or_default(),
            bytes: total_bytes(held),
            journal_bytes: self.inner.journal.total_bytes(),
            evicted: self.inner.usage.evicted.load(Ordering::Relaxed),
            stalls: self.inner.journal.stalls(),
        }
    }

    /// How often [`maintain`](Self::maintain) is to be called, at least.
    #[must_use]
    pub fn maintain_interval(&self) -> Duration {
        self.inner.upkeep.interval()
    }

    /// Does what is due: brings saves to the disk ([`Fsync::Interval`](super::Fsync::Interval)),
    /// and starts writing the journal anew, on a thread of its own, when most of it is out of date.
    ///
    /// Blocks while the disk works: call it from a thread, not from a coroutine.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the disk failed to sync: saves of the last interval may not
    /// survive a power loss. The journal is then written anew from memory.
    pub fn maintain(&self) -> Result<(), StoreError> {
        upkeep::maintain(&self.inner)
    }

    /// Ends the store: waits for its threads, brings everything to the disk (unless that is never
    /// wanted), and lets another store have the journal. Later saves fail, loads still work.
    ///
    /// A store that is dropped without it loses nothing; its threads then end soon after.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the disk failed to sync.
    pub fn close(&self) -> Result<(), StoreError> {
        upkeep::close(&self.inner)
    }
}

impl Drop for TableStore {
    fn drop(&mut self) {
        self.inner.stop();
    }
}

impl Inner {
    /// Tells the threads to end; waits for none.
    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.journal.stop();
    }
}

impl fmt::Debug for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableStore").field("location", &self.location()).finish_non_exhaustive()
    }
}
