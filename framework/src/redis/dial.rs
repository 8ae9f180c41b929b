//! From an address to a connection that has greeted and logged in. It blocks (names, connecting,
//! encryption), so it runs on plain threads only.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Parser};

use super::error::{Answer, RedisError, sorted};
use super::sentinel::Masters;
use super::stranger::{Overheard, told, told_of_encryption};
use super::tls::TlsSettings;
use super::transport::Transport;
use crate::config::{RedisAddress, RedisLogin, RedisServers, RedisSettings};
use crate::runtime::ClientSocket;

/// How to reach the servers of one `[redis.NAME]`.
#[derive(Debug)]
pub(super) struct Dialer {
    settings: RedisSettings,
    tls: Option<TlsSettings>,
    masters: Arc<Masters>,
}

impl Dialer {
    /// Reads the files that encryption needs; fails if one of them is no good.
    pub(super) fn new(settings: &RedisSettings) -> crate::Result<Self> {
        let tls = TlsSettings::read(settings)?;
        Ok(Self { settings: settings.clone(), tls, masters: Arc::default() })
    }

    pub(super) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// Connects to the one server, or to the master of the moment.
    pub(super) fn dial(&self) -> Result<Transport, RedisError> {
        match &self.settings.servers {
            RedisServers::Single(address) => self.dial_at(address),
            RedisServers::Cluster(nodes) => first_that_works(nodes, |node| self.dial_at(node)),
            RedisServers::Sentinel { .. } => self.dial_master(),
        }
    }

    /// Connects to the server at `address`.
    pub(super) fn dial_at(&self, address: &RedisAddress) -> Result<Transport, RedisError> {
        let transport = self.open(address)?;
        self.introduce(&transport).map_err(|error| at(address, error))?;
        transport.set_deadline(None);
        Ok(transport)
    }

    fn introduce(&self, transport: &Transport) -> Result<(), RedisError> {
        greet(transport, &self.settings.login, &self.settings.name)?;
        if self.settings.database != 0 {
            ask(transport, redis::cmd("SELECT").arg(self.settings.database))?;
        }
        // A server that reads its data has greeted, but answers nothing else.
        match ask(transport, &redis::cmd("PING")) {
            Ok(_) | Err(RedisError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    #[expect(clippy::large_stack_frames, reason = "on a plain thread")]
    pub(super) fn open(&self, address: &RedisAddress) -> Result<Transport, RedisError> {
        let down = |error: io::Error| RedisError::Down(format!("{address}: {}", told(&error)));
        let limit = self.settings.connect_timeout;
        match address {
            RedisAddress::Unix(path) => {
                let socket = ClientSocket::connect_unix(path, limit).map_err(down)?;
                socket.set_deadline(Some(limit));
                Ok(Transport::plain(socket))
            }
            RedisAddress::Tcp(host, port) => {
                let socket = connect_tcp(host, *port, limit).map_err(down)?;
                socket.set_deadline(Some(limit));
                match &self.tls {
                    None => Ok(Transport::plain(socket)),
                    Some(tls) => {
                        let session = tls.connect(host).map_err(down)?;
                        Transport::encrypted(socket, session)
                            .map_err(|error| down(told_of_encryption(error)))
                    }
                }
            }
        }
    }

    pub(super) fn masters(&self) -> &Arc<Masters> {
        &self.masters
    }
}

/// What is down is named by where it should be.
pub(super) fn at(address: &RedisAddress, error: RedisError) -> RedisError {
    match error {
        RedisError::Down(why) => RedisError::Down(format!("{address}: {why}")),
        error => error,
    }
}

/// The first outcome that is good, else the last failure: one dead node says nothing.
fn first_that_works<T>(
    nodes: &[RedisAddress],
    attempt: impl Fn(&RedisAddress) -> Result<T, RedisError>,
) -> Result<T, RedisError> {
    let mut outcome = Err(RedisError::Down("no address is known".to_owned()));
    for node in nodes {
        outcome = attempt(node);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Tries every address of the name, all of them within `limit`.
fn connect_tcp(host: &str, port: u16, limit: Duration) -> io::Result<ClientSocket> {
    let until = Instant::now() + limit;
    let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    for address in addresses {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        outcome = ClientSocket::connect_tcp(address, left);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Says who we are, in the newest protocol that the server knows.
pub(super) fn greet(
    transport: &Transport,
    login: &RedisLogin,
    name: &str,
) -> Result<(), RedisError> {
    let client = client_name(name);
    let mut hello = redis::cmd("HELLO");
    hello.arg(3);
    if let Some(password) = &login.password {
        let user = login.username.as_deref().unwrap_or("default");
        hello.arg("AUTH").arg(user).arg(password);
    }
    hello.arg("SETNAME").arg(&client);
    match ask(transport, &hello) {
        Ok(_) => Ok(()),
        // Redis 5 and some stand-ins know no HELLO; Redis 6 and later may forbid it to a user.
        Err(RedisError::Server(_)) => greet_in_old_words(transport, login, &client),
        // Valkey hides from strangers which commands it has.
        Err(RedisError::Refused(why)) if why.starts_with("NOAUTH") => {
            greet_in_old_words(transport, login, &client)
        }
        Err(error) => Err(error),
    }
}

fn greet_in_old_words(
    transport: &Transport,
    login: &RedisLogin,
    client: &str,
) -> Result<(), RedisError> {
    if let Some(password) = &login.password {
        let mut auth = redis::cmd("AUTH");
        auth.arg(login.username.as_deref()).arg(password);
        ask(transport, &auth).map_err(|error| match error {
            RedisError::Server(why) => RedisError::Refused(why),
            error => error,
        })?;
    }
    // The name is a courtesy to whoever looks at the server.
    match ask(transport, redis::cmd("CLIENT").arg("SETNAME").arg(client)) {
        Ok(_) | Err(RedisError::Server(_) | RedisError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A name without the spaces that redis refuses.
fn client_name(name: &str) -> String {
    let mut text = String::from("maypole");
    let _ = write!(text, "-{name}");
    text.retain(|letter| letter.is_ascii_graphic());
    text
}

/// One command and its answer on a connection that nobody else uses yet: one that fails is down.
pub(super) fn ask(transport: &Transport, command: &Cmd) -> Answer {
    let down = |error: &io::Error| RedisError::Down(told(error));
    transport.write_all(command.get_packed_command()).map_err(|error| down(&error))?;
    let mut incoming = Overheard::new(transport);
    // A fresh parser is right: nothing was asked before whose answer it could lose.
    match Parser::new().parse_value(&mut incoming) {
        Ok(value) => sorted(value),
        Err(_) => Err(RedisError::Down(incoming.told())),
    }
}
