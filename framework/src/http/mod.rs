//! HTTP/1.1 as values and bytes, from the server's side (RFC 9110, RFC 9112), strict.
//!
//! This room turns bytes into a [`RequestHead`], body bytes into content, and a response's head
//! into bytes. It knows no socket, no clock and no coroutine: everything it needs is handed in, and
//! everything it refuses is a [`Refusal`] with the status the client is told.
#![warn(clippy::indexing_slicing, clippy::string_slice)]

mod bytes;
mod chunked;
mod cidr;
mod cookie;
mod date;
mod encode;
mod entity_tag;
mod fields;
mod forwarded;
#[doc(hidden)]
pub(crate) mod fuzz;
mod head;
mod host;
mod limits;
mod location;
mod parse;
mod path;
mod range;
mod refusal;
mod request_line;
#[cfg(test)]
mod tests;

pub(crate) use chunked::{ChunkedDecoder, push_chunk, push_last_chunk};
pub(crate) use cidr::TrustedProxies;
pub(crate) use date::{http_date, imf_fixdate};
pub(crate) use encode::{
    BodyCoding, CONTINUE, PRIVATE_CACHE_CONTROL, PRIVATE_VARY, ResponseHead, ResponseHeaders,
    ResponseLength, encode_head,
};
pub(crate) use entity_tag::{EntityTag, entity_tags};
pub(crate) use forwarded::{Client, ForwardedHeader, client};
pub use head::{BodyLength, RequestHead};
pub use limits::Limits;
pub(crate) use location::uri_reference;
pub(crate) use parse::{parse_head, parse_head_from};
pub(crate) use path::decode_param;
pub(crate) use range::{Selection, select};
pub(crate) use refusal::Refusal;
