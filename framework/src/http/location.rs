//! From an address as a handler wrote it to one that may stand in a `Location` header.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::bytes::hex_digit;

/// What RFC 3986 has in no URI (2.2, 2.3), the percent sign excluded. All that is not ASCII is
/// encoded as well.
const NEVER: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// `text` with everything percent-encoded that no URI holds; escapes that are there, and what has a
/// meaning in a URI, stay. `None` if it has control characters, which no address needs and browsers
/// partly skip.
///
/// The backslash is encoded too: browsers take it for a slash, so that `/\host` leads elsewhere.
pub(crate) fn uri_reference(text: &str) -> Option<String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let mut address = String::with_capacity(text.len());
    for (at, piece) in text.split('%').enumerate() {
        if at > 0 {
            let mut digits = piece.bytes().map(hex_digit);
            let is_escape =
                matches!((digits.next(), digits.next()), (Some(Some(_)), Some(Some(_))));
            address.push_str(if is_escape { "%" } else { "%25" });
        }
        address.extend(utf8_percent_encode(piece, NEVER));
    }
    Some(address)
}
