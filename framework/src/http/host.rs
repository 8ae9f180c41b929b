//! The grammar of `host [":" port]` (RFC 3986, 3.2.2 and 3.2.3).

use std::net::Ipv6Addr;

use super::bytes::{HOST, class};

/// Whether `authority` is a host with an optional port: a registered name, an IPv4 address or an IP
/// literal in brackets, not empty; no user information; a port of at most 65,535, which may be
/// missing behind its colon.
///
/// An empty host is refused although the grammar of the `Host` header allows it: it would stand for
/// a request without authority, and every `http` URI has one (RFC 9110, 4.2.1).
pub(super) fn is_valid_host(authority: &[u8]) -> bool {
    // Nearly every host is a plain name with or without a port: one pass over its bytes.
    let end = authority.iter().position(|&byte| class(byte) & HOST == 0);
    match end {
        None => return !authority.is_empty(),
        Some(end) if end > 0 => {
            let (_, port) = authority.split_at(end);
            if port.starts_with(b":") {
                return is_port(port);
            }
        }
        Some(_) => {}
    }
    match authority {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
            let (literal, port) = rest.split_at(end);
            is_ip_literal(literal) && is_port(port.get(1..).unwrap_or_default())
        }
        _ => {
            let end = authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len());
            let (name, port) = authority.split_at(end);
            !name.is_empty() && is_registered_name(name) && is_port(port)
        }
    }
}

fn is_registered_name(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        let fits = match byte {
            b'%' => {
                bytes.next().is_some_and(u8::is_ascii_hexdigit)
                    && bytes.next().is_some_and(u8::is_ascii_hexdigit)
            }
            _ => class(byte) & HOST != 0,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Nothing, or a colon and a decimal number of at most 65,535, possibly empty.
fn is_port(port: &[u8]) -> bool {
    let [b':', digits @ ..] = port else { return port.is_empty() };
    let mut number = 0_u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return false;
        }
        number = number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    }
    number <= u32::from(u16::MAX)
}

/// `IPv6address`, or `IPvFuture`, which nobody has seen but the grammar has.
fn is_ip_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', rest @ ..] = literal {
        let Some(dot) = rest.iter().position(|&byte| byte == b'.') else { return false };
        let (version, address) = rest.split_at(dot);
        let address = address.get(1..).unwrap_or_default();
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|&byte| byte == b':' || class(byte) & HOST != 0);
    }
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}
