//! Cuts one response out of received bytes. Only what the servers here send: a length, no chunks.

use crate::options::Result;

/// One whole response at the front of a buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// `name=value` of the last `Set-Cookie`.
    pub(crate) cookie: Option<&'a str>,
    pub(crate) body: &'a str,
    /// Bytes of head and body together.
    pub(crate) length: usize,
}

impl<'a> Answer<'a> {
    /// `None` until all of it is there.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
        let (head, rest) = bytes.split_at(end);
        let mut lines = std::str::from_utf8(head)?.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).ok_or("no status")?.parse()?;
        let (mut cookie, mut body_length) = (None, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body_length = Some(value.trim().parse::<usize>()?);
            } else if name.eq_ignore_ascii_case("set-cookie") {
                cookie = value.trim().split(';').next();
            }
        }
        let body_length = body_length.ok_or_else(|| format!("no Content-Length: {status_line}"))?;
        let Some(body) = rest.get(4..4 + body_length) else { return Ok(None) };
        let body = std::str::from_utf8(body)?;
        Ok(Some(Self { status, cookie, body, length: end + 4 + body_length }))
    }
}
