//! Open files of sessions used lately, so that a request need not open and close one, nor leave
//! its worker to read it.
//!
//! A descriptor leads to a file, not to a name: the file may have been removed, or grown into
//! another one, by any process since it was opened. A file that counts no link has lost its name, and
//! one that lives on in a backup of links is marked by whoever took its name: a reader asks for both
//! after it read. A file that somebody moved away by hand counts its link
//! still: writers look at the name itself, under the lock, and readers believe such a file until
//! the check that goes with a sweep.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::contents::{Contents, Read};
use super::directory::Directory;
use super::disk;
use super::record::is_named;
use crate::runtime::read_cached;
use crate::runtime::sync::ShortLock;
use crate::session::StoreKey;

/// Sets of descriptors, each with a lock and a bound of its own.
const SETS: usize = 64;

/// Files up to this size are read on a worker; copying a longer one takes it too long.
const MAX_INLINE_BYTES: usize = 16 * 1024;

/// How long names are believed between two checks.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// The files that are kept open.
pub(super) struct Descriptors {
    sets: Box<[ShortLock<Set>]>,
    max_in_set: usize,
    /// Files a worker was the last to use. Closing one that has no name any more frees its blocks,
    /// which may wait for the disk.
    to_close: ShortLock<Vec<Kept>>,
    checked: ShortLock<Instant>,
}

/// Those used last are at the end.
type Set = Vec<Entry>;

#[derive(Clone)]
struct Entry {
    key: StoreKey,
    /// Half of the file's length, which never changes: a session that grows gets another file.
    slot_bytes: usize,
    kept: Arc<Kept>,
}

/// A session file that is open.
#[derive(Debug)]
struct Kept {
    file: File,
    /// The lock of a file belongs to the descriptor, so of this process one at a time may take it
    /// by this one.
    is_claimed: AtomicBool,
}

/// A file whose lock was or will be taken by whoever holds this; dropping it gives the lock back.
#[derive(Debug)]
pub(super) struct Claimed {
    open: Arc<Kept>,
    is_kept: bool,
}

impl Descriptors {
    /// Keeps up to `max` files open; none with 0.
    pub(super) fn new(max: usize) -> Self {
        let sets = max.min(SETS);
        Self {
            sets: (0..sets).map(|_| ShortLock::new(Vec::new())).collect(),
            max_in_set: max.checked_div(sets).unwrap_or_default(),
            to_close: ShortLock::new(Vec::new()),
            checked: ShortLock::new(Instant::now()),
        }
    }

    /// Reads the file of `key` if that can be done without waiting: it is open, still has its
    /// name, and the kernel has it in memory.
    pub(super) fn read_now(&self, key: &StoreKey) -> Option<Contents> {
        let found = self.find(key)?;
        let contents = found.read_now();
        if let Some(kept) = Arc::into_inner(found.kept) {
            self.to_close.with(|files| files.push(kept));
        }
        contents
    }

    /// The file of `key`, if it is open and nobody of this process holds its lock by it.
    pub(super) fn claim(&self, key: &StoreKey) -> Option<Claimed> {
        let Entry { kept, .. } = self.find(key)?;
        let was_claimed = kept.is_claimed.swap(true, Ordering::Acquire);
        (!was_claimed).then(|| Claimed { open: kept, is_kept: true })
    }

    /// Keeps a file open, in place of the one that was open for `key`, or used longest ago. May
    /// wait for the disk.
    pub(super) fn keep(&self, key: &StoreKey, file: &Claimed, slot_bytes: usize) {
        self.change(key, |set, max| {
            let old = take(set, key);
            let oldest = (set.len() >= max).then(|| set.remove(0));
            set.push(Entry { key: *key, slot_bytes, kept: Arc::clone(&file.open) });
            (old, oldest)
        });
    }

    /// Closes the file of `key`. May wait for the disk.
    pub(super) fn forget(&self, key: &StoreKey) {
        self.change(key, |set, _| take(set, key));
    }

    /// Closes, every few seconds, files that have lost their name. May wait for the disk.
    pub(super) fn check(&self, directory: &Directory) {
        let is_due = self.checked.with(|checked| {
            let is_due = checked.elapsed() >= CHECK_EVERY;
            if is_due {
                *checked = Instant::now();
            }
            is_due
        });
        if is_due {
            self.check_now(directory);
        }
    }

    pub(super) fn check_now(&self, directory: &Directory) {
        for set in &self.sets {
            for Entry { key, kept, .. } in set.with(|set| set.clone()) {
                // Whatever is wrong with it, opening it by its name will tell.
                if !is_named(&kept.file, &directory.record(&key)).unwrap_or(false) {
                    self.forget(&key);
                }
            }
        }
        drop(self.to_close.with(std::mem::take));
    }

    fn find(&self, key: &StoreKey) -> Option<Entry> {
        self.set(key)?.with(|set| {
            let at = set.iter().rposition(|entry| entry.key == *key)?;
            set.get_mut(at..)?.rotate_left(1);
            set.last().cloned()
        })
    }

    /// What `change` takes out is closed outside the lock.
    fn change<T>(&self, key: &StoreKey, change: impl FnOnce(&mut Set, usize) -> T) {
        let Some(set) = self.set(key) else { return };
        drop(set.with(|set| change(set, self.max_in_set)));
        drop(self.to_close.with(std::mem::take));
    }

    fn set(&self, key: &StoreKey) -> Option<&ShortLock<Set>> {
        let [.., last] = *key.as_bytes();
        self.sets.get(usize::from(last).checked_rem(self.sets.len())?)
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.sets.iter().map(|set| set.with(|set| set.len())).sum()
    }
}

fn take(set: &mut Set, key: &StoreKey) -> Option<Entry> {
    let at = set.iter().position(|entry| entry.key == *key)?;
    Some(set.remove(at))
}

impl Entry {
    fn read_now(&self) -> Option<Contents> {
        let file_bytes = 2 * self.slot_bytes;
        if file_bytes > MAX_INLINE_BYTES {
            return None;
        }
        let mut bytes = vec![0; file_bytes];
        if read_cached(&self.kept.file, &mut bytes)? != file_bytes {
            return None;
        }
        let read = Contents::parse(bytes, self.slot_bytes, &self.key, file_bytes as u64);
        let Read::Record(contents) = read else { return None };
        // After the read: a file that has its name now had it then. More than one link tells
        // nothing about the name.
        let found = self.kept.file.metadata().ok()?;
        let is_ours = found.nlink() == 1 && !disk::is_disowned(&found);
        let is_there = is_ours && found.size() == file_bytes as u64;
        (is_there && contents.is_settled()).then_some(contents)
    }
}

impl Claimed {
    /// A file that was just opened, of which nobody else knows.
    pub(super) fn new(file: File) -> Self {
        let open = Arc::new(Kept { file, is_claimed: AtomicBool::new(true) });
        Self { open, is_kept: false }
    }

    /// Whether it was open before it was claimed.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    pub(super) fn file(&self) -> &File {
        &self.open.file
    }

    /// Takes the lock of the file; see [`disk::lock`].
    pub(super) fn lock(&self, patience: Duration) -> io::Result<bool> {
        disk::lock(&self.open.file, patience)
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        // It fails for no open file, and does nothing where the lock was not taken.
        self.open.file.unlock().ok();
        self.open.is_claimed.store(false, Ordering::Release);
    }
}
