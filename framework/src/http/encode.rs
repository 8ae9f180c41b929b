//! A response's head as bytes, and the one place that decides how its body is framed.

use http::{HeaderMap, HeaderValue, StatusCode};

use super::bytes::list;

/// The interim response that lets a waiting client send its body.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What is known about the length of a response's content before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseLength {
    /// So many bytes; for HEAD, as many as GET would get.
    Exact(u64),
    /// A stream that ends when it ends.
    Unknown,
}

/// What an answer for one visitor alone says to caches.
pub(crate) const PRIVATE_CACHE_CONTROL: &str = "private, no-store";
/// What such an answer depends on.
pub(crate) const PRIVATE_VARY: &str = "Cookie";

/// The headers the handler, and the framework for it, set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ResponseHeaders<'a> {
    Map(&'a HeaderMap),
    /// No more than these; whoever has a map has them in it.
    Few {
        content_type: Option<&'a HeaderValue>,
        is_private: bool,
    },
}

/// Everything that decides about a response's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: ResponseHeaders<'a>,
    pub(crate) length: ResponseLength,
    /// From [`super::imf_fixdate`].
    pub(crate) date: &'a [u8; 29],
    /// Whether the request came as HTTP/1.0, which knows neither chunks nor implied keep-alive.
    pub(crate) is_http10: bool,
    /// Whether the request was HEAD: the head of GET, and no body.
    pub(crate) is_head_request: bool,
    /// Whether both client and server are ready for another request.
    pub(crate) keep_alive: bool,
}

/// How the body must follow the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyCoding {
    /// Not at all, whatever the handler returned.
    None,
    /// As it is, exactly so many bytes.
    Exact(u64),
    /// In chunks, with a last one.
    Chunked,
    /// As it is, until the connection closes.
    UntilClose,
}

/// What the head that was written obliges the connection to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Encoded {
    pub(crate) body: BodyCoding,
    /// Whether the connection serves another request afterwards.
    pub(crate) keep_alive: bool,
}

/// Appends a response head.
///
/// The engine owns the fields that frame a message and manage the connection. A handler's own
/// `Content-Length`, `Transfer-Encoding`, `Date`, `Keep-Alive`, `Proxy-Connection`, `TE` and
/// `Trailer` are not sent; its `Connection` is not sent either, but `close` in it closes; its
/// `Upgrade` is sent with 101 and 426 only, where it has a meaning. 1xx and 204 carry neither
/// length nor coding, nor does 304; 205 says `content-length: 0`.
pub(crate) fn encode_head(out: &mut Vec<u8>, head: &ResponseHead<'_>) -> Encoded {
    out.reserve(256);
    push_status_line(out, head.status);
    let wants_close = match head.headers {
        ResponseHeaders::Map(headers) => push_map(out, head, headers),
        ResponseHeaders::Few { content_type, is_private } => {
            push_few(out, content_type, is_private);
            false
        }
    };
    if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
        // An interim head: the final one follows, and speaks for the connection.
        out.extend_from_slice(b"\r\n");
        return Encoded { body: BodyCoding::None, keep_alive: head.keep_alive };
    }
    push_header(out, b"date", head.date);
    let body = push_framing(out, head);
    let keep_alive = head.keep_alive && !wants_close && body != BodyCoding::UntilClose;
    push_connection(out, head, keep_alive);
    out.extend_from_slice(b"\r\n");
    Encoded { body, keep_alive }
}

/// Writes the headers of a map; says whether one of them asks to close the connection.
fn push_map(out: &mut Vec<u8>, head: &ResponseHead<'_>, headers: &HeaderMap) -> bool {
    out.reserve(192 + 48 * headers.len());
    let mut wants_close = false;
    for (name, value) in headers {
        match name.as_str() {
            "connection" => {
                wants_close |= list(value.as_bytes()).any(|it| it.eq_ignore_ascii_case(b"close"));
            }
            "upgrade" if sends_upgrade(head.status) => {
                push_header(out, b"upgrade", value.as_bytes());
            }
            "content-length" | "transfer-encoding" | "date" | "upgrade" | "trailer" | "te"
            | "keep-alive" | "proxy-connection" => {}
            name => push_header(out, name.as_bytes(), value.as_bytes()),
        }
    }
    wants_close
}

fn push_few(out: &mut Vec<u8>, content_type: Option<&HeaderValue>, is_private: bool) {
    if let Some(value) = content_type {
        push_header(out, b"content-type", value.as_bytes());
    }
    if is_private {
        // As the constants above say; a test compares.
        out.extend_from_slice(b"cache-control: private, no-store\r\nvary: Cookie\r\n");
    }
}

/// Writes length or coding, and says what follows the head.
fn push_framing(out: &mut Vec<u8>, head: &ResponseHead<'_>) -> BodyCoding {
    match head.status.as_u16() {
        100..200 | 204 | 304 => return BodyCoding::None,
        205 => {
            push_header(out, b"content-length", b"0");
            return BodyCoding::None;
        }
        _ => {}
    }
    let body = match head.length {
        ResponseLength::Exact(length) => {
            out.extend_from_slice(b"content-length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
            BodyCoding::Exact(length)
        }
        ResponseLength::Unknown if head.is_http10 => BodyCoding::UntilClose,
        ResponseLength::Unknown => {
            push_header(out, b"transfer-encoding", b"chunked");
            BodyCoding::Chunked
        }
    };
    if head.is_head_request { BodyCoding::None } else { body }
}

fn push_connection(out: &mut Vec<u8>, head: &ResponseHead<'_>, keep_alive: bool) {
    if sends_upgrade(head.status) {
        let option: &[u8] = if keep_alive || head.status == StatusCode::SWITCHING_PROTOCOLS {
            b"upgrade"
        } else {
            b"upgrade, close"
        };
        push_header(out, b"connection", option);
    } else if !keep_alive {
        push_header(out, b"connection", b"close");
    } else if head.is_http10 {
        push_header(out, b"connection", b"keep-alive");
    }
}

fn sends_upgrade(status: StatusCode) -> bool {
    matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED)
}

fn push_status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn push_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let mut place = 1_u64;
    while number / place >= 10 {
        place *= 10;
    }
    while place > 0 {
        let digit = u8::try_from(number / place % 10).unwrap_or_default();
        out.push(b'0' + digit);
        place /= 10;
    }
}
