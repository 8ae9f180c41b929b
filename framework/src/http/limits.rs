//! How much of everything a client may send.

/// Bounds on what one request may carry; the settings of `[limits]` end up here.
///
/// Every bound has a default that suits ordinary applications. A request beyond a bound is answered
/// with the status named at the field, never cut off in silence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the request line and the headers together, final blank line included: 32K, at most
    /// 65,535 (more is read as that). Beyond it: 431, or 414 if the request line alone is too long.
    pub max_head_bytes: usize,
    /// Number of header lines: 100. Beyond it: 431.
    pub max_headers: usize,
    /// Bytes of the request target: 8K. Beyond it: 414.
    pub max_uri_bytes: usize,
    /// Bytes of a request body after chunked decoding: 2M; a route may set its own. Beyond it: 413.
    pub max_body_bytes: u64,
    /// Bytes of one chunk-size line with its extensions, without the line end: 256. Beyond it: 400.
    pub max_chunk_line_bytes: usize,
    /// Bytes of chunk extensions in one whole body: 16K. They mean nothing to us, so a body that
    /// consists of them is an attempt to keep the server busy. Beyond it: 400.
    pub max_chunk_extension_bytes: usize,
    /// Bytes of the trailer section after the last chunk: 8K. Beyond it: 431.
    pub max_trailer_bytes: usize,
    /// Bytes of a body that the handler did not read and the connection reads and drops so that it
    /// can serve the next request: 256K. Beyond it the connection closes after the answer.
    pub max_unread_body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 32 * 1024,
            max_headers: 100,
            max_uri_bytes: 8 * 1024,
            max_body_bytes: 2 * 1024 * 1024,
            max_chunk_line_bytes: 256,
            max_chunk_extension_bytes: 16 * 1024,
            max_trailer_bytes: 8 * 1024,
            max_unread_body_bytes: 256 * 1024,
        }
    }
}
