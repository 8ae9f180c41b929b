//! Whether a directory is fit to keep sessions in: ours, closed to everybody else, not given out by
//! the web server, and writable. Stores that keep files ask this once, when they open.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk;
use crate::{Error, ErrorKind as Kind};

/// How names of unfinished files begin.
pub(super) const TEMPORARY_PREFIX: &str = ".tmp-";

/// Creates the directory if need be and refuses one in which sessions would not be private. Gives
/// its absolute path and what it was found to be.
pub(super) fn open(path: &Path, public_roots: &[PathBuf]) -> Result<(PathBuf, Metadata), Error> {
    // Without a slash at the end, behind which a symbolic link would be followed.
    let path = path.components().as_path();
    let resolved = resolve(path).map_err(|error| cannot("resolve", path, error))?;
    for root in public_roots {
        let root = resolve(root).map_err(|error| cannot("resolve", root, error))?;
        if resolved.starts_with(&root) {
            return Err(refused(path, &format!("is inside {}, which is public", root.display())));
        }
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            disk::create_dir(path, true).map_err(|error| cannot("create", path, error))?;
        }
        Err(error) => return Err(cannot("use", path, error)),
        Ok(_) => {}
    }
    let found = fs::symlink_metadata(path).map_err(|error| cannot("use", path, error))?;
    check_private(path, &found)?;
    let path = fs::canonicalize(path).map_err(|error| cannot("resolve", path, error))?;
    check_usable(&path, &found)?;
    Ok((path, found))
}

/// A fresh name for a file that will be renamed.
pub(super) fn temporary_name() -> io::Result<String> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    Ok(format!("{TEMPORARY_PREFIX}{random:016x}"))
}

/// Writes a file of our own: shows the owner we act as, a read-only or full disk, and a file
/// system without locks, all of which must stop the start and not the first visitor.
fn check_usable(path: &Path, found: &Metadata) -> Result<(), Error> {
    let probe = temporary_name().map_err(|error| cannot("use", path, error))?;
    let probe = path.join(probe);
    let file = disk::create_new(&probe).map_err(|error| cannot("write in", path, error))?;
    let result = file.metadata().and_then(|ours| Ok((ours, disk::lock(&file, Duration::ZERO)?)));
    let removed = disk::unlink(&probe);
    let (ours, _) = result.map_err(|error| cannot("lock files in", path, error))?;
    removed.map_err(|error| cannot("write in", path, error))?;
    if ours.uid() == found.uid() {
        return Ok(());
    }
    let reason = format!("belongs to user {}, not to user {}", found.uid(), ours.uid());
    Err(refused(path, &reason))
}

fn check_private(path: &Path, found: &Metadata) -> Result<(), Error> {
    if found.file_type().is_symlink() {
        return Err(refused(path, "is a symbolic link; name the directory itself"));
    }
    if !found.is_dir() {
        return Err(refused(path, "is not a directory"));
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let reason = format!("is open to other users (mode {mode:04o}); run chmod 700 on it");
        return Err(refused(path, &reason));
    }
    Ok(())
}

/// The path without links and dots, also of something that does not exist yet.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut missing = Vec::new();
    let mut at = absolute.as_path();
    let mut resolved = loop {
        match (fs::canonicalize(at), at.parent()) {
            (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
                missing.push(at.strip_prefix(parent).unwrap_or(at));
                at = parent;
            }
            (result, _) => break result?,
        }
    };
    for name in missing.into_iter().rev() {
        if name == Path::new("..") {
            resolved.pop();
        } else {
            resolved.push(name);
        }
    }
    Ok(resolved)
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::new(Kind::Start, format!("the directory {} {reason}", path.display()))
}

fn cannot(verb: &str, path: &Path, cause: io::Error) -> Error {
    let message = format!("cannot {verb} the directory {}", path.display());
    Error::new(Kind::Start, message).caused_by(cause)
}
