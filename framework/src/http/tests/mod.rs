//! The room's tests: tables of bytes in and what must come out, whole and cut at every place.
#![allow(clippy::indexing_slicing, clippy::string_slice, reason = "a test may fail by panic")]

mod chunked;
mod cookie;
mod corpus;
mod encode;
mod entity_tag;
mod forwarded;
mod head_accepted;
mod head_refused;
mod path;
mod range;

use super::head::RequestHead;
use super::limits::Limits;
use super::parse::parse_head;

/// The head of a request that must be accepted.
fn head(text: &[u8]) -> RequestHead {
    match parse_head(text, &Limits::default()) {
        Ok(Some((head, _))) => head,
        other => panic!("{}: {other:?}", text.escape_ascii()),
    }
}
