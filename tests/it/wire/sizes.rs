//! Heads and bodies that are too large: 431 and 413, and what fits just so.

use super::ground_with;
use crate::support::{check, check_split};

#[test]
fn a_head_of_too_many_bytes_is_431() {
    let server = ground_with("[limits]\nhead = 1K\nuri = 512\n");
    let of_length = |length: usize| {
        let start = "GET / HTTP/1.1\r\nHost: x\r\nPad: ";
        format!("{start}{}\r\n\r\n", "p".repeat(length - start.len() - 4))
    };
    check_split(&server, of_length(1024), "200 home\nopen");
    for length in [1025, 1026, 1027, 1028, 1029, 2000, 100_000] {
        check(&server, of_length(length), "431 the request head is too long\nclosed");
    }
    // Also while the end is still out of sight.
    let endless = "GET / HTTP/1.1\r\nHost: x\r\nPad: ".to_owned() + &"p".repeat(5000);
    let mut wire = server.connect();
    wire.send(endless);
    assert_eq!(wire.answer().status, 431);
    wire.expect_end();
}

#[test]
fn too_many_headers_are_431() {
    for limit in [5, 24, 25, 40] {
        let server = ground_with(&format!("[limits]\nheaders = {limit}\n"));
        let of_count = |count: usize| {
            let more = (1..count).map(|number| format!("X-{number}: 1\r\n")).collect::<String>();
            format!("GET / HTTP/1.1\r\nHost: x\r\n{more}\r\n")
        };
        check(&server, of_count(limit), "200 home\nopen");
        check(&server, of_count(limit + 1), "431 too many headers\nclosed");
    }
}

#[test]
fn a_body_beyond_the_limit_is_413() {
    let server = ground_with("[limits]\nbody = 100\n");
    let plain = |path: &str, length: usize| {
        let body = "b".repeat(length);
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let chunked = |path: &str, length: usize| {
        let half = "b".repeat(length / 2);
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             {0:x}\r\n{half}\r\n{0:x}\r\n{half}\r\n0\r\n\r\n",
            length / 2
        )
    };
    let fits = |length: usize| format!("200 {}\nopen", "b".repeat(length));
    check(&server, plain("/echo", 100), &fits(100));
    check(&server, chunked("/echo", 100), &fits(100));
    check_split(&server, plain("/small", 10), &fits(10));
    check_split(&server, chunked("/small", 10), &fits(10));
    let refused = "413 the body is too large\nclosed";
    for length in [102, 10_000, 1_000_000] {
        check(&server, plain("/echo", length), refused);
        check(&server, chunked("/echo", length), refused);
    }
    check_split(&server, plain("/small", 12), refused);
    check_split(&server, chunked("/small", 12), refused);
    let announced =
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n";
    check(&server, announced, refused);
    let chunk = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                 ffffffffffffffff\r\n";
    check(&server, chunk.to_owned() + &"x".repeat(200), refused);
}

#[test]
fn chunk_lines_and_trailers_are_bounded() {
    let server = ground_with("[limits]\nchunk_line = 16\ntrailers = 20\n");
    let body = |line: &str, trailer: &str| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             {line}\r\nx\r\n0\r\n{trailer}\r\n"
        )
    };
    check(&server, body("1;aaaaaaaaaaaaaa", ""), "200 x\nopen");
    check(&server, body("1;aaaaaaaaaaaaaaa", ""), "400 chunk size line too long\nclosed");
    check(&server, body("1", "Trailer: 123456789\r\n"), "200 x\nopen");
    check(
        &server,
        body("1", "Trailer: 1234567890123\r\n"),
        "431 the trailer section is too long\nclosed",
    );
}
