//! The one error type of maypole, and the only map from a failure to an HTTP status.
//!
//! `?` turns every `std::error::Error` into [`Error`]; the client sees the status and a fixed phrase,
//! the log sees the whole chain of causes with the request id.

mod body;

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;

pub(crate) use body::BodyError;

/// The result of handlers, verbs and set-up: `std::result::Result` with maypole's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by class; decides the default status ([`Error::status`]).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A foreign error that came in through `?`, or a broken invariant: 500.
    Internal,
    /// A bad value in config.ini or the environment; stops start-up.
    Config,
    /// A route or middleware that cannot be registered; stops start-up.
    Route,
    /// The server cannot start: port in use, directory refused, no such store.
    Start,
    /// The request cannot be understood: 400, or the status it carries.
    Request,
    /// An error whose status the handler chose with [`Error::with_status`].
    Status,
    /// The client has gone, or did not read or write in time.
    Disconnected,
    /// A queue or a limit of this server is full: 503.
    Overloaded,
    /// A session verb was used outside a request: 500.
    NoRequest,
    /// The session was used after its final commit began: 500.
    SessionClosed,
    /// A session value has another type than the one asked for: 500.
    SessionValue,
    /// The session would exceed `max_session_bytes`: 500.
    SessionTooLarge,
    /// The session was destroyed or replaced while this request ran: 409 if the handler returns it.
    SessionGone,
    /// The session is to be watched, and none is stored: 409 if the handler returns it.
    NoSession,
    /// A session verb was used inside an `update` closure, or by a job on the blocking pool while
    /// its request uses the session: 500.
    SessionInUse,
    /// A session verb that asks the store was used by a job on the blocking pool, where it is not
    /// asked: 500. Load the session before the job (any verb does), save it after.
    SessionOnPool,
    /// A login is needed, or a more recent one: 403. Answer it with a redirect to your login form.
    LoginRequired,
    /// The user has as many sessions as `max_sessions_per_user` allows: 409.
    TooManySessions,
    /// Too many other writers; nothing of this request was stored: 503.
    SessionConflict,
    /// The store holds as many sessions as it may: 503.
    StoreFull,
    /// The store cannot be reached, failed, or cannot do it now: 503. Its own error, the
    /// [`source`](Error::source), tells whether anything may be stored nevertheless.
    StoreUnavailable,
}

/// An error with its kind, its status and its cause.
///
/// It is deliberately not a `std::error::Error`, so that `?` accepts every error that is one;
/// the cause is kept and offered by [`Error::source`].
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    status: Option<StatusCode>,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a message for the log: lower case, no final dot, this level only.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            inner: Box::new(Inner { kind, status: None, message: message.into(), source: None }),
        }
    }

    /// An error the client sees as `status`; `cause` goes to the log, and to no client but in
    /// development: to whoever gets a 5xx, below to browsers. Below 500 it is the client's affair
    /// and logged at the level `debug` only.
    ///
    /// ```
    /// use maypole::{Error, StatusCode};
    ///
    /// let error = Error::with_status(StatusCode::NOT_FOUND, "no such user");
    /// assert_eq!(error.status(), StatusCode::NOT_FOUND);
    /// ```
    pub fn with_status(
        status: StatusCode,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let message = status.canonical_reason().unwrap_or("error chosen by the handler");
        let mut error = Self::new(ErrorKind::Status, message);
        error.inner.status = Some(status);
        error.inner.source = Some(cause.into());
        error
    }

    /// The same error with `cause` beneath it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(cause.into());
        self
    }

    /// A refused request: the client's fault, with the 4xx it is answered with.
    pub(crate) fn request(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(ErrorKind::Request, message);
        error.inner.status = Some(status);
        error
    }

    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The status a client sees when a handler returns this error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if let Some(status) = self.inner.status {
            return status;
        }
        match self.inner.kind {
            ErrorKind::Request => StatusCode::BAD_REQUEST,
            ErrorKind::LoginRequired => StatusCode::FORBIDDEN,
            ErrorKind::SessionGone | ErrorKind::NoSession | ErrorKind::TooManySessions => {
                StatusCode::CONFLICT
            }
            ErrorKind::Overloaded
            | ErrorKind::SessionConflict
            | ErrorKind::StoreFull
            | ErrorKind::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal
            | ErrorKind::Config
            | ErrorKind::Route
            | ErrorKind::Start
            | ErrorKind::Status
            | ErrorKind::Disconnected
            | ErrorKind::NoRequest
            | ErrorKind::SessionClosed
            | ErrorKind::SessionInUse
            | ErrorKind::SessionOnPool
            | ErrorKind::SessionValue
            | ErrorKind::SessionTooLarge => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The cause, if there is one.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.inner.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }

    /// Whether the client left, or was cut for being too slow.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.inner.kind == ErrorKind::Disconnected
    }

    /// Whether a later try may succeed: the store is away or this server is full.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }

    /// This error and all its causes on one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

/// What `main` prints when it returns this error: the whole chain, in words.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        // Reading a body gives an `io::Error`, which knows what the client did wrong.
        if let Some(io) = (&error as &dyn Any).downcast_ref::<std::io::Error>()
            && let Some(body) = io.get_ref().and_then(|inner| inner.downcast_ref::<BodyError>())
        {
            return body.into_error();
        }
        Self::new(ErrorKind::Internal, "the handler failed").caused_by(error)
    }
}
