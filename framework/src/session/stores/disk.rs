//! The few calls to the file system that need a word: what they ask of the kernel and how their
//! failures are told apart.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this store blocks by design: it is only ever called from the blocking pool, so no \
              worker waits here and no guard is held across a yield"
)]

use std::error::Error as StdError;
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, ReadDir, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::session::StoreError;

/// What opening the name of a session found.
pub(super) enum Opened {
    Absent,
    /// Something that is no regular file: a symbolic link, a directory, a pipe.
    Foreign,
    File(File),
}

/// Whether a file is opened to be read, or to be written too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Opens the file of a session. Links are not followed, a pipe does not make us wait, and reading
/// does not note the time of the read, which would be a write to the disk's journal.
pub(super) fn open(path: &Path, access: Access) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.read(true).write(access == Access::Write);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let opened = match options.custom_flags(flags | libc::O_NOATIME).open(path) {
        // Only the owner of a file may leave its times alone.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            options.custom_flags(flags).open(path)
        }
        opened => opened,
    };
    match opened {
        Ok(file) => Ok(Opened::File(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Opened::Absent),
        Err(error) => match error.raw_os_error() {
            Some(libc::ELOOP | libc::EISDIR | libc::ENXIO | libc::ENODEV) => Ok(Opened::Foreign),
            _ => Err(error),
        },
    }
}

/// Creates a file that did not exist, readable by us alone.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Creates a directory for us alone; one that is there already is fine.
pub(super) fn create_dir(path: &Path, parents: bool) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).recursive(parents).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Takes the lock of an open file, waiting no longer than `patience`: a stopped process that holds
/// it must not hang others for ever. False if it is still held.
pub(super) fn lock(file: &File, patience: Duration) -> io::Result<bool> {
    let mut pause = Duration::from_micros(20);
    let mut until = None;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if patience.is_zero() => return Ok(false),
            Err(TryLockError::WouldBlock) => {}
        }
        if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + patience) {
            return Ok(false);
        }
        // A save holds the lock for about 10 us, so the first waits are short.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Removes a name; false if it was gone already.
pub(super) fn unlink(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives a file another name, over whatever had it.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// The sticky bit, which means nothing on a file: its name of a session was taken from it.
const DISOWNED: u32 = 0o1000;

/// Marks a file whose name was just removed or given away, should it live on under another (a
/// backup made of hard links): whoever has it open cannot tell by its links that it is no session
/// any more.
pub(super) fn disown(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    if found.nlink() == 0 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(found.mode() | DISOWNED))
}

/// Whether the file was marked by [`disown`].
pub(super) fn is_disowned(found: &Metadata) -> bool {
    found.mode() & DISOWNED != 0
}

/// The entries of a directory, or `None` if there is no such directory.
pub(super) fn entries(path: &Path) -> io::Result<Option<ReadDir>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory survive a power loss.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// State of this process, reachable only inside a closure, so that no guard is held by accident.
pub(super) struct Guarded<T>(Mutex<T>);

impl<T> Guarded<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A failed step of the file store; the system's error is its cause.
#[derive(Debug)]
struct FileError {
    step: &'static str,
    cause: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step)
    }
}

impl StdError for FileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.cause)
    }
}

/// Turns an I/O error into the store's, naming the step: `.map_err(failed("cannot read ..."))`.
pub(super) fn failed(step: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError::unavailable(FileError { step, cause })
}

/// As [`failed`], for a step that reads, or comes before the first write: surely nothing was
/// changed.
pub(super) fn refused(step: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError::refused(FileError { step, cause })
}

/// How a write failed.
#[derive(Debug)]
pub(super) enum WriteError {
    /// Nothing of it is there, nor will be after a restart.
    NotWritten(io::Error),
    /// It may be there all the same.
    InDoubt(io::Error),
}

impl WriteError {
    /// The store's error, naming the step.
    pub(super) fn at(self, step: &'static str) -> StoreError {
        match self {
            Self::NotWritten(cause) => refused(step)(cause),
            Self::InDoubt(cause) => failed(step)(cause),
        }
    }
}
