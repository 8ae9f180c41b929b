//! What goes into a context and what a handler leaves in it for the answer.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::body::BodySource;
use crate::error::{Error, ErrorKind, Result};
use crate::http::RequestHead;

/// A request as it arrives from a connection or a test client.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) head: RequestHead,
    pub(crate) body: Option<Arc<dyn BodySource>>,
    pub(crate) peer: SocketAddr,
}

/// Headers and cookies for whatever response the handler makes.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) headers: HeaderMap,
    pub(crate) cookies: Vec<(String, HeaderValue)>,
}

impl Parts {
    /// One `Set-Cookie` per name and response (RFC 6265bis, 4.1.1): the last one stands.
    pub(crate) fn set_cookie(&mut self, name: String, value: HeaderValue) {
        self.cookies.retain(|(other, _)| *other != name);
        self.cookies.push((name, value));
    }
}

/// The header line of a cookie a handler sets; refuses what would split the response or be dropped
/// by every browser.
pub(super) fn cookie_header(cookie: &cookie::Cookie<'_>) -> Result<(String, HeaderValue)> {
    let refused = |what: &'static str| Err(Error::new(ErrorKind::Internal, what));
    let is_token = |name: &str| http::HeaderName::from_bytes(name.as_bytes()).is_ok();
    let is_value = |value: &str| {
        value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\'))
    };
    if !is_token(cookie.name()) {
        return refused("a cookie's name is not a token");
    }
    if !is_value(cookie.value()) {
        return refused("a cookie's value holds what no cookie may; encode it, base64url say");
    }
    if cookie.name().len() + cookie.value().len() > 4096 {
        return refused("a cookie is longer than the 4096 bytes browsers keep");
    }
    let attributes = [cookie.path(), cookie.domain()];
    if attributes.into_iter().flatten().any(|text| text.contains(';') || text.len() > 1024) {
        return refused("a cookie's path or domain is not valid");
    }
    match HeaderValue::from_str(&cookie.to_string()) {
        Ok(value) => Ok((cookie.name().to_owned(), value)),
        Err(error) => {
            Err(Error::new(ErrorKind::Internal, "a cookie is not valid").caused_by(error))
        }
    }
}
