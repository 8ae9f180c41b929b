//! From bytes to a [`RequestHead`].
//!
//! The request line is ours; the header lines are split by httparse, which accepts a line feed
//! alone as a line end and is therefore checked line by line afterwards.

use std::ops::Range;

use http::Method;
use httparse::{EMPTY_HEADER, Header, Status};

use super::fields::Fields;
use super::head::{Line, Lines, RequestHead, Span};
use super::host::is_valid_host;
use super::limits::Limits;
use super::path::normalise;
use super::refusal::Refusal;
use super::request_line::{RequestLine, parse_request_line};

/// Heads with more header lines are split a second time, into a list on the heap.
const USUAL_HEADERS: usize = 24;
/// Offsets into a head are kept in 16 bits.
const MAX_HEAD_BYTES: usize = u16::MAX as usize;

const HEAD_TOO_LONG: Refusal = Refusal::fields_too_large("the request head is too long");
const TOO_MANY_HEADERS: Refusal = Refusal::fields_too_large("too many headers");
const BARE_LF: Refusal = Refusal::bad_request("line feed without carriage return");

/// Parses the request head at the start of `buf` and says how many bytes it took.
///
/// `None` means that more bytes are needed; call again with all bytes from the start. What can
/// never become a request is refused as soon as that can be seen, not when the client stops
/// sending.
pub(crate) fn parse_head(
    buf: &[u8],
    limits: &Limits,
) -> Result<Option<(RequestHead, usize)>, Refusal> {
    parse_head_from(buf, 0, limits)
}

/// Like [`parse_head`], when it has already answered `None` for the first `seen` bytes of `buf`.
///
/// A head ends with a line feed, so as long as none arrives nothing is parsed again: a client that
/// sends its head byte by byte costs time in proportion to the lines, not to the bytes.
pub(crate) fn parse_head_from(
    buf: &[u8],
    seen: usize,
    limits: &Limits,
) -> Result<Option<(RequestHead, usize)>, Refusal> {
    let max_head = limits.max_head_bytes.min(MAX_HEAD_BYTES);
    if seen > 0 && cannot_end(buf.get(seen..).unwrap_or_default())? {
        return refuse_if_too_long(buf, max_head).map(|()| None);
    }
    let Some((skipped, head)) = skip_empty_line(buf)? else { return Ok(None) };
    let Some(line) = parse_request_line(head, limits)? else {
        return refuse_if_too_long(head, max_head).map(|()| None);
    };
    let parsed = parse_fields(head, line, limits)?;
    if parsed.is_none() {
        refuse_if_too_long(head, max_head)?;
    }
    Ok(parsed.map(|head| {
        let consumed = skipped + head.bytes.len();
        (head, consumed)
    }))
}

/// Splits the header lines behind the request line and, if they are complete, looks into them.
fn parse_fields(
    head: &[u8],
    line: RequestLine,
    limits: &Limits,
) -> Result<Option<RequestHead>, Refusal> {
    let fields = head.get(line.end..).unwrap_or_default();
    let mut few = [EMPTY_HEADER; USUAL_HEADERS];
    let count = limits.max_headers.min(USUAL_HEADERS);
    let mut many;
    let mut split = httparse::parse_headers(fields, few.get_mut(..count).unwrap_or_default());
    if matches!(split, Err(httparse::Error::TooManyHeaders)) && limits.max_headers > USUAL_HEADERS {
        many = vec![EMPTY_HEADER; limits.max_headers];
        split = httparse::parse_headers(fields, &mut many);
    }
    match split {
        Ok(Status::Complete((len, headers))) => {
            let end = line.end + len;
            if end > limits.max_head_bytes.min(MAX_HEAD_BYTES) {
                return Err(HEAD_TOO_LONG);
            }
            build(head.get(..end).unwrap_or_default(), line, headers).map(Some)
        }
        Ok(Status::Partial) => {
            refuse_bare_line_feed(fields)?;
            Ok(None)
        }
        Err(error) => Err(refusal(error)),
    }
}

/// Whether `new` holds no line feed and therefore ends no head; refuses bytes no head can hold.
fn cannot_end(new: &[u8]) -> Result<bool, Refusal> {
    for &byte in new {
        match byte {
            b'\n' => return Ok(false),
            b'\t' | b'\r' => {}
            0..=0x1f | 0x7f => return Err(Refusal::bad_request("control byte in the head")),
            _ => {}
        }
    }
    Ok(true)
}

/// Skips one empty line before the request line, which careless clients send after a body
/// (RFC 9112, 2.2). `None` while it is not clear whether there is one.
fn skip_empty_line(buf: &[u8]) -> Result<Option<(usize, &[u8])>, Refusal> {
    match buf {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', head @ ..] => Ok(Some((2, head))),
        [b'\r', ..] => Err(Refusal::bad_request("carriage return without line feed")),
        [b'\n', ..] => Err(BARE_LF),
        head => Ok(Some((0, head))),
    }
}

/// A head without end that has used up its bytes: 414 if not even its first line ended.
fn refuse_if_too_long(head: &[u8], max_head: usize) -> Result<(), Refusal> {
    if head.len() < max_head {
        return Ok(());
    }
    let first_line = head.strip_prefix(b"\r\n").unwrap_or(head);
    if first_line.contains(&b'\n') { Err(HEAD_TOO_LONG) } else { Err(Refusal::uri_too_long()) }
}

/// In header lines that are not complete yet; complete ones are checked in [`build`].
fn refuse_bare_line_feed(fields: &[u8]) -> Result<(), Refusal> {
    let mut previous = b'\n';
    for &byte in fields {
        if byte == b'\n' && previous != b'\r' {
            return Err(BARE_LF);
        }
        previous = byte;
    }
    Ok(())
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => TOO_MANY_HEADERS,
        httparse::Error::HeaderName => Refusal::bad_request("malformed header name"),
        httparse::Error::HeaderValue => Refusal::bad_request("forbidden byte in a header value"),
        _ => Refusal::bad_request("malformed header line"),
    }
}

/// Checks the meaning of a complete head and keeps it.
fn build(head: &[u8], line: RequestLine, headers: &[Header<'_>]) -> Result<RequestHead, Refusal> {
    let mut fields = Fields::default();
    let mut lines = Lines::with_capacity(headers.len());
    for header in headers {
        let name = locate(head, header.name.as_bytes());
        if !head.get(..name.start).is_some_and(|before| before.ends_with(b"\r\n")) {
            return Err(BARE_LF);
        }
        let (name, value) = (span(name)?, span(locate(head, header.value))?);
        fields.note(header.name, header.value, value)?;
        lines.push(Line { name, value });
    }
    if !head.ends_with(b"\r\n\r\n") {
        return Err(BARE_LF);
    }

    let target = Target::of(head, &line, fields.host)?;
    let body = fields.body_length(line.is_http10)?;
    let expects_continue = fields.expects_continue(line.is_http10, body)?;
    let keep_alive = !fields.close && (!line.is_http10 || fields.keep_alive);
    Ok(RequestHead {
        bytes: head.into(),
        lines,
        method: line.method,
        target: span(line.target_start..line.target_end)?,
        path: target.path,
        query: target.query,
        host: target.host,
        decoded_path: target.decoded_path,
        body,
        is_http10: line.is_http10,
        keep_alive,
        upgrade: fields.upgrade && !line.is_http10,
        expects_continue,
    })
}

/// Where a piece lies that httparse cut out of the head.
#[inline]
fn locate(head: &[u8], piece: &[u8]) -> Range<usize> {
    let start = piece.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
    start..start.wrapping_add(piece.len())
}

#[inline]
fn span(range: Range<usize>) -> Result<Span, Refusal> {
    Span::new(range.start, range.end).ok_or(HEAD_TOO_LONG)
}

/// What the request target says once its form is known (RFC 9112, 3.2).
struct Target {
    path: Span,
    query: Span,
    host: Option<Span>,
    decoded_path: Option<Box<str>>,
}

impl Target {
    fn of(head: &[u8], line: &RequestLine, host: Option<Span>) -> Result<Self, Refusal> {
        if host.is_none() && !line.is_http10 {
            return Err(Refusal::bad_request("missing Host"));
        }
        // A proxy's method: an origin server has nothing to connect to, so it is not implemented
        // here at all (501), rather than not allowed for some path (405).
        if line.method == Method::CONNECT {
            return Err(Refusal::not_implemented("CONNECT is not implemented"));
        }
        let query = span((line.path_end + 1).min(line.target_end)..line.target_end)?;
        let bytes = head.get(line.target_start..line.path_end).unwrap_or_default();
        let (path, host) = match bytes {
            [b'/', ..] => (line.target_start..line.path_end, host),
            b"*" if line.method == Method::OPTIONS && line.path_end == line.target_end => {
                (line.target_start..line.path_end, host)
            }
            _ => {
                let authority = absolute_form(bytes)?;
                let start = line.target_start + authority.start;
                let end = line.target_start + authority.end;
                (end..line.path_end, Some(span(start..end)?))
            }
        };
        let decoded_path = if line.unusual {
            normalise(head.get(path.clone()).unwrap_or_default())?
        } else {
            None
        };
        Ok(Self { path: span(path)?, query, host, decoded_path })
    }
}

/// Where the authority lies in `http://authority/path`. User information is refused, since it
/// serves to make one host look like another (RFC 9110, 4.2.4).
fn absolute_form(target: &[u8]) -> Result<Range<usize>, Refusal> {
    const NO_FORM: Refusal = Refusal::bad_request("malformed request target");
    let scheme = target.iter().position(|&byte| byte == b':').ok_or(NO_FORM)?;
    let (name, rest) = target.split_at(scheme);
    if !name.eq_ignore_ascii_case(b"http") && !name.eq_ignore_ascii_case(b"https") {
        return Err(NO_FORM);
    }
    let rest = rest.strip_prefix(b"://").ok_or(NO_FORM)?;
    let len = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let authority = rest.get(..len).unwrap_or_default();
    if !is_valid_host(authority) {
        return Err(Refusal::bad_request("invalid authority in the request target"));
    }
    let start = scheme + 3;
    Ok(start..start + len)
}
