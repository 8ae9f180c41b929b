//! What request smuggling lives on: every ambiguity is refused, and nothing behind it is heard.

use super::ground;
use crate::support::check;

/// Sends a POST with these header lines and this body; the status must be as expected, and the
/// request that follows must not be answered.
#[track_caller]
fn refused(headers: &str, body: &str, status: u16) {
    let server = ground();
    for path in ["/echo", "/ignore", "/nothing-here"] {
        let mut wire = server.connect();
        wire.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}"));
        wire.send("GET /probe HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
        let answer = wire.answer();
        assert_eq!(answer.status, status, "{path} {headers:?} {body:?}: {}", answer.text());
        assert_eq!(answer.header("connection"), Some("close"), "{headers:?}");
        wire.expect_end();
    }
}

const CL: &str = "Content-Length: 5\r\n";
const TE: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn two_framings() {
    for headers in [
        format!("{CL}{TE}"),
        format!("{TE}{CL}"),
        format!("{CL}Foo: bar\r\n{TE}"),
        format!("Content-Length: 0\r\n{TE}"),
        format!("{CL}Transfer-Encoding: identity\r\n"),
    ] {
        refused(&headers, "0\r\n\r\n", 400);
    }
}

#[test]
fn lengths_that_are_no_lengths() {
    for value in [
        "",
        " ",
        "+5",
        "-5",
        "-0",
        "5 ",
        "0x5",
        "5,5",
        "5, 5",
        "5;",
        "5.0",
        "five",
        "5 5",
        "\"5\"",
        "5\t5",
        "18446744073709551616",
        "99999999999999999999999999999",
        "1e1",
        "\u{663}",
        "05\u{b}",
    ] {
        // Spaces around a value belong to no value: these two are good.
        if value == "5 " {
            continue;
        }
        refused(&format!("Content-Length: {value}\r\n"), "hello", 400);
    }
    for pair in ["5|5", "5|6", "0|5", "5|0"] {
        let (first, second) = pair.split_once('|').expect("two");
        let headers = format!("Content-Length: {first}\r\ncontent-length: {second}\r\n");
        refused(&headers, "hello", 400);
    }
}

#[test]
fn codings_that_are_not_exactly_chunked() {
    for (value, status) in [
        ("xchunked", 400),
        ("identity", 400),
        ("gzip", 400),
        ("gzip, chunked", 501),
        ("chunked, gzip", 400),
        ("chunked, chunked", 400),
        ("chunked,", 400),
        (",chunked", 400),
        ("", 400),
        ("chun ked", 400),
        ("chunked;q=1", 400),
        ("\"chunked\"", 400),
        ("'chunked'", 400),
        ("chunked\u{b}", 400),
        ("chunked, identity", 400),
    ] {
        refused(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n", status);
    }
    refused(&format!("{TE}{TE}"), "0\r\n\r\n", 400);
    refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", 400);
    refused("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 501);
}

#[test]
fn header_lines_in_disguise() {
    for headers in [
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Content-Length: 5\r\n",
        "\tTransfer-Encoding: chunked\r\n",
        "Foo: bar\r\n folded\r\n",
        "Foo: bar\r\n\tfolded\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Foo: bar\nContent-Length: 5\r\n",
        "Foo: bar\rContent-Length: 5\r\n",
        "Foo: bar\r\r\nContent-Length: 5\r\n",
        "Foo: a\0b\r\n",
        "Foo\0: b\r\n",
        "Foo: a\u{1}b\r\n",
        "Foo: a\u{7f}b\r\n",
        "Foo\r\n",
        ": bar\r\n",
        "Fo o: bar\r\n",
        "Fo\u{e4}: bar\r\n",
        "Foo;: bar\r\n",
        "(Foo): bar\r\n",
        "\u{b}Content-Length: 5\r\n",
        "Content-Length: 5\n",
    ] {
        refused(headers, "hello", 400);
    }
}

#[test]
fn chunks_that_are_no_chunks() {
    for body in [
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t;a\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nFoo\r\n\r\n",
        "5\r\nhello\r\n0\r\n Foo: a\r\n\r\n",
        "5\r\nhello\r\n0\r\nFoo: a\nBar: b\r\n\r\n",
        "5\r\nhello\r\n0\r\nFoo : a\r\n\r\n",
        "5\r\nhello\r\n0\r\nFoo: a\r\n folded\r\n\r\n",
        "5\r\nhello\r\n0\r\n\rX",
    ] {
        let server = ground();
        let head = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\n{TE}\r\n{body}");
        let mut wire = server.connect();
        wire.send(head("/echo") + &"GET /probe HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{body:?}");
        wire.expect_end();
        // Where the handler answers without reading, the broken rest still ends the connection.
        check(&server, head("/ignore"), "200 ignored\nclosed");
    }
}

#[test]
fn request_lines_in_disguise() {
    let server = ground();
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /\u{a0} HTTP/1.1",
        "GET / HTTP/1.1\r",
        "G\0T / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\u{b}HTTP/1.1",
        "GET",
        "GET /",
        "GET / ",
        "/ HTTP/1.1",
        "GET / HTTP/1.1 HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / FOO HTTP/1.1",
        "HTTP/1.1 200 OK",
    ] {
        let mut wire = server.connect();
        wire.send(format!("{line}\r\nHost: x\r\n\r\n"));
        wire.send("GET /probe HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{line:?}");
        wire.expect_end();
    }
    for bare in [
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\r\n\nHost: x\r\n\r\n",
    ] {
        let mut wire = server.connect();
        wire.send(bare);
        wire.send("GET /probe HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
        assert_eq!(wire.answer().status, 400, "{bare:?}");
        wire.expect_end();
    }
}

#[test]
fn http_1_0_knows_no_transfer_encoding() {
    let server = ground();
    let old = "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(&server, old, "400 Transfer-Encoding in an HTTP/1.0 request\nclosed");
}

#[test]
fn a_body_on_get_is_no_second_request() {
    let server = ground();
    let inner = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for method in ["GET", "OPTIONS", "DELETE", "TRACE", "BREW"] {
        let input = format!(
            "{method} /nothing-here HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        );
        check(&server, input, "404 404 Not Found\nopen");
    }
}
