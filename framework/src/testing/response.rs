//! An answer as a test looks at it.

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::response::Response;

/// What an app answered to a [`TestRequest`].
#[derive(Debug)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    is_whole: bool,
}

impl TestResponse {
    pub(super) fn of(response: &Response, body: Vec<u8>, is_whole: bool) -> Self {
        Self { status: response.status(), headers: response.headers().clone(), body, is_whole }
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
