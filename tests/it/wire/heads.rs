//! Response heads byte for byte, and the rules for `Host`.

use super::ground;
use crate::support::{check, check_split, talk};

#[test]
fn a_response_is_these_bytes() {
    let server = ground();
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\
              content-length: 4\r\n\r\nhome";
    assert_eq!(talk(&server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ok);
    let closing = ok.replace("4\r\n\r\n", "4\r\nconnection: close\r\n\r\n");
    assert_eq!(talk(&server, "GET / HTTP/1.0\r\n\r\n"), closing);
    let going_on = ok.replace("4\r\n\r\n", "4\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(talk(&server, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), going_on);
    let refused = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
                   content-length: 13\r\nconnection: close\r\n\r\nmissing Host\n";
    assert_eq!(talk(&server, "GET / HTTP/1.1\r\n\r\n"), refused);
}

#[test]
fn every_final_answer_has_one_date() {
    let server = ground();
    for path in ["/", "/empty", "/unchanged", "/nothing-here"] {
        let mut wire = server.connect();
        let answer = wire.get(path);
        let date = answer.header("date").expect("a date");
        assert_eq!(date.len(), "Sun, 06 Nov 1994 08:49:37 GMT".len(), "{date}");
        assert!(date.ends_with(" GMT"), "{date}");
    }
}

#[test]
fn head_gets_the_head_of_get_and_nothing_else() {
    let server = ground();
    let head = talk(&server, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 4\r\n\r\n"
    );
    check_split(&server, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "200\nopen");
    check(&server, "HEAD /nothing-here HTTP/1.1\r\nHost: x\r\n\r\n", "404\nopen");
    check(&server, "HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n", "405\nopen");
}

#[test]
fn a_head_request_that_is_refused_gets_no_content_either() {
    let server = ground();
    for (request, status) in [
        ("HEAD / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("\r\nHEAD / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("HEAD /%00 HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        ("HEAD / HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported"),
    ] {
        let answer = talk(&server, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.ends_with("connection: close\r\n\r\n"), "{request:?}: {answer}");
        assert!(!answer.contains("content-length: 0"), "as long as to GET: {answer}");
    }
}

#[test]
fn a_status_without_content_has_neither_length_nor_body() {
    let server = ground();
    for (path, status) in [
        ("/empty", "204 No Content"),
        ("/no-content-with-text", "204 No Content"),
        ("/unchanged", "304 Not Modified"),
    ] {
        let text = talk(&server, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let text = text.replace("content-type: text/plain; charset=utf-8\r\n", "");
        assert_eq!(text, format!("HTTP/1.1 {status}\r\n\r\n"), "{path}");
        let number = &status[..3];
        check(
            &server,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
            &format!("{number}\nopen"),
        );
    }
}

#[test]
fn there_is_exactly_one_valid_host() {
    let server = ground();
    let with = |host: &str| format!("GET / HTTP/1.1\r\n{host}\r\n");
    for good in
        ["x", "x:80", "x:", "127.0.0.1:8080", "[::1]", "[::1]:80", "a-b.example", "a_b", "%41"]
    {
        check(&server, with(&format!("Host: {good}\r\n")), "200 home\nopen");
    }
    for bad in [
        "", "a b", "a/b", "a@b", "x:y", "x:65536", "[::1", "::1", "[::g]", "x:1:2", "\"x\"",
        "a\\b", "a?b", "a#b",
    ] {
        check(&server, with(&format!("Host: {bad}\r\n")), "400 invalid Host\nclosed");
    }
    check(&server, with("Host: x\r\nHost: x\r\n"), "400 more than one Host\nclosed");
    check(&server, with("Host: x\r\nhost: y\r\n"), "400 more than one Host\nclosed");
    check(&server, with(""), "400 missing Host\nclosed");
}
