//! What a handler may return.

use std::borrow::Cow;

use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::http::uri_reference;
use crate::response::Response;

/// A type that can be the answer of a handler.
///
/// Text is sent as `text/plain; charset=utf-8`, bytes as `application/octet-stream`, [`Json`] and
/// [`Html`] as what they are; `()` is `204 No Content`; a [`StatusCode`] alone is that status with
/// its phrase; `(StatusCode, T)` is `T` with another status. `Result<T, maypole::Error>` is its
/// value, or the error as a response: status and a fixed phrase to the client, the chain to the log.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a handler",
    label = "not an `IntoResponse`",
    note = "return text, bytes, `Json(value)`, `Html(text)`, `Redirect`, a `StatusCode`, `(StatusCode, T)`, `()`, a `Response`, or `Ok(..)` of one of them as `maypole::Result`"
)]
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::new(StatusCode::OK, self).with_content_type(TEXT)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::new(StatusCode::OK, self).with_content_type(TEXT)
    }
}

impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Response {
        Response::new(StatusCode::OK, self).with_content_type(TEXT)
    }
}

impl IntoResponse for &'static [u8] {
    fn into_response(self) -> Response {
        Response::bytes(StatusCode::OK, self).with_content_type(BYTES)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::bytes(StatusCode::OK, self).with_content_type(BYTES)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::empty(StatusCode::NO_CONTENT)
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        phrase(self)
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<T: IntoResponse> IntoResponse for Result<T> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

/// Carries the error to the outer layer, which logs it and may dress it up.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = match self.kind() {
            // The client's own mistake: tell it what is wrong with what it sent.
            ErrorKind::Request => {
                Response::new(self.status(), format!("{self}\n")).with_content_type(TEXT)
            }
            _ => phrase(self.status()),
        };
        if self.is_unavailable() {
            response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.set_error(self);
        response
    }
}

/// A status with its fixed phrase as the body, where the status may have one.
pub(crate) fn phrase(status: StatusCode) -> Response {
    if status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        return Response::empty(status);
    }
    let text = match status.canonical_reason() {
        Some(reason) => format!("{} {reason}\n", status.as_u16()),
        None => format!("{}\n", status.as_u16()),
    };
    Response::new(status, text).with_content_type(TEXT)
}

/// A value sent as `application/json`.
///
/// ```
/// use maypole::prelude::*;
///
/// let response = Json(vec![1, 2, 3]).into_response();
/// assert_eq!(response.body_bytes(), Some(&b"[1,2,3]"[..]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => Response::bytes(StatusCode::OK, bytes).with_content_type(JSON),
            Err(error) => Error::new(ErrorKind::Internal, "the answer cannot be written as JSON")
                .caused_by(error)
                .into_response(),
        }
    }
}

/// Text sent as `text/html; charset=utf-8`. It is sent as it is: escape what visitors wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<Cow<'static, str>>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        Response::new(StatusCode::OK, self.0).with_content_type(HTML)
    }
}

/// Sends the client to another address.
///
/// The session is saved before the redirect leaves: the next request, on any server, reads what
/// this one wrote.
///
/// The address may be absolute or relative, in plain text: what no URI holds (spaces, all that is not
/// ASCII, a `%` that begins no escape, the backslash) is sent percent-encoded, and escapes that are
/// there stay as they are. Control characters make it a 500. Where it leads is yours to check: one
/// that a client sent may name another site.
///
/// ```
/// use maypole::prelude::*;
///
/// let mut app = App::with_defaults();
/// app.get("/", |ctx| ctx.redirect("/tea room?for=zoë"));
/// let answer = app.test_client()?.get("/").send();
/// assert_eq!(answer.header("location"), Some("/tea%20room?for=zo%C3%AB"));
/// # Ok::<(), maypole::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    status: StatusCode,
    location: String,
}

impl Redirect {
    /// `303 See Other`: the client fetches `location` with GET. What a form answers with.
    pub fn to(location: impl Into<String>) -> Self {
        Self { status: StatusCode::SEE_OTHER, location: location.into() }
    }

    /// `307 Temporary Redirect`: the client repeats its request, method and body, at `location`.
    pub fn temporary(location: impl Into<String>) -> Self {
        Self { status: StatusCode::TEMPORARY_REDIRECT, location: location.into() }
    }

    /// `308 Permanent Redirect`: as [`temporary`](Self::temporary), and the client may remember it.
    pub fn permanent(location: impl Into<String>) -> Self {
        Self { status: StatusCode::PERMANENT_REDIRECT, location: location.into() }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        let address = uri_reference(&self.location);
        let Some(location) = address.and_then(|address| HeaderValue::try_from(address).ok()) else {
            let what = "the redirect's address has control characters";
            return Error::new(ErrorKind::Internal, what).into_response();
        };
        let mut response = Response::empty(self.status);
        response.headers_mut().insert(LOCATION, location);
        response
    }
}
