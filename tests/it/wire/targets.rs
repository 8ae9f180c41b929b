//! Request targets: their forms, their decoding, and methods that do not fit.

use super::{ground, ground_with};
use crate::support::{check, check_split};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn a_path_is_decoded_once() {
    let server = ground();
    let cases = [
        ("/where/a?b=c", "/where/a [a] b=c x"),
        ("/where/a%20b", "/where/a b [a b]  x"),
        ("/where/%61", "/where/a [a]  x"),
        ("/where/a+b", "/where/a+b [a+b]  x"),
        ("/where/a%2Fb", "/where/a%2Fb [a/b]  x"),
        ("/where/a%2fb", "/where/a%2Fb [a/b]  x"),
        ("/where/%252e", "/where/%252e [%2e]  x"),
        ("/where/%C3%A4", "/where/\u{e4} [\u{e4}]  x"),
        ("/where/a/./b", "/where/a/b [a/b]  x"),
        ("/where/a/../b", "/where/b [b]  x"),
        ("/../../where/b", "/where/b [b]  x"),
        ("/where/a//b", "/where/a//b [a//b]  x"),
        ("/where/a?x=%2e%2e/?", "/where/a [a] x=%2e%2e/? x"),
    ];
    for (target, expected) in cases {
        check(&server, get(target), &format!("200 {expected}\nopen"));
    }
    check_split(&server, get("/where/%C3%A4/../%2f?q"), "200 /where/%2F [/] q x\nopen");
}

#[test]
fn a_disguised_path_is_refused() {
    let server = ground();
    for target in [
        "/where/%",
        "/where/%4",
        "/where/%zz",
        "/where/%00",
        "/where/%0a",
        "/where/%7f",
        "/where/%ff",
        "/where/%2e%2e/b",
        "/where/.%2e/b",
        "/where/a%5c..",
        "/where/a\\b",
        "/where/..%2fb",
        "/where/%c0%af",
    ] {
        let mut wire = server.connect();
        wire.send(get(target));
        assert_eq!(wire.answer().status, 400, "{target}");
        wire.expect_end();
    }
    for target in ["where", "?", "//", "*", "/a#b", "x:80", "/a<b", "/a\"b"] {
        let mut wire = server.connect();
        wire.send(get(target));
        let status = wire.answer().status;
        assert_eq!(status, if target == "//" { 404 } else { 400 }, "{target}");
    }
}

#[test]
fn an_absolute_target_names_the_host() {
    let server = ground();
    check_split(
        &server,
        get("http://a.example:81/where/b?c"),
        "200 /where/b [b] c a.example:81\nopen",
    );
    check(&server, get("HTTP://a/where/b"), "200 /where/b [b]  a\nopen");
    check(&server, get("http://a"), "200 home\nopen");
    check(&server, get("http://a?q"), "200 home\nopen");
    for target in
        ["http://", "http:///where/b", "http://u@a/", "http://a b/", "ftp://a/", "http:/a"]
    {
        let mut wire = server.connect();
        wire.send(get(target));
        assert_eq!(wire.answer().status, 400, "{target}");
        wire.expect_end();
    }
    let without_host = "GET http://a/ HTTP/1.1\r\n\r\n";
    check(&server, without_host, "400 missing Host\nclosed");
}

#[test]
fn methods_that_do_not_fit_are_told_apart() {
    let server = ground();
    let ask = |method: &str, target: &str| format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    check_split(&server, ask("OPTIONS", "*"), "204\nopen");
    check(&server, ask("OPTIONS", "/nothing-here"), "404 404 Not Found\nopen");
    check(&server, ask("DELETE", "/"), "405 405 Method Not Allowed\nopen");
    check(&server, ask("TRACE", "/"), "405 405 Method Not Allowed\nopen");
    check(&server, ask("BREW", "/"), "501 501 Not Implemented\nopen");
    check(&server, ask("get", "/"), "501 501 Not Implemented\nopen");
    check(&server, ask("BREW", "/nothing-here"), "404 404 Not Found\nopen");
    check(&server, ask("CONNECT", "x:80"), "501 CONNECT is not implemented\nclosed");
    for (method, status) in [("OPTIONS", 204), ("PATCH", 405)] {
        let mut wire = server.connect();
        wire.send(ask(method, "/echo"));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("allow")), (status, Some("OPTIONS, POST, PUT")));
    }
    let mut wire = server.connect();
    wire.send(ask("POST", "/"));
    assert_eq!(wire.answer().header("allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn another_version_of_http_is_refused() {
    let server = ground();
    let cases = [
        ("HTTP/2.0", "505"),
        ("HTTP/3.0", "505"),
        ("HTTP/0.9", "505"),
        ("HTTP/9.9", "505"),
        ("http/1.1", "400"),
        ("HTTP/1", "400"),
        ("HTTP/1.10", "400"),
        ("HTTP/11", "400"),
        ("HTTP/1.x", "400"),
        ("HTTPS/1.1", "400"),
        ("HTTP/ 1.1", "400"),
        ("HTTP/1.1 ", "400"),
    ];
    for (version, status) in cases {
        let mut wire = server.connect();
        wire.send(format!("GET / {version}\r\nHost: x\r\n\r\n"));
        assert_eq!(wire.answer().status.to_string(), status, "{version}");
        wire.expect_end();
    }
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut wire = server.connect();
    wire.send(preface);
    assert_eq!(wire.answer().status, 505);
    check(&server, "GET /\r\n", "400 request line without version\nclosed");
}

#[test]
fn a_long_target_is_414_and_a_longer_one_too() {
    let server = ground_with("[limits]\nuri = 64\n");
    let fits = format!("/where/{}", "a".repeat(57));
    assert_eq!(fits.len(), 64);
    check(&server, get(&fits), &format!("200 {fits} [{}]  x\nopen", "a".repeat(57)));
    for more in [1, 1000, 100_000] {
        let target = format!("{fits}{}", "a".repeat(more));
        check(&server, get(&target), "414 the request target is too long\nclosed");
    }
    check(
        &server,
        get(&format!("/?{}", "q".repeat(63))),
        "414 the request target is too long\nclosed",
    );
}
