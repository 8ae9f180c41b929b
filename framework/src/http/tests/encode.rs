//! Response heads, byte for byte.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::http::date::imf_fixdate;
use crate::http::encode::{
    BodyCoding, Encoded, ResponseHead, ResponseHeaders, ResponseLength, encode_head,
};

const DATE: &str = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// One case: status and handler's headers of a response to a request.
#[derive(Clone, Copy)]
struct Case<'a> {
    status: u16,
    headers: &'a [(&'static str, &'static str)],
    length: ResponseLength,
    is_http10: bool,
    is_head_request: bool,
    keep_alive: bool,
}

const PLAIN: Case<'_> = Case {
    status: 200,
    headers: &[],
    length: ResponseLength::Exact(13),
    is_http10: false,
    is_head_request: false,
    keep_alive: true,
};

fn check(case: Case<'_>, expected: &str, body: BodyCoding, keep_alive: bool) {
    let mut headers = HeaderMap::new();
    for &(name, value) in case.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut out = b"before".to_vec();
    let encoded = encode_head(
        &mut out,
        &ResponseHead {
            status: StatusCode::from_u16(case.status).unwrap(),
            headers: ResponseHeaders::Map(&headers),
            length: case.length,
            date: &imf_fixdate(784_111_777),
            is_http10: case.is_http10,
            is_head_request: case.is_head_request,
            keep_alive: case.keep_alive,
        },
    );
    let text = String::from_utf8(out).unwrap();
    let expected = format!("before{}\r\n", expected.replace("DATE\r\n", DATE));
    assert_eq!(text, expected);
    assert_eq!(encoded, Encoded { body, keep_alive });
}

const UNKNOWN: ResponseLength = ResponseLength::Unknown;

#[test]
fn lengths_and_connections() {
    let exact = BodyCoding::Exact(13);
    let ok = "HTTP/1.1 200 OK\r\nDATE\r\n";
    check(PLAIN, &format!("{ok}content-length: 13\r\n"), exact, true);
    let close = Case { keep_alive: false, ..PLAIN };
    check(close, &format!("{ok}content-length: 13\r\nconnection: close\r\n"), exact, false);
    let old = Case { is_http10: true, ..PLAIN };
    check(old, &format!("{ok}content-length: 13\r\nconnection: keep-alive\r\n"), exact, true);
    let stream = Case { length: UNKNOWN, ..PLAIN };
    check(stream, &format!("{ok}transfer-encoding: chunked\r\n"), BodyCoding::Chunked, true);
    let old_stream = Case { length: UNKNOWN, is_http10: true, ..PLAIN };
    check(old_stream, &format!("{ok}connection: close\r\n"), BodyCoding::UntilClose, false);
    for length in [0, 9, 10, 99, 100, 1_000_000, u64::MAX] {
        let case = Case { length: ResponseLength::Exact(length), ..PLAIN };
        let text = format!("{ok}content-length: {length}\r\n");
        check(case, &text, BodyCoding::Exact(length), true);
    }
}

#[test]
fn head_gets_the_head_of_get() {
    let ok = "HTTP/1.1 200 OK\r\nDATE\r\n";
    let head = Case { is_head_request: true, ..PLAIN };
    check(head, &format!("{ok}content-length: 13\r\n"), BodyCoding::None, true);
    let stream = Case { length: UNKNOWN, ..head };
    check(stream, &format!("{ok}transfer-encoding: chunked\r\n"), BodyCoding::None, true);
    // No body follows, so nothing needs the connection to close even without a length.
    let old = Case { is_http10: true, ..stream };
    check(old, &format!("{ok}connection: keep-alive\r\n"), BodyCoding::None, true);
}

#[test]
fn statuses_without_body() {
    let case = |status| Case { status, ..PLAIN };
    check(case(204), "HTTP/1.1 204 No Content\r\nDATE\r\n", BodyCoding::None, true);
    check(case(304), "HTTP/1.1 304 Not Modified\r\nDATE\r\n", BodyCoding::None, true);
    let reset = "HTTP/1.1 205 Reset Content\r\nDATE\r\ncontent-length: 0\r\n";
    check(case(205), reset, BodyCoding::None, true);
    check(case(103), "HTTP/1.1 103 Early Hints\r\n", BodyCoding::None, true);
    for status in [204, 304] {
        let stream = Case { length: UNKNOWN, is_http10: true, keep_alive: false, ..case(status) };
        let name = StatusCode::from_u16(status).unwrap();
        let text = format!("HTTP/1.1 {name}\r\nDATE\r\nconnection: close\r\n");
        check(stream, &text, BodyCoding::None, false);
    }
}

#[test]
fn status_lines() {
    let text = "HTTP/1.1 418 I'm a teapot\r\nDATE\r\ncontent-length: 13\r\n";
    check(Case { status: 418, ..PLAIN }, text, BodyCoding::Exact(13), true);
    let text = "HTTP/1.1 799 \r\nDATE\r\ncontent-length: 13\r\n";
    check(Case { status: 799, ..PLAIN }, text, BodyCoding::Exact(13), true);
}

#[test]
fn framing_is_the_engines_alone() {
    let headers = &[
        ("content-length", "5"),
        ("transfer-encoding", "gzip"),
        ("connection", "x-secret, Keep-Alive"),
        ("date", "never"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("upgrade", "websocket"),
        ("content-type", "text/plain"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ];
    let text = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nset-cookie: a=1\r\n\
                set-cookie: b=2\r\nDATE\r\n\
                content-length: 13\r\n";
    check(Case { headers, ..PLAIN }, text, BodyCoding::Exact(13), true);
    let headers = &[("connection", "foo, Close")];
    let text = "HTTP/1.1 200 OK\r\nDATE\r\ncontent-length: 13\r\nconnection: close\r\n";
    check(Case { headers, ..PLAIN }, text, BodyCoding::Exact(13), false);
}

#[test]
fn upgrades() {
    let headers = &[("upgrade", "websocket"), ("connection", "Upgrade")];
    let text =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nDATE\r\nconnection: upgrade\r\n";
    let case = Case { status: 101, headers, length: UNKNOWN, ..PLAIN };
    check(case, text, BodyCoding::None, true);
    let text = "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nDATE\r\n\
                content-length: 13\r\n\
                connection: upgrade, close\r\n";
    let case = Case { status: 426, headers, keep_alive: false, ..PLAIN };
    check(case, text, BodyCoding::Exact(13), false);
}

/// The types that reach the encoder cannot hold what would end a line: no response splitting.
#[test]
fn no_header_can_end_its_line() {
    for byte in (0..b' ').filter(|&byte| byte != b'\t').chain([0x7f]) {
        assert!(HeaderValue::from_bytes(&[b'a', byte, b'b']).is_err(), "{byte}");
    }
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric()) {
        let name = HeaderName::from_bytes(&[b'a', byte, b'b']);
        assert_eq!(name.is_ok(), b"!#$%&'*+-.^_`|~".contains(&byte), "{byte}");
    }
    assert!(HeaderValue::from_str("x\r\nSet-Cookie: s=1").is_err());
}

#[test]
fn dates() {
    for (unix_secs, text) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_826_154, "Tue, 29 Feb 2000 12:09:14 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        assert_eq!(imf_fixdate(unix_secs).as_slice(), text.as_bytes());
    }
}
