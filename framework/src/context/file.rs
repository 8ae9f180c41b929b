//! Answering with a file: opened and measured on the blocking pool, sent from there.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, LAST_MODIFIED};

use super::RequestContext;
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
    let content_type = mime_guess::from_path(&path).first_or_octet_stream();
    let Opened { file, length, modified } = offload(move || open(&path))??;
    if is_unmodified(ctx, modified) {
        return with_modified(Response::empty(StatusCode::NOT_MODIFIED), modified);
    }
    let mut response = Response::file(file, length);
    let text = match content_type.type_() {
        mime_guess::mime::TEXT => format!("{content_type}; charset=utf-8"),
        _ => content_type.to_string(),
    };
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    with_modified(response, modified)
}

fn open(path: &PathBuf) -> Result<Opened> {
    let missing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound
        | std::io::ErrorKind::NotADirectory
        | std::io::ErrorKind::InvalidInput => Error::with_status(StatusCode::NOT_FOUND, error),
        std::io::ErrorKind::PermissionDenied => Error::with_status(StatusCode::FORBIDDEN, error),
        _ => Error::new(ErrorKind::Internal, "a file cannot be opened").caused_by(error),
    };
    // Without O_NONBLOCK a named pipe would hold the thread until somebody writes to it.
    let mut options = File::options();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(missing)?;
    let metadata = file.metadata().map_err(missing)?;
    if !metadata.is_file() {
        return Err(Error::with_status(StatusCode::NOT_FOUND, "this is no file"));
    }
    Ok(Opened { file, length: metadata.len(), modified: metadata.modified().ok() })
}

/// HTTP dates have whole seconds (RFC 9110, 13.1.3).
fn is_unmodified(ctx: &RequestContext, modified: Option<SystemTime>) -> bool {
    let since =
        ctx.header("if-modified-since").and_then(|date| httpdate::parse_http_date(date).ok());
    let (Some(since), Some(modified)) = (since, modified) else { return false };
    let readable = matches!(*ctx.method(), http::Method::GET | http::Method::HEAD);
    readable && ctx.header("if-none-match").is_none() && unix_secs(modified) <= unix_secs(since)
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
