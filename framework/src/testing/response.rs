//! An answer as a test looks at it.

use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::response::Response;

/// What an app answered to a [`TestRequest`](super::TestRequest).
#[derive(Debug)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    is_whole: bool,
    /// What the answer was made from, if it was an error.
    error: Option<Error>,
}

impl TestResponse {
    pub(super) fn of(mut response: Response, body: Vec<u8>, is_whole: bool) -> Self {
        let (status, error) = (response.status(), response.take_error());
        Self { status, headers: response.headers().clone(), body, is_whole, error }
    }

    pub(super) fn into_error(self) -> Option<Error> {
        self.error
    }

    /// Whether it gives the browser a cookie of this name.
    pub(super) fn sets_cookie(&self, name: &str) -> bool {
        let is_it = |line: &HeaderValue| {
            let value = line.to_str().ok().and_then(|line| line.strip_prefix(name));
            value.is_some_and(|value| value.starts_with('='))
        };
        self.headers.get_all(SET_COOKIE).iter().any(is_it)
    }

    /// The status; compares with a number.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// When it is no JSON or not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// False when a streamed body failed or panicked before its end: a client would have seen the
    /// connection break.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}
