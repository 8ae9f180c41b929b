//! What is refused, with which status, and how early.

use http::StatusCode;

use crate::http::limits::Limits;
use crate::http::parse::{parse_head, parse_head_from};

/// The first lines of most cases.
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

/// Fed byte by byte as a connection would, the text must be refused with `status` in the end.
fn check(text: impl AsRef<[u8]>, status: u16) {
    check_with(text.as_ref(), status, &Limits::default());
}

fn check_with(text: &[u8], status: u16, limits: &Limits) {
    let expected = StatusCode::from_u16(status).unwrap();
    let shown = &text[..text.len().min(200)];
    match parse_head(text, limits) {
        Err(refusal) => assert_eq!(refusal.status, expected, "{}", shown.escape_ascii()),
        other => panic!("{}: {other:?}", shown.escape_ascii()),
    }
    for len in 0..=text.len() {
        match parse_head_from(&text[..len], len.saturating_sub(1), limits) {
            Ok(None) => {}
            Ok(Some(_)) => panic!("accepted {len} bytes of {}", shown.escape_ascii()),
            Err(_) => return,
        }
    }
}

/// Exactly the last byte of `text` decides: one byte less is still possible.
fn check_early(text: impl AsRef<[u8]>, status: u16) {
    let text = text.as_ref();
    let limits = Limits::default();
    let before = parse_head(&text[..text.len() - 1], &limits);
    assert!(matches!(before, Ok(None)), "{}: too early: {before:?}", text.escape_ascii());
    let refusal = parse_head(text, &limits).map(|_| ()).unwrap_err();
    assert_eq!(refusal.status.as_u16(), status, "{}", text.escape_ascii());
}

#[test]
fn garbage_is_refused_at_its_first_impossible_byte() {
    check_early(b"\x16", 400);
    check_early(b"\n", 400);
    check_early(b"\rG", 400);
    check_early(b"\r\n\r", 400);
    check_early(b"G\0", 400);
    check_early(b"GET /a\x7f", 400);
    check_early(b"GET /a\"", 400);
    check_early(b"GET / HTTQ", 400);
    check_early(b"GET / HTTP/1.1\n", 400);
    check_early(b"GET / HTTP/1.1\rX", 400);
    check_early(b"GET / HTTP/1.1\r\nHost: a\n", 400);
    check_early(b"GET / HTTP/1.1\r\nHost: a\r\n ", 400);
    check_early(b"GET / HTTP/1.1\r\nHost: a\r\nX ", 400);
    check_early(b"GET / HTTP/1.1\r\nHost: a\r\nX: \0", 400);
    check_early([b'A'; 33], 501);
}

#[test]
fn versions() {
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.1", "HTTP/9.9"] {
        check(format!("GET / {version}\r\nHost: a\r\n\r\n"), 505);
    }
    for version in
        ["HTTP/1", "HTTP/1.", "HTTP/1.10", "HTTP/11", "http/1.1", "HTTP/ 1.1", "HTTP/1.1 "]
    {
        check(format!("GET / {version}\r\nHost: a\r\n\r\n"), 400);
    }
    for version in ["HTTP/A.1", "HTTP/1,1", "HTTP/+1.1", "HTP/1.1", "1.1", ""] {
        check(format!("GET / {version}\r\nHost: a\r\n\r\n"), 400);
    }
}

#[test]
fn methods_and_targets() {
    for line in ["GE(T /", "\"GET\" /", " GET /", "/ GET", "GET\t/", "GET  /", "GET /a b", ""] {
        check(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
    for target in
        ["*", "a", "?q", "#", "/#", "/<", "/>", "/\"", "/a#b", "http:/a", "http:", ":", "//"]
    {
        if target != "//" {
            check(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        }
    }
    for target in ["http://", "http:///x", "http://u@h/", "http://h:x/", "ftp://h/", "h:80", "*?"] {
        check(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        check(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
    check("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501);
    for byte in (0..=b' ').chain(0x7f..=0xff) {
        check([b"GET /a".as_slice(), &[byte], b"b HTTP/1.1\r\nHost: a\r\n\r\n"].concat(), 400);
        check([b"GET /?a".as_slice(), &[byte], b"b HTTP/1.1\r\nHost: a\r\n\r\n"].concat(), 400);
    }
}

#[test]
fn hosts() {
    check("GET / HTTP/1.1\r\n\r\n", 400);
    check("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    check("GET http://good/ HTTP/1.1\r\n\r\n", 400);
    check("GET http://good/ HTTP/1.1\r\nHost: b@d\r\n\r\n", 400);
    let bad = [
        "",
        ":",
        ":80",
        "a b",
        "a,b c",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:+1",
        "a\\b",
        "[::1",
        "::1",
        "[::1]a",
        "[::1]:x",
        "[]",
        "[1.2.3.4]",
        "[fe80::1%25eth0]",
        "[g::]",
        "[v.x]",
        "[v1.]",
        "a%",
        "a%4",
        "a%zz",
        "<a>",
        "\"a\"",
        "caf\u{e9}",
        "http://a",
        "{a}",
        "a|b",
        "a^b",
        "a`b",
    ];
    for host in bad {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
}

#[test]
fn bytes_that_belong_in_no_header() {
    for byte in (0..b' ').filter(|&byte| byte != b'\t').chain([0x7f]) {
        for text in [
            [POST.as_bytes(), b"X: a", &[byte], b"b\r\n\r\n"].concat(),
            [POST.as_bytes(), b"X: ", &[byte], b"\r\n\r\n"].concat(),
            [POST.as_bytes(), b"X: 0123456789abcdef0123456789abcdef", &[byte], b"\r\n\r\n"]
                .concat(),
        ] {
            // `X: \n` followed by `\r\n\r\n` is the end of a head with a bare line feed in it.
            check(text, 400);
        }
    }
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric()) {
        if !b"!#$%&'*+-.^_`|~:".contains(&byte) {
            check([POST.as_bytes(), b"X", &[byte], b"Y: b\r\n\r\n"].concat(), 400);
            check([POST.as_bytes(), b"X", &[byte], b": b\r\n\r\n"].concat(), 400);
        }
    }
    check(format!("{POST}: b\r\n\r\n"), 400);
    check(format!("{POST}X\r\n\r\n"), 400);
}

#[test]
fn lengths() {
    for length in [
        "",
        "+1",
        "-1",
        "0x1",
        "1_0",
        "1 0",
        "1,1",
        "1, 1",
        "1;",
        "1.0",
        "1e1",
        "\"1\"",
        "a",
        "\u{661}",
        "18446744073709551616",
        "99999999999999999999",
        "184467440737095516150000",
    ] {
        check(format!("{POST}Content-Length: {length}\r\n\r\n"), 400);
    }
    check(format!("{POST}Content-Length: 0\r\ncontent-length: 0\r\n\r\n"), 400);
    check(format!("{POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
    check(format!("{POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    check(format!("{POST}Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\n"), 400);
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    check("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", 400);
}

#[test]
fn codings() {
    for (coding, status) in [
        ("gzip", 400),
        ("identity", 400),
        ("gzip, chunked", 501),
        ("gzip,deflate , chunked", 501),
        ("chunked, gzip", 400),
        ("chunked, chunked", 400),
        ("chunked,", 400),
        (",chunked", 400),
        ("chunked;q=1", 400),
        ("chunked chunked", 400),
        ("\"chunked\"", 400),
        ("'chunked'", 400),
        ("", 400),
    ] {
        check(format!("{POST}Transfer-Encoding: {coding}\r\n\r\n"), status);
    }
    check(format!("{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), 400);
    check(format!("{POST}Expect: 200-ok\r\n\r\n"), 417);
    check(format!("{POST}Expect: 100-continue, x\r\n\r\n"), 417);
    check(format!("{POST}Expect: 100-continue\r\nExpect: x\r\n\r\n"), 417);
}

#[test]
fn limits_hold_before_the_head_is_complete() {
    let limits =
        Limits { max_head_bytes: 200, max_headers: 3, max_uri_bytes: 50, ..Limits::default() };
    let long = "a".repeat(51);
    check_with(format!("GET /{}", &long[..50]).as_bytes(), 414, &limits);
    check_with(format!("GET http://a/{long} HTTP/1.1\r\n").as_bytes(), 414, &limits);
    check_with(format!("GET /?{long} HTTP/1.1\r\n").as_bytes(), 414, &limits);
    check_with(format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(200)).as_bytes(), 431, &limits);
    check_with(b"GET / HTTP/1.1\r\nHost: a\r\nb:\r\nc:\r\nd:\r\n", 431, &limits);
    let wide = Limits { max_uri_bytes: 1000, ..limits };
    check_with(format!("GET /{}", "a".repeat(200)).as_bytes(), 414, &wide);

    // A limit above what offsets can express is read as that.
    let huge = Limits { max_head_bytes: usize::MAX, ..Limits::default() };
    let head = format!("{POST}X: {}\r\n\r\n", "a".repeat(70_000));
    let refusal = parse_head(head.as_bytes(), &huge).map(|_| ()).unwrap_err();
    assert_eq!(refusal.status.as_u16(), 431);
}

#[test]
fn a_head_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    for length in [198, 199, 200, 201, 202] {
        let filler = "a".repeat(length - "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len());
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {filler}\r\n\r\n");
        assert_eq!(text.len(), length);
        let limits = Limits { max_head_bytes: 200, ..Limits::default() };
        let fits = matches!(parse_head(text.as_bytes(), &limits), Ok(Some(_)));
        assert_eq!(fits, length <= 200, "{length}");
        // Whether the empty line before it was sent must not change the answer.
        let late = format!("\r\n{text}");
        let fits = matches!(parse_head(late.as_bytes(), &limits), Ok(Some(_)));
        assert_eq!(fits, length <= 200, "{length}");
    }
}
