//! Entity tags, and the lists of them that conditions hold (RFC 9110, 8.8.3 and 13.1).

use super::bytes::trim;

/// The name of one state of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntityTag<'a> {
    /// Whether the bytes may change while the tag does not.
    pub(crate) is_weak: bool,
    /// With its quotes.
    pub(crate) opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Whether both name the same bytes: a weak tag never does.
    pub(crate) fn is_strongly(&self, other: &EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// Whether one state is as good as the other.
    pub(crate) fn is_weakly(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag that `text` begins with, and what follows it.
    fn parse(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let weak = text.strip_prefix(b"W/");
        let quoted = weak.unwrap_or(text);
        let inner = quoted.strip_prefix(b"\"")?;
        let length = inner.iter().position(|&byte| byte == b'"')?;
        let is_fine = |&byte: &u8| byte > b' ' && byte != 0x7f;
        inner.get(..length)?.iter().all(is_fine).then_some(())?;
        let (opaque, rest) = quoted.split_at_checked(length + 2)?;
        Some((Self { is_weak: weak.is_some(), opaque }, rest))
    }
}

/// The tags of one header line, up to the first thing that is none.
pub(crate) fn entity_tags(value: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        let (tag, tail) = EntityTag::parse(rest)?;
        // Behind a tag there is another element, or nothing.
        rest = match trim(tail) {
            [] => &[],
            [b',', tail @ ..] => tail,
            _ => return None,
        };
        Some(tag)
    })
}
