//! A response as a value: status, headers, and a body that is bytes, a file, a stream or an
//! upgrade. Nothing here writes to a socket.

mod headers;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use self::headers::Headers;
use crate::error::{Error, ErrorKind, Result};
use crate::http::ResponseHeaders;
use crate::upgrade::{Line, Upgraded};

/// What a handler answers with. Made from most types by [`IntoResponse`](crate::IntoResponse).
///
/// # Examples
/// ```
/// use maypole::{Response, StatusCode};
///
/// let response = Response::new(StatusCode::CREATED, "made").header("X-Made-By", "maypole")?;
/// assert_eq!(response.status(), StatusCode::CREATED);
/// # Ok::<(), maypole::Error>(())
/// ```
#[must_use = "the client gets only the answer that the handler or middleware returns: take away the \
              semicolon, or write `return`"]
pub struct Response {
    status: StatusCode,
    headers: Headers,
    body: Body,
    /// What went wrong, for the log; the client never sees it.
    error: Option<Error>,
}

/// The body of a [`Response`].
pub(crate) enum Body {
    /// No bytes at all.
    Empty,
    Bytes(Cow<'static, [u8]>),
    /// So many bytes of a regular file, from `start` on.
    File {
        file: File,
        start: u64,
        length: u64,
    },
    /// Written from the request's coroutine, of unknown length.
    Stream(StreamBody),
    /// After this head the connection speaks another protocol.
    Upgrade(UpgradeBody),
}

pub(crate) type StreamBody = Box<dyn FnOnce(&mut BodyWriter<'_>) -> Result<()> + Send>;
pub(crate) type UpgradeBody = Box<dyn FnOnce(Upgraded) -> Result<()> + Send>;

impl Response {
    /// A response with these bytes and no `Content-Type`.
    pub fn new(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Self {
        Self::with_body(status, Body::from(body.into()))
    }

    /// A response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self::with_body(status, Body::Empty)
    }

    /// A response with these bytes and no `Content-Type`.
    pub fn bytes(status: StatusCode, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self::with_body(status, Body::Bytes(body.into()))
    }

    /// A body of unknown length, written by `write` from the request's own coroutine.
    ///
    /// The session is committed before the head leaves; what `write` changes in it later needs
    /// [`Session::save`](crate::Session::save). To a browser that sent the session's cookie it goes
    /// with `Cache-Control: private, no-store` unless the answer has a `Cache-Control` of its own,
    /// since `write` may read the session. Each write waits until the client takes the bytes,
    /// for at most `[server] write_timeout`; then it fails and `write` should end with `?`. An
    /// error or a panic cuts the connection, so that the client sees the body is not whole.
    pub fn stream<F>(write: F) -> Self
    where
        F: FnOnce(&mut BodyWriter<'_>) -> Result<()> + Send + 'static,
    {
        Self::with_body(StatusCode::OK, Body::Stream(Box::new(write)))
    }

    /// Switches the connection to another protocol with `101 Switching Protocols`.
    ///
    /// `run` gets the raw connection after the head was sent, on the request's own coroutine. The
    /// caller sets the headers of the handshake; `Connection: upgrade` is added, and `Upgrade` is
    /// `protocol`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when `protocol` is no header value.
    pub fn upgrade<F>(protocol: &str, run: F) -> Result<Self>
    where
        F: FnOnce(Upgraded) -> Result<()> + Send + 'static,
    {
        let body = Body::Upgrade(Box::new(run));
        Self::with_body(StatusCode::SWITCHING_PROTOCOLS, body).header("upgrade", protocol)
    }

    pub(crate) fn file(file: File, length: u64) -> Self {
        Self::with_body(StatusCode::OK, Body::File { file, start: 0, length })
    }

    fn with_body(status: StatusCode, body: Body) -> Self {
        Self { status, headers: Headers::default(), body, error: None }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same response with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same response with the header `name` set to `value`, replacing what was there.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when `name` is no token or `value` holds a control character (a
    /// line break, say: that is how responses are split).
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        let (name, value) = header(name, value.as_ref())?;
        self.headers.map_mut().insert(name, value);
        Ok(self)
    }

    /// As [`header`](Self::header), but keeps what is there and adds a line.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn append_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        let (name, value) = header(name, value.as_ref())?;
        self.headers.map_mut().append(name, value);
        Ok(self)
    }

    /// The headers set so far. `Content-Length`, `Date` and `Connection` are added when the
    /// response is sent.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.map()
    }

    /// The headers, to be changed; for middleware.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.map_mut()
    }

    /// The headers as they are written.
    pub(crate) fn written_headers(&self) -> ResponseHeaders<'_> {
        self.headers.written()
    }

    /// Adds the lines of an answer for one visitor alone, if nobody has set a header but
    /// `Content-Type`; false if somebody has.
    pub(crate) fn set_private(&mut self) -> bool {
        self.headers.set_private()
    }

    /// The bytes of the body, where they are known: `None` for a file, a stream, an upgrade.
    #[must_use]
    pub fn body_bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Empty => Some(&[]),
            Body::Bytes(bytes) => Some(bytes),
            Body::File { .. } | Body::Stream(_) | Body::Upgrade(_) => None,
        }
    }

    pub(crate) fn with_content_type(mut self, content_type: HeaderValue) -> Self {
        self.headers.set_content_type(content_type);
        self
    }

    pub(crate) fn set_error(&mut self, error: Error) {
        self.error = Some(error);
    }

    /// The error this response was made from, if it was; the outer layer logs it. Middleware that
    /// answers with a page of its own instead drops it, so it should log
    /// [`chain`](Error::chain) first, with the request's id: nobody else will.
    ///
    /// ```
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.with(|ctx, next| {
    ///     let response = next.run(ctx);
    ///     let Some(error) = response.error() else { return response };
    ///     eprintln!("{}: {}", ctx.request_id(), error.chain());
    ///     let page = format!("<h1>Sorry</h1><p>Please tell us {}.", ctx.request_id());
    ///     (response.status(), Html(page)).into_response()
    /// });
    /// app.get("/{id}", |ctx| Ok(format!("{}", ctx.param::<u32>("id")?)));
    /// let client = app.test_client()?;
    /// let answer = client.get("/x").send();
    /// assert_eq!(answer.status(), 400);
    /// assert!(answer.text().starts_with("<h1>Sorry"));
    /// # Ok::<(), maypole::Error>(())
    /// ```
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    pub(crate) fn set_text(&mut self, text: String) {
        self.body = Body::from(Cow::Owned(text));
    }

    /// Whether the connection shall speak another protocol after this head.
    pub(crate) fn is_upgrade(&self) -> bool {
        matches!(self.body, Body::Upgrade(_))
    }

    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::Empty)
    }

    /// How long the file is that makes the body; `None` for any other body.
    pub(crate) fn file_length(&self) -> Option<u64> {
        match self.body {
            Body::File { length, .. } => Some(length),
            _ => None,
        }
    }

    /// Leaves a part of the file that makes the body, as `206 Partial Content`.
    pub(crate) fn cut_file(&mut self, first: u64, count: u64) {
        if let Body::File { start, length, .. } = &mut self.body {
            self.status = StatusCode::PARTIAL_CONTENT;
            (*start, *length) = (first, count);
        }
    }

    /// Whether the handler still writes the body after the head.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.body, Body::Stream(_))
    }

    /// Whether more of the handler runs after the head: a stream or an upgrade.
    pub(crate) fn runs_on(&self) -> bool {
        matches!(self.body, Body::Stream(_) | Body::Upgrade(_))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

impl From<Cow<'static, str>> for Body {
    fn from(text: Cow<'static, str>) -> Self {
        Self::Bytes(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }
}

/// Checks a header a handler wrote.
pub(crate) fn header(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue)> {
    let refused = |what: &'static str| Error::new(ErrorKind::Internal, what);
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|error| refused("a header name is not valid").caused_by(error))?;
    let value = HeaderValue::from_bytes(value)
        .map_err(|error| refused("a header value is not valid").caused_by(error))?;
    Ok((name, value))
}

/// Where a streamed body is written to; a plain [`std::io::Write`].
///
/// Bytes are gathered and leave in chunks; [`flush`](Write::flush) sends what there is now.
pub struct BodyWriter<'a> {
    sink: &'a mut dyn BodySink,
}

/// What the connection (or the test client) does with the pieces of a streamed body.
pub(crate) trait BodySink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
    /// The connection, to wait for the client's leaving and for news; `None` in memory, where
    /// nobody stays.
    fn line(&self) -> Option<&dyn Line>;
}

impl<'a> BodyWriter<'a> {
    pub(crate) fn new(sink: &'a mut dyn BodySink) -> Self {
        Self { sink }
    }

    pub(crate) fn sink(&mut self) -> &mut dyn BodySink {
        self.sink
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl fmt::Debug for BodyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyWriter")
    }
}
