//! What each byte may be in a message, as one table, and small helpers over byte slices.

/// A character of a token (RFC 9110, 5.6.2): method, header name, coding.
pub(super) const TOKEN: u8 = 1;
/// A byte that no request target holds: its end, or a fault. A target may hold more than RFC 3986
/// allows, since browsers send `[ ] | ^ { }`, the backquote and, in the query, the backslash as they
/// are; but no quotation mark, no angle bracket, no `#` and nothing outside printable ASCII.
pub(super) const NOT_TARGET: u8 = 2;
/// A character that may make a path differ from its normal form: `%`, `.` and the backslash.
pub(super) const UNUSUAL: u8 = 4;
/// The question mark, which ends a path.
pub(super) const QUESTION: u8 = 8;
/// A letter, digit, or mark of a registered host name (RFC 3986, 3.2.2), percent signs excluded.
pub(super) const HOST: u8 = 16;
/// A byte of a header value: HTAB, SP, visible ASCII and obs-text.
pub(super) const VALUE: u8 = 32;

/// The classes of every byte, as a union of the constants above.
static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where it cannot fail late")]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        let alphanumeric = byte.is_ascii_alphanumeric();
        let mut class = 0;
        if alphanumeric || is_in(byte, b"!#$%&'*+-.^_`|~") {
            class |= TOKEN;
        }
        if !byte.is_ascii_graphic() || is_in(byte, b"\"<>#") {
            class |= NOT_TARGET;
        }
        if is_in(byte, b"%.\\") {
            class |= UNUSUAL;
        }
        if byte == b'?' {
            class |= QUESTION;
        }
        if alphanumeric || is_in(byte, b"-._~!$&'()*+,;=") {
            class |= HOST;
        }
        if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
            class |= VALUE;
        }
        table[byte as usize] = class;
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where it cannot fail late")]
const fn is_in(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// The classes of one byte.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is always an index into 256 entries")]
pub(super) fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

/// Whether `bytes` is a token: not empty, token characters only.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| class(byte) & TOKEN != 0)
}

/// `bytes` without the spaces and tabs around it (OWS).
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    while let [head @ .., b' ' | b'\t'] = rest {
        rest = head;
    }
    rest
}

/// The elements of a comma-separated list, trimmed; empty ones are handed out too.
pub(super) fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// The value of one hexadecimal digit.
#[inline]
pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
