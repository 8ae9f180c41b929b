//! Entries for fuzzing and for the corpora that the tests run.
//!
//! Each panics when a parser contradicts itself: what it says about the whole must agree with what
//! it says about the pieces, and what it accepts must look the way its contract promises.

use std::net::{IpAddr, Ipv4Addr};

use super::bytes::{NOT_TARGET, class, trim};
use super::chunked::ChunkedDecoder;
use super::cidr::TrustedProxies;
use super::cookie::cookies;
use super::entity_tag::entity_tags;
use super::forwarded::{ForwardedHeader, client};
use super::head::RequestHead;
use super::limits::Limits;
use super::parse::{parse_head, parse_head_from};
use super::path::{decode_param, normalise};
use super::range::{Selection, select};
use super::refusal::Refusal;

/// Request heads: arbitrary bytes as they come from a connection.
///
/// # Panics
///
/// When the parser contradicts itself.
pub fn head(data: &[u8]) {
    let limits = Limits::default();
    let whole = parse_head(data, &limits);
    if let Ok(Some((head, used))) = &whole {
        check_accepted(data, head, *used);
    }
    let complete = match &whole {
        Ok(Some((_, used))) => *used,
        Ok(None) | Err(_) => usize::MAX,
    };
    let mut was_refused = false;
    for len in 0..=data.len() {
        let prefix = data.get(..len).unwrap_or_default();
        let fresh = parse_head(prefix, &limits);
        // Resuming is for heads that were not complete before.
        let seen = len.saturating_sub(1).min(complete - 1);
        let resumed = parse_head_from(prefix, seen, &limits);
        match &fresh {
            Ok(Some((_, used))) => assert!(*used == complete && len >= *used, "early end"),
            Ok(None) => assert!(len < complete && !was_refused, "forgot an answer"),
            Err(_) => {
                assert!(whole.is_err(), "refused a prefix of what is accepted");
                was_refused = true;
            }
        }
        match resumed {
            // A resumed parse may see a fault later, at the next line feed, but never the opposite.
            Ok(None) => assert!(!matches!(fresh, Ok(Some(_))), "missed the end"),
            Ok(Some((_, used))) => assert_eq!(used, complete, "found another end"),
            Err(_) => assert!(whole.is_err(), "refused what is accepted"),
        }
    }
}

/// What every accepted head must be like, judged without the parser's own means.
fn check_accepted(data: &[u8], head: &RequestHead, used: usize) {
    let text = data.get(..used).unwrap_or_default();
    let text = text.strip_prefix(b"\r\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r\n\r\n").unwrap_or_default();
    let mut count = 0;
    for line in text.split(|&byte| byte == b'\n') {
        count += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.is_empty() && !line.starts_with(b" ") && !line.starts_with(b"\t"));
        let is_fine = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert!(line.iter().all(is_fine), "control byte in an accepted head");
    }
    let feeds = text.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(feeds, text.windows(2).filter(|pair| pair == b"\r\n").count(), "bare line feed");
    assert_eq!(head.headers().len() + 1, count, "header lines lost or invented");
    assert!(head.host().is_some_and(|host| !host.is_empty()) || head.is_http10);
    let lengths = head.header_all("content-length").count();
    assert!(lengths + head.header_all("transfer-encoding").count().min(1) <= 1, "two lengths");
    assert!(head.header_all("host").count() <= 1, "two hosts");
    assert!(!head.target().is_empty() && head.target().len() <= Limits::default().max_uri_bytes);
    if head.path() != "*" {
        check_path(head.path());
    }
}

/// Chunked bodies: arbitrary bytes, cut at every place and decoded through outputs of any size.
///
/// # Panics
///
/// When the decoder contradicts itself.
pub fn chunked(data: &[u8]) {
    let whole = decode_pieces(&[data], 4096);
    assert_eq!(whole, decode_pieces(&[data], 1), "differs with an output of one byte");
    for cut in 0..=data.len() {
        let (left, right) = data.split_at(cut);
        assert_eq!(whole, decode_pieces(&[left, right], 4096), "differs when cut");
    }
    let single: Vec<_> = data.chunks(1).collect();
    assert_eq!(whole, decode_pieces(&single, 3), "differs byte by byte");

    let mut decoder = ChunkedDecoder::new(&Limits::default());
    match decoder.discard(data, usize::MAX) {
        Ok(progress) => {
            assert_eq!(progress.produced, whole.content.len(), "dropped another length");
            assert_eq!(progress.consumed, whole.consumed, "dropped another body");
            assert_eq!(progress.finished, whole.outcome == Ok(true));
        }
        Err(refusal) => assert_eq!(whole.outcome, Err(refusal)),
    }
}

/// What decoding came to: the content, how much input it took, and whether the body ended.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    consumed: usize,
    outcome: Result<bool, Refusal>,
}

fn decode_pieces(pieces: &[&[u8]], room: usize) -> Decoded {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let mut decoded = Decoded { content: Vec::new(), consumed: 0, outcome: Ok(false) };
    let mut output = vec![0; room];
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && decoded.outcome == Ok(false) {
            match decoder.decode(rest, &mut output) {
                Ok(progress) => {
                    assert!(progress.consumed > 0, "no progress");
                    let content = output.get(..progress.produced).unwrap_or_default();
                    decoded.content.extend_from_slice(content);
                    decoded.consumed += progress.consumed;
                    decoded.outcome = Ok(progress.finished);
                    rest = rest.get(progress.consumed..).unwrap_or_default();
                }
                Err(refusal) => {
                    // How much of the last piece was taken, or produced, before the fault is
                    // nobody's business: the message is thrown away.
                    decoded.content.clear();
                    decoded.consumed = 0;
                    decoded.outcome = Err(refusal);
                }
            }
        }
    }
    decoded
}

/// Values of the `Cookie` header.
///
/// # Panics
///
/// When a pair comes out that was not sent.
pub fn cookie(data: &[u8]) {
    let mut count = 0;
    for (name, value) in cookies(std::iter::once(data)) {
        count += 1;
        assert!(!name.is_empty() && !name.contains(['=', ';']) && !value.contains(';'));
        assert_eq!(trim(name.as_bytes()), name.as_bytes());
        assert_eq!(trim(value.as_bytes()), value.as_bytes());
        let mut pairs = data.split(|&byte| byte == b';').map(trim);
        let is_sent =
            |pair: &[u8]| pair.starts_with(name.as_bytes()) && pair.ends_with(value.as_bytes());
        assert!(pairs.any(is_sent), "invented a cookie");
    }
    assert!(count <= 256);
}

/// Paths of requests.
///
/// # Panics
///
/// When an accepted path is not in normal form.
pub fn path(data: &[u8]) {
    // The request line lets only these through to the path.
    let is_path = |&byte: &u8| class(byte) & NOT_TARGET == 0 && byte != b'?';
    if !data.starts_with(b"/") || !data.iter().all(is_path) {
        return;
    }
    match normalise(data) {
        Ok(Some(path)) => check_path(&path),
        Ok(None) => check_path(std::str::from_utf8(data).unwrap_or_default()),
        Err(refusal) => assert_eq!(refusal.status, http::StatusCode::BAD_REQUEST),
    }
}

fn check_path(path: &str) {
    assert!(path.starts_with('/'));
    assert!(!path.contains('\\') && !path.chars().any(char::is_control));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    let again = normalise(path.as_bytes());
    let is_stable = match &again {
        Ok(Some(again)) => **again == *path,
        Ok(None) => true,
        Err(_) => false,
    };
    assert!(is_stable, "normalising twice differs");
    for segment in path.split('/') {
        let inner = decode_param(segment);
        assert!(inner.split('/').all(|piece| piece != ".." || segment == ".."), "hidden dots");
    }
}

/// Values of `X-Forwarded-For` and `Forwarded`.
///
/// # Panics
///
/// When a client can choose its own address.
pub fn forwarded(data: &[u8]) {
    if data.contains(&b'\n') {
        return;
    }
    let peer = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let outside = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5));
    let trusted = TrustedProxies::parse("10.0.0.0/8").unwrap_or_default();
    let mut text = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ".to_vec();
    text.extend_from_slice(data);
    text.extend_from_slice(b", 203.0.113.5\r\nForwarded: ");
    text.extend_from_slice(data);
    text.extend_from_slice(b", for=203.0.113.5\r\n\r\n");
    let Ok(Some((head, _))) = parse_head(&text, &Limits::default()) else { return };
    let found = client(peer, false, &head, &trusted, ForwardedHeader::XForwarded);
    assert_eq!(found.addr, outside, "the text before the proxy's entry decided");
    let found = client(peer, false, &head, &trusted, ForwardedHeader::Forwarded);
    assert!(found.addr == outside || found.addr == peer, "the client chose its address");
    let nobody = TrustedProxies::default();
    let found = client(peer, true, &head, &nobody, ForwardedHeader::XForwarded);
    assert!(found.addr == peer && found.is_https && found.host.is_none());
}

/// Values of `Range`, for contents of many lengths.
///
/// # Panics
///
/// When what is selected is not what the ranges name.
pub fn range(data: &[u8]) {
    for length in [0, 1, 2, 9, 10, 11, 24] {
        let selection = select(data, length);
        let named: Option<Vec<bool>> =
            (0..length).map(|at| names_byte(data, u128::from(at), u128::from(length))).collect();
        match selection {
            Selection::Whole => {
                let is_one = !data.contains(&b',') && named.is_some_and(|it| it.contains(&true));
                assert!(!is_one || length == 0, "passed over one good range");
            }
            Selection::Nothing => {
                let is_outside = named.is_some_and(|named| !named.contains(&true));
                assert!(length > 0 && is_outside, "refused what is there, or no range");
            }
            Selection::Part { start, length: count } => {
                let is_part = |at: u64| at >= start && at - start < count;
                let part: Vec<_> = (0..length).map(is_part).collect();
                assert!(count > 0 && part.contains(&true), "an empty part");
                assert_eq!(Some(part), named, "selected another part");
            }
        }
    }
    if let Selection::Part { start, length } = select(data, u64::MAX) {
        assert!(length > 0 && start.checked_add(length).is_some(), "beyond the end");
    }
}

/// Whether a `Range` asks for this byte of a content, judged without the parser's own means;
/// `None` if it is no list of ranges.
fn names_byte(data: &[u8], at: u128, length: u128) -> Option<bool> {
    let text = std::str::from_utf8(data).ok()?.to_ascii_lowercase();
    let mut is_named = false;
    for range in
        text.strip_prefix("bytes=")?.split(',').map(|range| range.trim_matches([' ', '\t']))
    {
        if range.is_empty() {
            continue;
        }
        let (first, last) = range.split_once('-')?;
        if !(first.to_owned() + last).chars().all(|letter| letter.is_ascii_digit()) {
            return None;
        }
        let number = |digits: &str| digits.parse::<u128>().unwrap_or(u128::MAX);
        is_named |= match (first, last) {
            ("", "") => return None,
            ("", count) => at.saturating_add(number(count)) >= length && number(count) > 0,
            (first, "") => number(first) <= at,
            (first, last) => number(first) <= at && at <= number(last),
        };
    }
    Some(is_named)
}

/// Values of `If-Match` and `If-None-Match`.
///
/// # Panics
///
/// When a tag comes out that was not sent.
pub fn entity_tag(data: &[u8]) {
    let mut rest = data;
    for tag in entity_tags(data) {
        let (first, last) = (tag.opaque.first(), tag.opaque.last());
        assert!(tag.opaque.len() >= 2 && first == Some(&b'"') && last == Some(&b'"'));
        assert_eq!(tag.opaque.iter().filter(|&&byte| byte == b'"').count(), 2, "two tags in one");
        let length = tag.opaque.len();
        let at = rest.windows(length).position(|piece| piece == tag.opaque);
        assert!(at.is_some(), "invented a tag");
        let (before, behind) = rest.split_at(at.unwrap_or_default());
        assert_eq!(tag.is_weak, before.ends_with(b"W/"), "lost or invented a weakness");
        rest = behind.get(length..).unwrap_or_default();
    }
}
