//! Answering with a file: opened and measured on the blocking pool, sent from there.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::validators::Validators;
use super::{RequestContext, beneath};
use crate::error::{Error, ErrorKind, Result};
use crate::response::Response;
use crate::runtime::offload;

/// A regular file, open.
struct Opened {
    file: File,
    length: u64,
    validators: Validators,
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
    let Opened { file, length, validators } = opened;
    match validators.conditions(ctx) {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED => {
            return validators.tell(Response::empty(StatusCode::NOT_MODIFIED));
        }
        failed => return Err(Error::with_status(failed, "the file is not as the client wants it")),
    }
    let mut response = Response::file(file, length);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    validators.tell(response)
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
    let validators = Validators::of(&metadata, SystemTime::now());
    Ok(Opened { file, length: metadata.len(), validators })
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
