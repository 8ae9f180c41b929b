//! From a path as it was sent to the one path that routes, sessions and files agree on.
//!
//! Most break-ins through paths live on two readers that decode differently. So there is one rule,
//! applied once: decode per segment, resolve plain dot segments, refuse every disguise.

use std::borrow::Cow;

use super::bytes::hex_digit;
use super::refusal::Refusal;

const INVALID_ESCAPE: Refusal = Refusal::bad_request("invalid percent-encoding in the path");
const BACKSLASH: Refusal = Refusal::bad_request("backslash in the path");
const CONTROL: Refusal = Refusal::bad_request("control character in the path");
const HIDDEN_DOTS: Refusal = Refusal::bad_request("encoded dot segment in the path");

/// The normal form of `raw`, or `None` if it is `raw` itself.
///
/// - Each segment is percent-decoded; `%2F` and `%25` stay encoded (with capital letters), so an
///   encoded slash is no boundary and [`decode_param`] can finish the work without ambiguity.
/// - `.` and `..` are resolved (RFC 3986, 5.2.4), never above the root.
/// - Refused with 400: an invalid escape, a backslash or control character in whatever spelling,
///   what is not UTF-8, and dot segments that are spelt with escapes or joined by encoded slashes:
///   no client needs them, they only serve to get past a filter.
pub(super) fn normalise(raw: &[u8]) -> Result<Option<Box<str>>, Refusal> {
    if raw.contains(&b'\\') {
        return Err(BACKSLASH);
    }
    if !raw.contains(&b'%') && !raw.windows(2).any(|pair| pair == b"/.") {
        return Ok(None);
    }
    let mut path = String::with_capacity(raw.len());
    let segments = raw.strip_prefix(b"/").unwrap_or(raw);
    let mut segments = segments.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    path.truncate(path.rfind('/').unwrap_or(0));
                }
                if is_last {
                    path.push('/');
                }
            }
            _ => {
                path.push('/');
                decode_segment(segment, &mut path)?;
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(Some(path.into_boxed_str()))
}

/// Appends one segment, decoded.
fn decode_segment(segment: &[u8], path: &mut String) -> Result<(), Refusal> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.iter();
    let mut has_escape = false;
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        has_escape = true;
        let mut digit = || bytes.next().copied().and_then(hex_digit).ok_or(INVALID_ESCAPE);
        match digit()? << 4 | digit()? {
            b'/' => decoded.extend_from_slice(b"%2F"),
            b'%' => decoded.extend_from_slice(b"%25"),
            b'\\' => return Err(BACKSLASH),
            byte => decoded.push(byte),
        }
    }
    let Ok(text) = String::from_utf8(decoded) else {
        return Err(Refusal::bad_request("the path is not UTF-8"));
    };
    if text.chars().any(char::is_control) {
        return Err(CONTROL);
    }
    if has_escape && text.split("%2F").any(|piece| matches!(piece, "." | "..")) {
        return Err(HIDDEN_DOTS);
    }
    path.push_str(&text);
    Ok(())
}

/// Decodes what the normal form leaves encoded, `%2F` and `%25`, and nothing else: for handing a
/// route parameter to its handler. The result may hold slashes and must not be taken for a path.
pub(crate) fn decode_param(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    // Every `%` that is left starts one of the two, so the order of replacement cannot matter as
    // long as the percent signs come last.
    Cow::Owned(segment.replace("%2F", "/").replace("%25", "%"))
}
