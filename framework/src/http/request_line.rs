//! The request line: method, target, version, and not one byte of leniency around them.

use http::Method;

use super::bytes::{NOT_TARGET, QUESTION, TOKEN, UNUSUAL, class};
use super::limits::Limits;
use super::refusal::Refusal;

/// Longer method names are refused with 501; the longest registered one has 17 letters.
const MAX_METHOD_BYTES: usize = 32;

/// Where the parts of a request line lie; offsets count from its first byte.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) target_start: usize,
    /// End of the target's part before the first question mark.
    pub(super) path_end: usize,
    pub(super) target_end: usize,
    /// Whether that part holds a byte that may need normalisation.
    pub(super) unusual: bool,
    /// Whether this is HTTP/1.0; a higher minor version is treated as HTTP/1.1.
    pub(super) is_http10: bool,
    /// Offset behind the line end.
    pub(super) end: usize,
}

/// Parses the request line at the start of `bytes`; `None` while it is incomplete but still
/// possible.
pub(super) fn parse_request_line(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Option<RequestLine>, Refusal> {
    let Some((method, target_start)) = parse_method(bytes)? else { return Ok(None) };
    let rest = bytes.get(target_start..).unwrap_or_default();
    let (path_len, unusual) = scan(rest, NOT_TARGET | QUESTION);
    let target_len = match rest.get(path_len) {
        Some(b'?') => {
            let query = rest.get(path_len..).unwrap_or_default();
            path_len + scan(query, NOT_TARGET).0
        }
        _ => path_len,
    };
    if target_len > limits.max_uri_bytes {
        return Err(Refusal::uri_too_long());
    }
    match rest.get(target_len) {
        Some(b' ') if target_len > 0 => {}
        Some(b' ') => return Err(Refusal::bad_request("two spaces in the request line")),
        Some(b'\r' | b'\n') => return Err(Refusal::bad_request("request line without version")),
        Some(_) => return Err(Refusal::bad_request("forbidden byte in the request target")),
        None => return Ok(None),
    }
    let after = rest.get(target_len + 1..).unwrap_or_default();
    let Some(is_http10) = parse_version(after)? else { return Ok(None) };
    let target_end = target_start + target_len;
    Ok(Some(RequestLine {
        method,
        target_start,
        path_end: target_start + path_len,
        target_end,
        unusual,
        is_http10,
        end: target_end + 1 + VERSION_LINE_BYTES,
    }))
}

/// The method and the offset behind its space.
fn parse_method(bytes: &[u8]) -> Result<Option<(Method, usize)>, Refusal> {
    if bytes.starts_with(b"GET ") {
        return Ok(Some((Method::GET, 4)));
    }
    let end = bytes.iter().position(|&byte| class(byte) & TOKEN == 0);
    let len = end.unwrap_or(bytes.len());
    if len > MAX_METHOD_BYTES {
        return Err(Refusal::not_implemented("the method name is too long"));
    }
    let Some(next) = end.and_then(|end| bytes.get(end)) else { return Ok(None) };
    if *next != b' ' || len == 0 {
        return Err(Refusal::bad_request("malformed method"));
    }
    let name = bytes.get(..len).unwrap_or_default();
    match Method::from_bytes(name) {
        Ok(method) => Ok(Some((method, len + 1))),
        Err(_) => Err(Refusal::bad_request("malformed method")),
    }
}

/// How many bytes come before the first one of the classes in `stop`, and whether one of them is
/// unusual in a path.
#[inline]
fn scan(bytes: &[u8], stop: u8) -> (usize, bool) {
    let mut seen = 0;
    let end = bytes.iter().position(|&byte| {
        let class = class(byte);
        seen |= class;
        class & stop != 0
    });
    (end.unwrap_or(bytes.len()), seen & UNUSUAL != 0)
}

/// `HTTP/1.1` and its line end.
const VERSION_LINE_BYTES: usize = 10;

/// Whether the version is 1.0; `None` while the line is incomplete.
fn parse_version(bytes: &[u8]) -> Result<Option<bool>, Refusal> {
    if bytes.starts_with(b"HTTP/1.1\r\n") {
        return Ok(Some(false));
    }
    // Each byte stands for itself, except that `9` is any digit.
    let mut pattern = b"HTTP/9.9\r\n".iter();
    let (mut major, mut minor) = (b'1', b'1');
    for (at, (&byte, &expected)) in bytes.iter().zip(pattern.by_ref()).enumerate() {
        let fits = if expected == b'9' { byte.is_ascii_digit() } else { byte == expected };
        if !fits {
            return Err(Refusal::bad_request("malformed HTTP version"));
        }
        match at {
            5 => major = byte,
            7 => minor = byte,
            _ => {}
        }
    }
    if pattern.next().is_some() {
        return Ok(None);
    }
    if major != b'1' {
        return Err(Refusal::version_not_supported());
    }
    Ok(Some(minor == b'0'))
}
