//! The opening handshake of RFC 6455, section 4.2: what is wrong with a request, or what its answer
//! must say.

use http::header::{ALLOW, HeaderName, HeaderValue, UPGRADE};
use http::{Method, StatusCode};

use super::options::WebSocketOptions;
use super::origin::{self, Own, Rules};
use crate::config::WebSocketSettings;
use crate::context::RequestContext;
use crate::error::Error;
use crate::into_response::IntoResponse;
use crate::response::Response;

/// What the `101` answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// `Sec-WebSocket-Accept`.
    pub(super) accept: String,
    /// The first subprotocol the client names that the handler speaks.
    pub(super) protocol: Option<String>,
}

/// Checks the request; the refusal is the answer to send instead.
pub(super) fn check(
    ctx: &RequestContext,
    settings: &WebSocketSettings,
    options: &WebSocketOptions,
) -> Result<Accepted, Box<Response>> {
    let is_head = *ctx.method() == Method::HEAD;
    if *ctx.method() != Method::GET && !is_head {
        let message = "a WebSocket is opened with GET";
        // As the routes say it of themselves: HEAD and OPTIONS are answered, too.
        let allow = (ALLOW, "GET, HEAD, OPTIONS");
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, message, allow));
    }
    // HTTP/1.0, no `Upgrade: websocket`, or no `Connection: upgrade`. A HEAD is told what a GET for
    // the page would be, since it can open nothing.
    if is_head || !ctx.head().wants_upgrade_to("websocket") {
        let message = "this is a WebSocket: ask with Upgrade: websocket";
        return Err(refused(StatusCode::UPGRADE_REQUIRED, message, (UPGRADE, "websocket")));
    }
    if only_value(ctx, "sec-websocket-version") != Some("13") {
        let version = HeaderName::from_static("sec-websocket-version");
        let message = "this is a WebSocket of version 13";
        let mut refusal = refused(StatusCode::UPGRADE_REQUIRED, message, (version, "13"));
        refusal.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        return Err(refusal);
    }
    let Some(key) = only_value(ctx, "sec-websocket-key").filter(|key| is_key(key)) else {
        let message = "Sec-WebSocket-Key must be 16 bytes in base64";
        return Err(Box::new(Error::request(StatusCode::BAD_REQUEST, message).into_response()));
    };
    if !is_welcome(ctx, settings, options) {
        let message = "pages of this origin may not connect";
        return Err(Box::new(Error::request(StatusCode::FORBIDDEN, message).into_response()));
    }
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    Ok(Accepted { accept, protocol: choose_protocol(ctx, options) })
}

fn refused(
    status: StatusCode,
    message: &'static str,
    (name, value): (HeaderName, &'static str),
) -> Box<Response> {
    let mut response = Error::request(status, message).into_response();
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    Box::new(response)
}

/// The value of a header that came once.
fn only_value<'a>(ctx: &'a RequestContext, name: &'a str) -> Option<&'a str> {
    std::str::from_utf8(ctx.head().header_once(name)?).ok()
}

/// 16 bytes in base64: 22 digits, the last with four bits of padding, and two `=`.
fn is_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let Some(digits) = key.strip_suffix("==") else { return false };
    digits.len() == 22 && digits.bytes().all(is_digit) && digits.ends_with(['A', 'Q', 'g', 'w'])
}

fn is_welcome(
    ctx: &RequestContext,
    settings: &WebSocketSettings,
    options: &WebSocketOptions,
) -> bool {
    let own = Own { is_https: ctx.is_secure(), host: ctx.public_host() };
    let allowed = options.origins.as_deref().unwrap_or(&settings.origins);
    let rules = Rules { allowed, required: settings.require_origin };
    origin::is_allowed(ctx.head().header_all("origin"), own, rules)
}

fn choose_protocol(ctx: &RequestContext, options: &WebSocketOptions) -> Option<String> {
    let values = ctx.head().header_all("sec-websocket-protocol");
    let offered = values.filter_map(|value| std::str::from_utf8(value).ok());
    let mut offered = offered.flat_map(|value| value.split(',')).map(str::trim);
    offered.find_map(|name| options.protocols.iter().find(|own| **own == name).cloned())
}

#[cfg(test)]
mod tests {
    use super::is_key;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        for (key, expected) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", true),
            ("AAAAAAAAAAAAAAAAAAAAAA==", true),
            ("AAAAAAAAAAAAAAAAAAAAAB==", false),
            ("dGhlIHNhbXBsZSBub25jZQ=", false),
            ("dGhlIHNhbXBsZSBub25jZQ", false),
            ("dGhlIHNhbXBsZSBub25j", false),
            ("dGhlIHNhbXBsZSBub25jZQQQ==", false),
            ("dGhlIHNhbXBsZSBub25jZ_==", false),
            ("dGhlIHNhbXBsZSBub25j Q==", false),
            ("", false),
            ("==", false),
        ] {
            assert_eq!(is_key(key), expected, "{key}");
        }
    }
}
