//! The ways to a server: unix sockets, users, databases, the old protocol, encryption.

#![expect(clippy::disallowed_methods, reason = "tests write certificates to files")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{Value, cmd};

use super::server::Server;
use crate::config::{RedisAddress, RedisLogin, RedisServers, RedisTls};
use crate::redis::{Redis, RedisError};
use crate::runtime::spawn;

fn login(username: Option<&str>, password: &str) -> RedisLogin {
    RedisLogin { username: username.map(str::to_owned), password: Some(password.to_owned()) }
}

#[test]
fn a_unix_socket_and_another_database() {
    let server = Server::start_with(&["--unixsocket", "{dir}/socket"]);
    let mut settings = server.settings();
    settings.servers = RedisServers::Single(RedisAddress::Unix(server.directory().join("socket")));
    settings.database = 3;
    let redis = Redis::open(&settings).unwrap();
    redis.ask(cmd("SET").arg("k").arg("v")).unwrap();
    assert_eq!(server.cli(&["-n", "3", "GET", "k"]), "v");
    assert_eq!(server.cli(&["GET", "k"]), "");
    assert!(redis.exclusive().unwrap().ask(&cmd("PING")).is_ok());
}

#[test]
fn passwords_and_users_are_right_or_refused() {
    let server = Server::start_with(&[
        "--requirepass",
        "open",
        "--user",
        "app",
        "on",
        ">sesame",
        "~s:*",
        "+@all",
    ]);
    let open = |login: RedisLogin| {
        let mut settings = server.settings();
        settings.login = login;
        Redis::open(&settings).unwrap()
    };
    let set = |redis: &Redis, key: &str| redis.ask(cmd("SET").arg(key).arg("v"));
    assert_eq!(set(&open(login(None, "open")), "any"), Ok(Value::Okay));
    let app = open(login(Some("app"), "sesame"));
    assert_eq!(set(&app, "s:1"), Ok(Value::Okay));
    assert!(matches!(set(&app, "other"), Err(RedisError::Refused(_))));
    for wrong in [login(None, "wrong"), login(Some("app"), "wrong"), RedisLogin::default()] {
        let outcome = set(&open(wrong.clone()), "s:1");
        assert!(matches!(outcome, Err(RedisError::Refused(_))), "{wrong:?}: {outcome:?}");
        assert!(!format!("{wrong:?}{outcome:?}").contains("sesame"));
    }
}

#[test]
fn a_server_without_the_new_greeting_is_greeted_in_the_old_one() {
    let server = Server::start_with(&["--rename-command", "HELLO", "", "--requirepass", "open"]);
    let mut settings = server.settings();
    settings.login = login(None, "open");
    let redis = Redis::open(&settings).unwrap();
    assert_eq!(redis.ask(cmd("GET").arg("none")), Ok(Value::Nil));
    settings.login = login(None, "wrong");
    let refused = Redis::open(&settings).unwrap().ask(&cmd("PING"));
    assert!(matches!(refused, Err(RedisError::Refused(_))), "{refused:?}");
}

/// An authority, and certificates of its making.
pub(super) struct Papers {
    directory: PathBuf,
}

impl Papers {
    fn make(directory: &Path) -> Self {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
        // Of another name than its certificates, or they would look signed by themselves.
        authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = authority.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        std::fs::write(directory.join("ca.pem"), root.pem()).unwrap();
        for name in ["localhost", "elsewhere.test"] {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { directory: directory.to_owned() }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A server that speaks TLS with the certificate of `name` on the port that is given too.
pub(super) fn encrypted_server(name: &str) -> (Server, Papers, u16) {
    let port = super::server::free_port();
    let mut server = Server::prepare(&[]);
    let papers = Papers::make(server.directory());
    let file = |name: String| papers.file(&name).display().to_string();
    server.add_arguments(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file(format!("{name}.pem")),
        "--tls-key-file",
        &file(format!("{name}.key")),
        "--tls-ca-cert-file",
        &file("ca.pem".to_owned()),
    ]);
    server.launch_and_wait();
    (server, papers, port)
}

#[test]
fn encryption_with_a_certificate_of_ours_on_every_kind_of_connection() {
    let (server, papers, port) = encrypted_server("localhost");
    let mut settings = server.settings();
    settings.servers = RedisServers::Single(RedisAddress::Tcp("localhost".to_owned(), port));
    settings.command_timeout = Duration::from_secs(10);
    settings.tls = Some(RedisTls { ca: Some(papers.file("ca.pem")), identity: None });
    let outcome = Redis::open(&settings).unwrap().ask(&cmd("PING"));
    assert!(outcome.is_err(), "the server wants to see a certificate: {outcome:?}");
    let identity = Some((papers.file("localhost.pem"), papers.file("localhost.key")));
    settings.tls = Some(RedisTls { ca: Some(papers.file("ca.pem")), identity });
    let redis = Redis::open(&settings).unwrap();
    let large = vec![b'x'; 3_000_000];
    let children: Vec<_> = (0..32)
        .map(|number| {
            let (redis, large) = (redis.clone(), large.clone());
            spawn(move || {
                for round in 0..50 {
                    let mine = format!("{number}-{round}").into_bytes();
                    assert_eq!(redis.ask(cmd("ECHO").arg(&mine)), Ok(Value::BulkString(mine)));
                }
                if number < 2 {
                    redis.ask(cmd("SET").arg(number).arg(&large)).unwrap();
                    assert_eq!(redis.ask(cmd("GET").arg(number)), Ok(Value::BulkString(large)));
                }
            })
            .unwrap()
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
    assert!(redis.exclusive().unwrap().ask(&cmd("PING")).is_ok());
}

#[test]
fn a_certificate_for_another_name_or_of_another_authority_is_refused() {
    let (server, papers, port) = encrypted_server("elsewhere.test");
    let mut settings = server.settings();
    settings.servers = RedisServers::Single(RedisAddress::Tcp("localhost".to_owned(), port));
    settings.tls = Some(RedisTls { ca: Some(papers.file("ca.pem")), identity: None });
    let outcome = Redis::open(&settings).unwrap().ask(&cmd("PING"));
    let Err(RedisError::Down(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("certificate"), "{why}");
    let elsewhere = Server::prepare(&[]);
    let other = Papers::make(elsewhere.directory());
    settings.tls = Some(RedisTls { ca: Some(other.file("ca.pem")), identity: None });
    let outcome = Redis::open(&settings).unwrap().ask(&cmd("PING"));
    let Err(RedisError::Down(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("certificate"), "{why}");
    settings.tls = Some(RedisTls { ca: Some(papers.file("none.pem")), identity: None });
    assert!(Redis::open(&settings).is_err(), "a file that is not there stops the start");
}
