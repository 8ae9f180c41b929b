//! Where the socket of a running server lies, and how to reach it.
//!
//! Several servers may share the directory of a file store, so each has a socket of its own,
//! `admin-PID-RANDOM.sock`. The name appears only when the socket listens, so one that refuses was
//! left by a server that is dead.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::Config;

/// How names of sockets begin and end; one that is not ready yet has a dot in front.
const PREFIX: &str = "admin-";
const UNREADY: &str = ".admin-";
const SUFFIX: &str = ".sock";

/// The kernel takes no longer path for a socket (108 bytes with the final zero).
const MAX_PATH_BYTES: usize = 107;

/// How long a server may take to accept a client.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The directory of the sockets, if the settings name one.
pub(super) fn directory(config: &Config) -> Option<&Path> {
    if let Some(path) = &config.admin.path {
        return Some(path);
    }
    match config.session.backend.as_str() {
        "file" => Some(&config.session_file.path),
        "table" => Some(&config.session_table.path),
        _ => None,
    }
}

/// The sockets in a directory, those of dead servers among them.
pub(super) fn sockets(dir: &Path) -> io::Result<Vec<PathBuf>> {
    named(dir, PREFIX)
}

fn named(dir: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    #[expect(clippy::disallowed_methods, reason = "on the thread of the start or of a command")]
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let is_socket =
            name.to_str().is_some_and(|it| it.starts_with(prefix) && it.ends_with(SUFFIX));
        if is_socket {
            found.push(dir.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// Connects to the socket at `path`, waiting no longer than [`CONNECT_TIME`].
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A stopped server whose queue is full would hang us otherwise.
    socket.set_write_timeout(Some(CONNECT_TIME))?;
    let (_dir, path) = reachable(path)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// Opens a socket in `dir` that its owner alone may use; gives the path it can be found under.
pub(super) fn bind(dir: &Path) -> io::Result<(UnixListener, PathBuf)> {
    remove_stale(dir)?;
    let random = getrandom::u32().map_err(io::Error::other)?;
    let name = format!("{}-{random:08x}{SUFFIX}", std::process::id());
    let unready = dir.join(format!("{UNREADY}{name}"));
    let path = dir.join(format!("{PREFIX}{name}"));
    let listener = {
        let (_dir, unready) = reachable(&unready)?;
        UnixListener::bind(unready)?
    };
    // The name that others look for comes last: whoever finds it can connect.
    let ready = std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| rename(&unready, &path));
    if ready.is_err() {
        remove(&unready);
    }
    ready.map(|()| (listener, path))
}

/// Removes the sockets of servers that were killed; those of living ones answer, and stay.
fn remove_stale(dir: &Path) -> io::Result<()> {
    for path in named(dir, PREFIX)?.into_iter().chain(named(dir, UNREADY)?) {
        let is_dead =
            connect(&path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if is_dead {
            remove(&path);
        }
    }
    Ok(())
}

/// The path, or a short one that leads to the same place: through the open directory, which has to
/// be kept meanwhile.
fn reachable(path: &Path) -> io::Result<(Option<File>, PathBuf)> {
    if path.as_os_str().as_bytes().len() <= MAX_PATH_BYTES {
        return Ok((None, path.to_owned()));
    }
    let too_long = |cause: Option<io::Error>| {
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        let what = format!(
            "the path of the socket, {}, is longer than the {MAX_PATH_BYTES} bytes that sockets \
             may have, and /proc offers no way around{cause}; set [admin] path to a shorter \
             directory",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidFilename, what)
    };
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(too_long(None));
    };
    let dir = File::open(dir)?;
    let way = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    std::fs::metadata(&way).map_err(|error| too_long(Some(error)))?;
    Ok((Some(dir), way.join(name)))
}

#[expect(clippy::disallowed_methods, reason = "at start, before any worker is busy")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Removes the name of a socket; it may be gone already.
#[expect(clippy::disallowed_methods, reason = "at start and at the end, not on a worker")]
pub(super) fn remove(path: &Path) {
    std::fs::remove_file(path).ok();
}
