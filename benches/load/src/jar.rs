//! A cookie jar: one session, and how often the server said that it was bumped.

use std::fmt::Write as _;

use crate::options::Options;

/// The requests of one session, ready to be sent.
pub(crate) struct Jar {
    cookie: Option<String>,
    request: String,
    /// Requests answered with 200.
    pub(crate) acknowledged: i64,
}

impl Jar {
    /// A jar without a cookie; its next request is the one that makes the session.
    pub(crate) fn new(options: &Options) -> Self {
        let mut jar = Self { cookie: None, request: String::new(), acknowledged: 0 };
        jar.prepare(options, &options.first);
        jar
    }

    /// The bytes of the next request.
    pub(crate) fn request(&self) -> &[u8] {
        self.request.as_bytes()
    }

    /// Keeps a cookie the server set.
    pub(crate) fn keep(&mut self, options: &Options, cookie: &str) {
        self.cookie = Some(cookie.to_owned());
        self.prepare(options, &options.path);
    }

    /// Makes `path` the next request.
    pub(crate) fn prepare(&mut self, options: &Options, path: &str) {
        self.request.clear();
        // Writing to a String does not fail.
        let _ = write!(self.request, "GET {path} HTTP/1.1\r\nHost: {}\r\n", options.addr);
        if let Some(cookie) = &self.cookie {
            let _ = write!(self.request, "Cookie: {cookie}\r\n");
        }
        self.request.push_str("\r\n");
    }
}
