//! Who the client is, when trusted proxies stand between it and us.

use std::net::{IpAddr, SocketAddr};

use super::bytes::{is_token, list, trim};
use super::cidr::TrustedProxies;
use super::head::RequestHead;
use super::host::is_valid_host;

/// Hops looked at; no honest chain of proxies is longer.
const MAX_HOPS: usize = 32;

/// Which header the trusted proxies write. Only one is read: a proxy passes the other one on as
/// the client sent it, so reading both would let the client choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForwardedHeader {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The client as far as trusted proxies vouch for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) addr: IpAddr,
    /// Whether the client speaks TLS to the outermost proxy, or to us.
    pub(crate) is_https: bool,
    /// The host the client asked for, if a proxy names it: valid by its grammar, not authenticated.
    pub(crate) host: Option<String>,
}

/// What one hop says about the one before it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Hop {
    addr: Option<IpAddr>,
    is_https: Option<bool>,
    host: Option<String>,
}

/// The client of a request that came from `peer`, over TLS if `is_tls`.
///
/// The chain is read from the right, since only its right end was written by proxies of ours: the
/// first address that is not trusted is the client. An entry that is no address ends the walk at
/// the hop that wrote it. If every hop is trusted, the left-most is the client.
pub(crate) fn client(
    peer: IpAddr,
    is_tls: bool,
    head: &RequestHead,
    trusted: &TrustedProxies,
    header: ForwardedHeader,
) -> Client {
    let mut client = Client { addr: peer.to_canonical(), is_https: is_tls, host: None };
    if !trusted.contains(peer) {
        return client;
    }
    let hops = match header {
        ForwardedHeader::XForwarded => x_forwarded_hops(head),
        ForwardedHeader::Forwarded => forwarded_hops(head),
    };
    for hop in hops {
        client.is_https = hop.is_https.unwrap_or(client.is_https);
        client.host = hop.host.or(client.host);
        let Some(addr) = hop.addr else { break };
        client.addr = addr;
        if !trusted.contains(addr) {
            break;
        }
    }
    client
}

/// The hops of `X-Forwarded-*`, nearest first. The three lists are matched from the right; most
/// proxies write one scheme and one host only, which then hold for the nearest hop and, as nothing
/// contradicts them, for the whole chain.
fn x_forwarded_hops(head: &RequestHead) -> Vec<Hop> {
    let mut schemes = nearest_first(head, "x-forwarded-proto").into_iter();
    let mut hosts = nearest_first(head, "x-forwarded-host").into_iter();
    let addrs = nearest_first(head, "x-forwarded-for").into_iter().map(parse_node);
    // One more hop than addresses: scheme and host count even where no address was sent.
    let addrs = addrs.chain(std::iter::once(None)).take(MAX_HOPS);
    addrs
        .map(|addr| Hop {
            addr,
            is_https: schemes.next().and_then(parse_scheme),
            host: hosts.next().and_then(parse_host),
        })
        .collect()
}

fn nearest_first<'a>(head: &'a RequestHead, name: &'a str) -> Vec<&'a [u8]> {
    let mut elements: Vec<_> = head.header_all(name).flat_map(list).collect();
    elements.reverse();
    elements.truncate(MAX_HOPS);
    elements
}

/// The hops of `Forwarded`, nearest first; none if any of it is malformed.
fn forwarded_hops(head: &RequestHead) -> Vec<Hop> {
    let mut hops = Vec::new();
    for value in head.header_all("forwarded") {
        for element in split_unquoted(value, b',') {
            let Some(hop) = parse_element(element) else { return Vec::new() };
            hops.push(hop);
        }
    }
    hops.reverse();
    hops.truncate(MAX_HOPS);
    hops
}

/// `for=..;proto=..;host=..`, each at most once; unknown parameters are passed over.
fn parse_element(element: &[u8]) -> Option<Hop> {
    let mut hop = Hop::default();
    let mut seen = [false; 3];
    for pair in split_unquoted(element, b';').map(trim).filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair.get(..at)?, unquote(pair.get(at + 1..)?)?);
        if !is_token(name) {
            return None;
        }
        let known: [&[u8]; 3] = [b"for", b"proto", b"host"];
        let which = known.iter().position(|known| name.eq_ignore_ascii_case(known));
        if let Some(seen) = which.and_then(|which| seen.get_mut(which))
            && std::mem::replace(seen, true)
        {
            return None;
        }
        match which {
            Some(0) => hop.addr = parse_node(&value),
            Some(1) => hop.is_https = parse_scheme(&value),
            Some(2) => hop.host = parse_host(&value),
            _ => {}
        }
    }
    Some(hop)
}

/// Splits at a separator that stands outside of quoted strings.
fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    value.split(move |&byte| {
        let escapes = is_quoted && !is_escaped && byte == b'\\';
        if byte == b'"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = escapes;
        byte == separator && !is_quoted
    })
}

/// The text of a token or quoted string.
fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return is_token(value).then(|| value.to_vec());
    };
    let mut text = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.strip_suffix(b"\"")?.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => text.push(*bytes.next()?),
            byte => text.push(byte),
        }
    }
    Some(text)
}

/// An address with or without port and brackets; `unknown` and made-up names are `None`.
fn parse_node(node: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(node).ok()?;
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let addr = match inner {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => match text.parse() {
            Ok(addr) => addr,
            Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(addr.to_canonical())
}

fn parse_scheme(scheme: &[u8]) -> Option<bool> {
    match scheme {
        scheme if scheme.eq_ignore_ascii_case(b"https") => Some(true),
        scheme if scheme.eq_ignore_ascii_case(b"http") => Some(false),
        _ => None,
    }
}

fn parse_host(host: &[u8]) -> Option<String> {
    is_valid_host(host).then(|| String::from_utf8_lossy(host).into_owned())
}
