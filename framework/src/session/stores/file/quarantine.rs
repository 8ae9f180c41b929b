//! What is under the name of a session and is none: moved out of the way once, with one warning,
//! and kept for whoever wants to know what happened. The number kept is bounded.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::directory::Directory;
use super::disk;
use crate::session::StoreKey;

/// Files kept; further ones are deleted.
const MAX_KEPT: usize = 64;

/// Sets aside a regular file without a valid slot. The caller holds its lock and has checked that
/// the name is still its name, so exactly one process does this and warns.
pub(super) fn damaged(directory: &Directory, key: &StoreKey, why: &str) -> io::Result<()> {
    set_aside(directory, key, why, true)
}

/// Sets aside what is no regular file, and so has no lock of its own: the lock of the quarantine
/// stands in for it.
pub(super) fn foreign(directory: &Directory, key: &StoreKey, patience: Duration) -> io::Result<()> {
    let quarantine = directory.quarantine();
    disk::create_dir(&quarantine, false)?;
    let lock = File::open(&quarantine)?;
    if !disk::lock(&lock, patience)? {
        return Err(io::Error::new(ErrorKind::TimedOut, "the quarantine is locked"));
    }
    match fs::symlink_metadata(directory.record(key)) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) => set_aside(directory, key, "it is no regular file", !found.is_dir()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn set_aside(directory: &Directory, key: &StoreKey, why: &str, removable: bool) -> io::Result<()> {
    let quarantine = directory.quarantine();
    disk::create_dir(&quarantine, false)?;
    let kept = disk::entries(&quarantine)?.map_or(0, |entries| entries.take(MAX_KEPT).count());
    let path = directory.record(key);
    let fate = if removable && kept >= MAX_KEPT {
        disk::unlink(&path)?;
        "deleted, since the quarantine is full"
    } else {
        let random = getrandom::u32().map_err(io::Error::other)?;
        disk::rename(&path, &quarantine.join(format!("{key}.{random:08x}")))?;
        "moved to quarantine"
    };
    log::warn!("session record {}.. cannot be read: {why}; {fate}", key.short());
    Ok(())
}
