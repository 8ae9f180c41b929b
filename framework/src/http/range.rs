//! Which part of a content a `Range` header asks for (RFC 9110, 14), as values.
//!
//! An answer has one part or is whole. Several ranges that overlap or adjoin, each with those
//! before it, are one part; any others are the whole. That is what the RFC allows (14.2, 15.3.7.2),
//! and it takes away what many ranges are sent for by those who mean harm: an answer in pieces
//! whose sum is longer than the content, and whose cost grows with the header.

use super::bytes::{list, trim};

/// What a `Range` header comes to for a content whose length is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Everything: the header is passed over.
    Whole,
    /// So many bytes, at least one, from `start` on.
    Part { start: u64, length: u64 },
    /// None of the ranges begins within the content.
    Nothing,
}

/// One range as it was sent.
enum RangeSpec {
    From { first: u64, last: u64 },
    Suffix(u64),
}

/// What `value`, the only `Range` header of a GET request, selects from a content of `length` bytes.
///
/// Another unit, and whatever is not a list of ranges by the grammar, is passed over as the RFC
/// wants. A content without bytes is always whole: no `Content-Range` can tell of a part of it.
pub(crate) fn select(value: &[u8], length: u64) -> Selection {
    let Some(ranges) = byte_ranges(value).filter(|_| length > 0) else {
        return Selection::Whole;
    };
    let mut is_any = false;
    let mut is_in_pieces = false;
    let mut found: Option<(u64, u64)> = None;
    for range in list(ranges).filter(|range| !range.is_empty()) {
        let Some(spec) = RangeSpec::parse(range) else { return Selection::Whole };
        is_any = true;
        let Some((first, last)) = spec.within(length) else { continue };
        found = match found {
            None => Some((first, last)),
            // Neither sum overflows, since both ends are below the length.
            Some((start, end)) if first <= end + 1 && start <= last + 1 => {
                Some((start.min(first), end.max(last)))
            }
            Some(_) => {
                is_in_pieces = true;
                found
            }
        };
    }
    match found {
        _ if is_in_pieces || !is_any => Selection::Whole,
        Some((start, end)) => Selection::Part { start, length: end - start + 1 },
        None => Selection::Nothing,
    }
}

/// What follows `bytes=`, in any case of letters.
fn byte_ranges(value: &[u8]) -> Option<&[u8]> {
    let (unit, ranges) = value.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then(|| trim(ranges))
}

impl RangeSpec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (text.get(..dash)?, text.get(dash + 1..)?);
        if first.is_empty() {
            return number(last).map(Self::Suffix);
        }
        let first = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        (first <= last).then_some(Self::From { first, last })
    }

    /// The first and the last byte of a content that is not empty; `None` if there are none.
    fn within(&self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        match *self {
            Self::From { first, last } => (first <= end).then_some((first, last.min(end))),
            Self::Suffix(count) => (count > 0).then_some((length.saturating_sub(count), end)),
        }
    }
}

/// At least one digit. A number that is too large to be told is larger than any file.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then_some(digit.wrapping_sub(b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    };
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0, add)
}
