//! Who the client is behind proxies, and who cannot choose it.

use std::net::IpAddr;

use super::head;
use crate::http::cidr::TrustedProxies;
use crate::http::forwarded::{Client, ForwardedHeader, client};

const PEER: &str = "10.0.0.1";

/// The client of a request with these header lines that came from `peer` without TLS.
fn resolve(peer: &str, lines: &str, header: ForwardedHeader) -> Client {
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let trusted = TrustedProxies::parse("10.0.0.0/8, fd00::/8").unwrap();
    client(peer.parse().unwrap(), false, &head(text.as_bytes()), &trusted, header)
}

fn check(lines: &str, addr: &str, is_https: bool, host: Option<&str>) {
    let found = resolve(PEER, lines, ForwardedHeader::XForwarded);
    let expected = Client { addr: addr.parse().unwrap(), is_https, host: host.map(str::to_owned) };
    assert_eq!(found, expected, "{lines}");
}

fn check_rfc(lines: &str, addr: &str, is_https: bool, host: Option<&str>) {
    let found = resolve(PEER, lines, ForwardedHeader::Forwarded);
    let expected = Client { addr: addr.parse().unwrap(), is_https, host: host.map(str::to_owned) };
    assert_eq!(found, expected, "{lines}");
}

#[test]
fn a_stranger_is_not_believed() {
    let lines =
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4\r\n";
    for header in [ForwardedHeader::XForwarded, ForwardedHeader::Forwarded] {
        let found = resolve("192.0.2.7", lines, header);
        assert_eq!(
            found,
            Client { addr: "192.0.2.7".parse().unwrap(), is_https: false, host: None }
        );
    }
}

#[test]
fn x_forwarded() {
    check("", PEER, false, None);
    check("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1", false, None);
    check("X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n", "192.0.2.1", false, None);
    check("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.9.9.9\r\n", "192.0.2.1", false, None);
    check("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1", false, None);
    check("X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3", false, None);
    check("X-Forwarded-For: 192.0.2.1:4711\r\n", "192.0.2.1", false, None);
    check("X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1", false, None);
    check("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1", false, None);
    check("X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1", false, None);
    check("Forwarded: for=6.6.6.6\r\n", PEER, false, None);
}

#[test]
fn garbage_ends_the_walk_at_the_hop_that_wrote_it() {
    check("X-Forwarded-For: unknown\r\n", PEER, false, None);
    check("X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.2\r\n", "10.0.0.2", false, None);
    check("X-Forwarded-For: 6.6.6.6,,10.0.0.2\r\n", "10.0.0.2", false, None);
    check("X-Forwarded-For: 192.0.2.256\r\n", PEER, false, None);
}

#[test]
fn scheme_and_host() {
    check(
        "X-Forwarded-Proto: HTTPS\r\nX-Forwarded-Host: b.example:81\r\n",
        PEER,
        true,
        Some("b.example:81"),
    );
    check("X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: a@b\r\n", PEER, false, None);
    // The client's own "https" lies left of what the proxy that saw it wrote.
    let lines = "X-Forwarded-For: 10.0.0.9, 192.0.2.1\r\nX-Forwarded-Proto: https, http\r\n";
    check(lines, "192.0.2.1", false, None);
    // Outer proxy with TLS, inner hop without.
    let lines = "X-Forwarded-For: 192.0.2.1, 10.0.0.2\r\nX-Forwarded-Proto: https, http\r\n";
    check(lines, "192.0.2.1", true, None);
    let lines = "X-Forwarded-For: 192.0.2.1, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n";
    check(lines, "192.0.2.1", true, None);
}

#[test]
fn rfc_7239() {
    check_rfc("Forwarded: for=192.0.2.60;proto=https;by=10.0.0.1\r\n", "192.0.2.60", true, None);
    check_rfc("Forwarded: For=\"[2001:db8:cafe::17]:4711\"\r\n", "2001:db8:cafe::17", false, None);
    check_rfc("Forwarded: for=6.6.6.6, for=192.0.2.1, for=10.0.0.2\r\n", "192.0.2.1", false, None);
    check_rfc(
        "Forwarded: for=192.0.2.1; host=\"b.example:81\" ;x=y;\r\n",
        "192.0.2.1",
        false,
        Some("b.example:81"),
    );
    check_rfc("Forwarded: for=\"192.0.2.1\\:80\"\r\n", "192.0.2.1", false, None);
    check_rfc("Forwarded: for=_hidden;proto=https\r\n", PEER, true, None);
    check_rfc("Forwarded: for=unknown, for=10.0.0.2\r\n", "10.0.0.2", false, None);
    check_rfc("X-Forwarded-For: 6.6.6.6\r\n", PEER, false, None);
    // A comma in quotes separates nothing.
    check_rfc("Forwarded: x=\"a, for=6.6.6.6\";for=192.0.2.1\r\n", "192.0.2.1", false, None);
    for bad in [
        "for=\"6.6.6.6",
        "for",
        "for=6.6.6.6;for=7.7.7.7",
        "for=6.6.6.6:80",
        "f r=1;for=6.6.6.6",
        "x=\"a\"b",
    ] {
        check_rfc(&format!("Forwarded: for=6.6.6.6, {bad}\r\n"), PEER, false, None);
    }
}

#[test]
fn networks() {
    let contains = |text: &str, addr: &str| {
        TrustedProxies::parse(text).unwrap().contains(addr.parse::<IpAddr>().unwrap())
    };
    for (text, addr, expected) in [
        ("", "127.0.0.1", false),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1", "::ffff:127.0.0.1", true),
        ("::ffff:127.0.0.1", "127.0.0.1", true),
        ("10.1.2.3/8", "10.200.0.1", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/9", "10.128.0.0", false),
        ("0.0.0.0/0", "255.1.2.3", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/32 , 10.0.0.1\n::1", "2001:db8:ffff::", true),
        ("2001:db8::/32 , 10.0.0.1\n::1", "2001:db9::", false),
        ("2001:db8::/32 , 10.0.0.1\n::1", "::1", true),
    ] {
        assert_eq!(contains(text, addr), expected, "{text} {addr}");
    }
    for bad in [
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "a",
        "/8",
        "::1%lo",
    ] {
        assert_eq!(TrustedProxies::parse(&format!("::1, {bad}")), Err(bad.to_owned()));
    }
    assert!(!TrustedProxies::parse(" , ").unwrap().contains([127, 0, 0, 1].into()));
}
