//! What can go wrong while a body is read, in the shape that `std::io::Read` can carry.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use http::StatusCode;

use super::{Error, ErrorKind};

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// The framing is broken, or its trailers are too long.
    Malformed(StatusCode, &'static str),
    /// It came too slowly.
    TooSlow,
    /// The client closed the connection in the middle.
    Cut,
    /// The answer has been sent; the body belongs to nobody any more.
    Closed,
    /// A child or a job on the blocking pool wanted to read it.
    Elsewhere,
}

impl BodyError {
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// As the error a handler passes on: with the status it stands for.
    pub(crate) fn into_error(self) -> Error {
        let status = match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(status, _) => status,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            // Nobody may be there to read it, but logs tell the server's faults by the status.
            Self::Cut => {
                let mut error = Error::new(ErrorKind::Disconnected, "the client has gone");
                error.inner.status = Some(StatusCode::BAD_REQUEST);
                return error;
            }
            Self::Closed => {
                return Error::new(ErrorKind::Internal, "the request's body was read too late");
            }
            Self::Elsewhere => return Error::new(ErrorKind::Internal, self.text()),
        };
        Error::request(status, self.text())
    }

    const fn text(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is too large",
            Self::Malformed(_, what) => what,
            Self::TooSlow => "the body came too slowly",
            Self::Cut => "the client closed the connection in the middle of the body",
            Self::Closed => "the request is over",
            Self::Elsewhere => "only the handler's own coroutine may read the request's body",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl StdError for BodyError {}
