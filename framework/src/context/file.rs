//! Answering with a file: opened and measured on the blocking pool, sent from there.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, LAST_MODIFIED};

use super::{RequestContext, beneath};
use crate::error::{Error, ErrorKind, Result};
use crate::response::Response;
use crate::runtime::offload;

/// A regular file, open.
struct Opened {
    file: File,
    length: u64,
    modified: Option<SystemTime>,
}

pub(super) fn answer(ctx: &RequestContext, path: PathBuf) -> Result<Response> {
    let content_type = content_type(&path);
    let opened = offload(move || open(&path))??;
    send(ctx, opened, &content_type)
}

pub(super) fn answer_beneath(
    ctx: &RequestContext,
    directory: PathBuf,
    path: String,
) -> Result<Response> {
    // By the name that was asked for, wherever a link leads.
    let content_type = content_type(Path::new(&path));
    let opened = offload(move || measured(beneath::open(&directory, &path)?))??;
    send(ctx, opened, &content_type)
}

fn content_type(path: &Path) -> String {
    let content_type = mime_guess::from_path(path).first_or_octet_stream();
    match content_type.type_() {
        mime_guess::mime::TEXT => format!("{content_type}; charset=utf-8"),
        _ => content_type.to_string(),
    }
}

fn send(ctx: &RequestContext, opened: Opened, content_type: &str) -> Result<Response> {
    let Opened { file, length, modified } = opened;
    match conditions(ctx, modified.map(unix_secs)) {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED => {
            return with_modified(Response::empty(StatusCode::NOT_MODIFIED), modified);
        }
        failed => return Err(Error::with_status(failed, "the file is not as the client wants it")),
    }
    let mut response = Response::file(file, length);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    with_modified(response, modified)
}

fn open(path: &PathBuf) -> Result<Opened> {
    // Without O_NONBLOCK a named pipe would hold the thread until somebody writes to it.
    let mut options = File::options();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(missing)?;
    measured(file)
}

fn measured(file: File) -> Result<Opened> {
    let metadata = file.metadata().map_err(missing)?;
    if !metadata.is_file() {
        return Err(Error::with_status(StatusCode::NOT_FOUND, "this is no file"));
    }
    Ok(Opened { file, length: metadata.len(), modified: metadata.modified().ok() })
}

/// Why a file cannot be opened, as an answer: what lies in its name is not the server's fault.
pub(super) fn missing(error: io::Error) -> Error {
    // Links in a circle, and a socket.
    let is_no_file = matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO));
    match error.kind() {
        _ if is_no_file => Error::with_status(StatusCode::NOT_FOUND, error),
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename => Error::with_status(StatusCode::NOT_FOUND, error),
        io::ErrorKind::PermissionDenied => Error::with_status(StatusCode::FORBIDDEN, error),
        _ => Error::new(ErrorKind::Internal, "a file cannot be opened").caused_by(error),
    }
}

/// What the conditions of the request make of a file that is there: 200, 304 or 412, looked at in
/// the order of RFC 9110, 13.2.2. A file has a date, in whole seconds, and no entity tag, so that
/// only `*` matches it.
fn conditions(ctx: &RequestContext, modified: Option<u64>) -> StatusCode {
    if !matches!(*ctx.method(), http::Method::GET | http::Method::HEAD) {
        return StatusCode::OK;
    }
    let says_any = |name| ctx.head().header_all(name).any(|value| value == b"*");
    let is_there = |name| ctx.head().header_all(name).next().is_some();
    let is_newer_than =
        |name| modified.zip(only_date(ctx, name)).map(|(modified, date)| modified > date);
    if is_there("if-match") {
        if !says_any("if-match") {
            return StatusCode::PRECONDITION_FAILED;
        }
    } else if is_newer_than("if-unmodified-since") == Some(true) {
        return StatusCode::PRECONDITION_FAILED;
    }
    let is_fresh = if is_there("if-none-match") {
        says_any("if-none-match")
    } else {
        is_newer_than("if-modified-since") == Some(false)
    };
    if is_fresh { StatusCode::NOT_MODIFIED } else { StatusCode::OK }
}

/// Several dates are none, as is one that cannot be read: the condition is passed over.
fn only_date(ctx: &RequestContext, name: &str) -> Option<u64> {
    let mut values = ctx.head().header_all(name);
    let value = values.next().filter(|_| values.next().is_none())?;
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok().map(unix_secs)
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn with_modified(response: Response, modified: Option<SystemTime>) -> Result<Response> {
    match modified {
        Some(modified) if unix_secs(modified) > 0 => {
            response.header(LAST_MODIFIED.as_str(), httpdate::fmt_http_date(modified))
        }
        _ => Ok(response),
    }
}
