//! The header fields that decide how a message is framed and whom it is for.

use super::bytes::{is_token, list};
use super::head::{BodyLength, Span};
use super::host::is_valid_host;
use super::refusal::Refusal;

const NOT_CHUNKED: Refusal = Refusal::bad_request("chunked is not the final transfer coding");

/// What the header lines seen so far say about framing, connection and authority.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) host: Option<Span>,
    content_length: Option<u64>,
    has_transfer_encoding: bool,
    is_chunked: bool,
    has_unknown_coding: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    expects_continue: bool,
    expects_other: bool,
}

impl Fields {
    /// Takes note of one header line; `span` is where its value lies.
    #[inline]
    pub(super) fn note(&mut self, name: &str, value: &[u8], span: Span) -> Result<(), Refusal> {
        // The length sorts out nearly every line without looking at a letter.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.note_host(value, span),
            6 if name.eq_ignore_ascii_case("expect") => {
                self.note_expect(value);
                Ok(())
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                self.note_connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case("content-length") => self.note_content_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                self.note_transfer_encoding(value)
            }
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: &[u8], span: Span) -> Result<(), Refusal> {
        if self.host.replace(span).is_some() {
            return Err(Refusal::bad_request("more than one Host"));
        }
        if !is_valid_host(value) {
            return Err(Refusal::bad_request("invalid Host"));
        }
        Ok(())
    }

    fn note_expect(&mut self, value: &[u8]) {
        for expectation in list(value).filter(|expectation| !expectation.is_empty()) {
            let is_known = expectation.eq_ignore_ascii_case(b"100-continue");
            self.expects_continue |= is_known;
            self.expects_other |= !is_known;
        }
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// A second length is refused even if it is the same: a peer in front of us may join, drop or
    /// prefer either, and no honest client sends two.
    fn note_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let Some(length) = parse_length(value) else {
            return Err(Refusal::bad_request("malformed Content-Length"));
        };
        if self.content_length.replace(length).is_some() {
            return Err(Refusal::bad_request("more than one Content-Length"));
        }
        Ok(())
    }

    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.has_transfer_encoding = true;
        for coding in list(value) {
            if !is_token(coding) {
                return Err(Refusal::bad_request("malformed Transfer-Encoding"));
            }
            if self.is_chunked {
                return Err(NOT_CHUNKED);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.is_chunked = true;
            } else {
                self.has_unknown_coding = true;
            }
        }
        Ok(())
    }

    /// How the body is framed, once all lines are noted.
    pub(super) fn body_length(&self, is_http10: bool) -> Result<BodyLength, Refusal> {
        match (self.content_length, self.has_transfer_encoding) {
            (Some(_), true) => {
                Err(Refusal::bad_request("both Content-Length and Transfer-Encoding"))
            }
            (None, true) if is_http10 => {
                Err(Refusal::bad_request("Transfer-Encoding in an HTTP/1.0 request"))
            }
            // Where the body ends nobody can tell then (RFC 9112, 6.3).
            (None, true) if !self.is_chunked => Err(NOT_CHUNKED),
            (None, true) if self.has_unknown_coding => {
                Err(Refusal::not_implemented("unknown transfer coding"))
            }
            (None, true) => Ok(BodyLength::Chunked),
            (Some(0) | None, false) => Ok(BodyLength::None),
            (Some(length), false) => Ok(BodyLength::Exact(length)),
        }
    }

    /// Whether the client waits for `100 Continue`. HTTP/1.0 knows no expectations, and without a
    /// body there is nothing to wait for.
    pub(super) fn expects_continue(
        &self,
        is_http10: bool,
        body: BodyLength,
    ) -> Result<bool, Refusal> {
        if is_http10 {
            return Ok(false);
        }
        if self.expects_other {
            return Err(Refusal::expectation_failed());
        }
        Ok(self.expects_continue && body != BodyLength::None)
    }
}

/// `1*DIGIT` that fits into 64 bits: no sign, no space, no list, no other base.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, &digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}
