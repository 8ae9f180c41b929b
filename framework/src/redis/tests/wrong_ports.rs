//! A port where something else answers, or redis in the other way: what is said about it.

#![expect(clippy::disallowed_types, reason = "a listener on a test's own thread")]
#![expect(clippy::disallowed_methods, reason = "tests start threads")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use redis::cmd;

use super::server::{Server, free_port};
use super::ways::encrypted_server;
use crate::config::{RedisAddress, RedisServers, RedisSettings, RedisTls};
use crate::redis::{Redis, RedisError};

fn at(port: u16) -> RedisSettings {
    let address = RedisAddress::Tcp("localhost".to_owned(), port);
    // Only who is told otherwise is in a hurry.
    RedisSettings {
        connect_timeout: Duration::from_secs(20),
        command_timeout: Duration::from_secs(20),
        ..RedisSettings::with_defaults("test", RedisServers::Single(address))
    }
}

/// Why there is no connection, on the shared one and on one of one's own.
fn why_down(settings: &RedisSettings) -> String {
    let redis = Redis::open(settings).unwrap();
    let outcome = redis.ask(&cmd("PING"));
    let Err(RedisError::Down(why)) = outcome else { panic!("{outcome:?}") };
    let outcome = redis.exclusive().map(drop);
    assert_eq!(outcome, Err(RedisError::Down(why.clone())));
    why
}

/// A server that reads something, says `answer` and hangs up.
fn says(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(answer));
        }
    });
    port
}

#[test]
fn what_does_not_speak_redis_is_said_not_to() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
            "what answers there does not speak redis's protocol: it says \"HTTP/..\"",
        ),
        (b"\x15\x03\x01\x00\x02\x02\x46", "what answers there speaks TLS; should it be rediss://?"),
        (
            b"",
            "the server closed the connection and answered nothing (a port for TLS is rediss://)",
        ),
        (b"%7\r\n$6\r\nserv", "the server closed the connection"),
    ] {
        let port = says(answer);
        assert_eq!(why_down(&at(port)), format!("localhost:{port}: {expected}"));
    }
}

#[test]
fn encryption_where_there_is_none_is_told_and_the_other_way_round() {
    let (server, papers, encrypted_port) = encrypted_server("localhost");
    let tls = Some(RedisTls { ca: Some(papers.file("ca.pem")), identity: None });
    let mut settings = at(server.port());
    settings.tls.clone_from(&tls);
    settings.connect_timeout = Duration::from_millis(300);
    settings.command_timeout = Duration::from_secs(2);
    let no_tls = "nothing answers the TLS greeting there; should it be a plain redis://?";
    // A plain redis waits for the end of a line; the greeting is random and may hold one.
    for _ in 0..3 {
        assert_eq!(why_down(&settings), format!("localhost:{}: {no_tls}", server.port()));
    }
    let why = why_down(&at(encrypted_port));
    assert!(why.starts_with(&format!("localhost:{encrypted_port}: ")), "{why}");
    assert!(why.contains("rediss://"), "{why}");
    let port = says(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let mut settings = at(port);
    settings.tls = tls;
    assert_eq!(why_down(&settings), format!("localhost:{port}: {no_tls}"));
}

#[test]
fn a_port_where_nobody_listens_is_said_to_refuse() {
    let port = free_port();
    let why = why_down(&at(port));
    assert!(why.contains("refused") && !why.contains("TLS"), "{why}");
}

#[test]
fn a_server_that_says_nothing_is_late_and_nothing_else() {
    let server = Server::start();
    let mut settings = at(server.port());
    settings.connect_timeout = Duration::from_millis(300);
    server.freeze();
    assert_eq!(why_down(&settings), format!("localhost:{}: it took too long", server.port()));
    server.thaw();
}
