//! A file beneath a directory, under a name that a client chose: nothing outside is ever opened.
//!
//! Each name on the way is opened in the directory before it and no link is followed, so nobody
//! can exchange one meanwhile. Where a link is in the way, the path is resolved first, has to lie
//! beneath the directory, and is then walked likewise.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use http::StatusCode;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::file;
use crate::error::{Error, Result};
use crate::runtime::LogLimit;

/// A directory to be looked into, and nothing else.
const WAY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// As [`WAY`], but no link.
const STEP: OFlag = WAY.union(OFlag::O_NOFOLLOW);
/// A file. Without `O_NONBLOCK` a named pipe would hold the thread until somebody writes to it.
const END: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NOFOLLOW);

/// Opens the file that `path` names beneath `directory`. Whatever is wrong with `path` is a 404.
pub(super) fn open(directory: &Path, path: &str) -> Result<File> {
    let Some(names) = names(path) else {
        return Err(Error::with_status(StatusCode::NOT_FOUND, "no name of a file beneath"));
    };
    let root = openat(AT_FDCWD, directory, WAY, Mode::empty()).map_err(|error| {
        tell_that_it_is_missing(directory, error);
        not_found(error.into())
    })?;
    let opened = match walk(root, names.iter().map(OsStr::new)) {
        // A link at the end, or on the way.
        Err(Errno::ELOOP | Errno::ENOTDIR) => open_resolved(directory, path),
        opened => opened.map_err(io::Error::from),
    };
    opened.map(File::from).map_err(not_found)
}

/// As for any file, but never 403: that would tell what exists.
fn not_found(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Error::with_status(StatusCode::NOT_FOUND, error),
        _ => file::missing(error),
    }
}

/// The names in `path`, if a client may ask for them all.
fn names(path: &str) -> Option<Vec<&str>> {
    let is_drive = matches!(path.as_bytes(), [b'a'..=b'z' | b'A'..=b'Z', b':', ..]);
    let is_good = |name: &str| !name.starts_with('.') && !name.contains(['\\', '\0']);
    // An empty name is an absolute path, a directory, or a second name for the same file.
    let names = path.split('/').map(|name| (!name.is_empty() && is_good(name)).then_some(name));
    if is_drive { None } else { names.collect() }
}

fn walk<'a>(root: OwnedFd, names: impl Iterator<Item = &'a OsStr>) -> nix::Result<OwnedFd> {
    let mut names = names.peekable();
    let mut place = root;
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { STEP } else { END };
        place = openat(&place, name, flags, Mode::empty())?;
    }
    Ok(place)
}

fn open_resolved(directory: &Path, path: &str) -> io::Result<OwnedFd> {
    let root = fs::canonicalize(directory)?;
    let resolved = fs::canonicalize(root.join(path))?;
    let beneath = resolved.strip_prefix(&root).map_err(|_| {
        io::Error::new(io::ErrorKind::NotFound, "a link leads out of the directory")
    })?;
    let root = openat(AT_FDCWD, &root, WAY, Mode::empty())?;
    Ok(walk(root, beneath.iter())?)
}

/// A visitor sees a 404 as for any file; whoever runs the server should hear why all are missing.
fn tell_that_it_is_missing(directory: &Path, error: Errno) {
    static LIMIT: LogLimit = LogLimit::new();
    if let Some(left_out) = LIMIT.admit() {
        log::warn!(
            "no file of the directory {} can be sent: {}{left_out}",
            directory.display(),
            error.desc()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{names, not_found};

    #[test]
    fn only_plain_names_are_asked_for() {
        for (path, expected) in [
            ("a.txt", &["a.txt"][..]),
            ("a/b/c d", &["a", "b", "c d"]),
            ("a..b/c.", &["a..b", "c."]),
            ("ab:c", &["ab:c"]),
            ("~/a", &["~", "a"]),
        ] {
            assert_eq!(names(path).as_deref(), Some(expected), "{path}");
        }
        for path in [
            "",
            "/",
            "/etc/hostname",
            "a//b",
            "a/",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "./a",
            ".env",
            "a/.git/config",
            "...",
            "a\\b",
            "..\\a",
            "\\\\host\\a",
            "c:",
            "C:/a",
            "c:a",
            "a\0",
            "a/\0b",
        ] {
            assert_eq!(names(path), None, "{path:?}");
        }
    }

    #[test]
    fn what_may_not_be_read_is_not_there() {
        for (number, status) in [
            (libc::EACCES, 404),
            (libc::ENOENT, 404),
            (libc::ENOTDIR, 404),
            (libc::ELOOP, 404),
            (libc::ENXIO, 404),
            (libc::ENAMETOOLONG, 404),
            (libc::EIO, 500),
            (libc::EMFILE, 500),
        ] {
            assert_eq!(
                not_found(io::Error::from_raw_os_error(number)).status(),
                status,
                "{number}"
            );
        }
    }
}
