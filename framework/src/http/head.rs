//! One request's head as a value: the bytes as they came, and where in them everything lies.

use std::fmt;

use http::{Method, Version};
use smallvec::SmallVec;

use super::bytes::list;
use super::cookie::cookies;

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body; also what `Content-Length: 0` says.
    None,
    /// As many bytes as `Content-Length` says, at least one.
    Exact(u64),
    /// `Transfer-Encoding: chunked`; the end shows itself.
    Chunked,
}

/// A piece of the head. A head has at most 65,535 bytes, so two bytes each are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// `None` beyond 65,535, which the limit on the head rules out.
    #[inline]
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        Some(Self { start: u16::try_from(start).ok()?, end: u16::try_from(end).ok()? })
    }

    #[inline]
    fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }

    #[inline]
    fn len(self) -> usize {
        usize::from(self.end).saturating_sub(usize::from(self.start))
    }
}

/// Name and value of one header line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// The header lines; most heads fit without an allocation.
pub(super) type Lines = SmallVec<[Line; 16]>;

/// The request line and the headers of one request.
///
/// Names are compared without regard to case; values are as the client sent them, without the
/// spaces around them. A value may hold bytes that are no UTF-8, hence the `_bytes` twins.
#[derive(Clone)]
pub struct RequestHead {
    pub(super) bytes: Box<[u8]>,
    pub(super) lines: Lines,
    pub(super) method: Method,
    pub(super) target: Span,
    pub(super) path: Span,
    pub(super) query: Span,
    pub(super) host: Option<Span>,
    /// The path, where it is not the raw one.
    pub(super) decoded_path: Option<Box<str>>,
    pub(super) body: BodyLength,
    pub(super) is_http10: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    pub(super) expects_continue: bool,
}

impl RequestHead {
    /// The method; may be one that no route knows.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// HTTP/1.0, or HTTP/1.1 for that and every higher minor version.
    #[must_use]
    pub fn version(&self) -> Version {
        if self.is_http10 { Version::HTTP_10 } else { Version::HTTP_11 }
    }

    /// The request target exactly as it was sent: path and query, an absolute URI, or `*`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.text(self.target)
    }

    /// The path as it was sent, still percent-encoded; `/` if an absolute URI had none.
    #[must_use]
    pub fn path_raw(&self) -> &str {
        if self.path.len() == 0 { "/" } else { self.text(self.path) }
    }

    /// The path that routes are matched against.
    ///
    /// Percent-decoded, except that `%2F` and `%25` stay as they are (in this spelling): an encoded
    /// slash never becomes a segment boundary, and nothing is decoded twice. Dot segments are
    /// resolved and cannot leave the root. `*` for `OPTIONS *`. Always UTF-8, without control
    /// characters and backslashes; whatever else a client sends is refused with 400.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.decoded_path {
            Some(path) => path,
            None => self.path_raw(),
        }
    }

    /// The query as it was sent, without the question mark; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.text(self.query)
    }

    /// The host with its port that the request is for: from an absolute target, which wins (RFC
    /// 9112, 3.2.2), or from `Host`. Valid by its grammar, never empty; `None` only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.map(|span| self.text(span))
    }

    /// The first value of this name; `None` if there is none or it is not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header_bytes(name)?).ok()
    }

    /// The bytes of the first value of this name.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        let line = self.lines.iter().find(|line| self.is_named(**line, name))?;
        Some(line.value.of(&self.bytes))
    }

    /// The bytes of all values of this name, in the order they came.
    pub fn header_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.lines.iter().filter(move |line| self.is_named(**line, name));
        lines.map(|line| line.value.of(&self.bytes))
    }

    /// The bytes of the only value of this name: of several nobody knows which one is meant, where the
    /// header is no list.
    pub(crate) fn header_once<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.header_all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// All header lines in the order they came: name as it was spelt, and the bytes of the value.
    #[must_use]
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| (self.text(line.name), line.value.of(&self.bytes)))
    }

    /// The cookies of this request as they were sent: no percent-decoding, `+` stays `+`, quotes
    /// belong to the value. At most 256; what is no `name=value` pair in UTF-8 is left out.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        cookies(self.header_all("cookie"))
    }

    /// How the body is framed.
    #[must_use]
    pub fn body_length(&self) -> BodyLength {
        self.body
    }

    /// Whether the client is ready for another request on this connection after the answer.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether the client asks to go on in `protocol` (`websocket`, say) on this connection: named
    /// in `Upgrade`, `upgrade` in `Connection`, and not HTTP/1.0.
    #[must_use]
    pub fn wants_upgrade_to(&self, protocol: &str) -> bool {
        self.upgrade_protocols().any(|offered| offered.eq_ignore_ascii_case(protocol))
    }

    /// The protocols in `Upgrade`, in the client's order; none if the `Connection` header does not
    /// name `upgrade` or the request is HTTP/1.0.
    pub fn upgrade_protocols(&self) -> impl Iterator<Item = &str> {
        let values = self.header_all("upgrade").filter(|_| self.upgrade);
        values.flat_map(list).filter_map(|protocol| std::str::from_utf8(protocol).ok())
    }

    #[inline]
    fn is_named(&self, line: Line, name: &str) -> bool {
        line.name.len() == name.len()
            && line.name.of(&self.bytes).eq_ignore_ascii_case(name.as_bytes())
    }

    /// The parser lets only ASCII into names, target and host, so the check never fails.
    #[inline]
    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(&self.bytes)).unwrap_or_default()
    }
}

/// Method and path only: query and headers may hold what no log should.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("version", &self.version())
            .field("headers", &self.lines.len())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
