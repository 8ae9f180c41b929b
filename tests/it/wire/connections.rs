//! How long a connection lives, and what follows what on it.

use super::ground;
use crate::support::{check, check_split};

#[test]
fn http_1_1_goes_on_unless_somebody_says_close() {
    let server = ground();
    check_split(&server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200 home\nopen");
    for connection in ["close", "Close", "keep-alive, close", "close, keep-alive", "foo , close"] {
        let input = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
        check(&server, input, "200 home\nclosed");
    }
    let twice = "GET / HTTP/1.1\r\nHost: x\r\nConnection: foo\r\nConnection: close\r\n\r\n";
    check(&server, twice, "200 home\nclosed");
    let names_only = "GET / HTTP/1.1\r\nHost: x\r\nConnection: closer\r\n\r\n";
    check(&server, names_only, "200 home\nopen");
}

#[test]
fn http_1_0_closes_unless_it_asks_to_go_on() {
    let server = ground();
    check_split(&server, "GET / HTTP/1.0\r\n\r\n", "200 home\nclosed");
    check_split(&server, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200 home\nopen");
    let both = "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n";
    check(&server, both, "200 home\nclosed");
}

#[test]
fn a_later_minor_version_is_taken_for_1_1() {
    let server = ground();
    check(&server, "GET / HTTP/1.2\r\nHost: x\r\n\r\n", "200 home\nopen");
    check(&server, "GET / HTTP/1.9\r\n\r\n", "400 missing Host\nclosed");
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let server = ground();
    let mut wire = server.connect();
    let mut all = Vec::new();
    for number in 0..100 {
        all.extend(format!("GET /where/{number} HTTP/1.1\r\nHost: x\r\n\r\n").bytes());
    }
    wire.send(all);
    for number in 0..100 {
        assert_eq!(wire.answer().text(), format!("/where/{number} [{number}]  x"));
    }
    let mut all = Vec::new();
    for number in 0..100 {
        let body = "x".repeat(number);
        all.extend(
            match number % 4 {
                0 => format!(
                    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {number}\r\n\r\n{body}"
                ),
                1 => format!(
                    "PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                 1\r\nx\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                    number - 1,
                    "x".repeat(number - 1)
                )
                .replace("0\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
                2 => format!(
                    "POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: {number}\r\n\r\n{body}"
                ),
                _ => format!("GET /where/{number} HTTP/1.1\r\nHost: x\r\n\r\n"),
            }
            .bytes(),
        );
    }
    wire.send(all);
    for number in 0..100 {
        let expected = match number % 4 {
            0 | 1 => "x".repeat(number),
            2 => "ignored".to_owned(),
            _ => format!("/where/{number} [{number}]  x"),
        };
        assert_eq!(wire.answer().text(), expected, "request {number}");
    }
}

#[test]
fn a_connection_serves_as_many_requests_as_it_may() {
    let server = super::ground_with("[server]\nmax_requests_per_connection = 3\n");
    let one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    check(&server, one.repeat(2), "200 home\n200 home\nopen");
    check(&server, one.repeat(5), "200 home\n200 home\n200 home\nclosed");
}

#[test]
fn an_empty_line_before_a_request_is_passed_over() {
    let server = ground();
    check_split(&server, "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "200 home\nopen");
    check(&server, "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "400 malformed method\nclosed");
}

#[test]
fn a_client_that_half_closes_gets_its_answers() {
    let server = ground();
    let mut wire = server.connect();
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
    wire.finish_sending();
    for _ in 0..3 {
        assert_eq!(wire.answer().text(), "home");
    }
    wire.expect_end();
    server.expect_no_connections();
}
