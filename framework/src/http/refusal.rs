//! The one way in which a parser of this room says no.

use http::StatusCode;

/// A message that is not accepted: the status the client gets and the reason for log and body.
///
/// The reason is fixed text, so nothing a client sent can end up in a log line or an error page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the client is answered before the connection closes.
    pub(crate) status: StatusCode,
    /// Why, in fixed words: lower case, no final dot.
    pub(crate) reason: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// 400: the bytes are no HTTP/1.1 message, or a message that two readers could frame
    /// differently.
    pub(crate) const fn bad_request(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 414: the request target or the request line is too long.
    pub(crate) const fn uri_too_long() -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "the request target is too long")
    }

    /// 417: an expectation other than `100-continue`.
    pub(crate) const fn expectation_failed() -> Self {
        Self::new(StatusCode::EXPECTATION_FAILED, "unknown expectation")
    }

    /// 431: head or trailers exceed a limit.
    pub(crate) const fn fields_too_large(reason: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason)
    }

    /// 501: a well-formed request for something this server does not do.
    pub(crate) const fn not_implemented(reason: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, reason)
    }

    /// 505: another major version of HTTP.
    pub(crate) const fn version_not_supported() -> Self {
        Self::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "not an HTTP/1.x request")
    }
}
