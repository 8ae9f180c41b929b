//! `[redis.NAME]`: where a redis is and how to talk to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Origin;

/// `[redis.NAME]`: one redis, be it a single server, one found by sentinels, or a cluster.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// The section's own name: `default` for `[redis.default]`.
    pub name: String,
    /// Where the servers are.
    pub servers: RedisServers,
    /// How connections are encrypted; `None` for plain ones.
    pub tls: Option<RedisTls>,
    /// The user and password of the servers.
    pub login: RedisLogin,
    /// The user and password of the sentinels.
    pub sentinel_login: RedisLogin,
    /// The number of the database, 0 in a cluster.
    pub database: u32,
    /// Connections that ordinary commands share at most, to one server: one a worker.
    pub shared_connections: usize,
    /// Exclusive connections at most.
    pub pool_size: u32,
    /// Time to connect, encryption and greeting included.
    pub connect_timeout: Duration,
    /// Time for an answer, and for a free exclusive connection.
    pub command_timeout: Duration,
    /// Commands that may wait for their answers on one connection.
    pub queue: usize,
    /// The longest pause between two attempts to connect.
    pub reconnect_max: Duration,
    pub(crate) places: RedisPlaces,
}

/// Where the keys of a `[redis.NAME]` were written, for what only its server or its files can tell.
#[derive(Debug, Clone, Default, Eq)]
pub(crate) struct RedisPlaces {
    /// The file of the settings, if there is one.
    pub(super) file: Option<String>,
    pub(super) written: Vec<(&'static str, Origin)>,
}

/// Settings are what they say, wherever they say it.
impl PartialEq for RedisPlaces {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Where the servers of a `[redis.NAME]` are.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisServers {
    /// One server.
    Single(RedisAddress),
    /// The master that these sentinels name.
    Sentinel {
        /// Where sentinels listen.
        sentinels: Vec<RedisAddress>,
        /// What they call the master.
        master_name: String,
    },
    /// A cluster that has these nodes among others.
    Cluster(Vec<RedisAddress>),
}

/// The address of one server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RedisAddress {
    /// A host name or address, and a port.
    Tcp(String, u16),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Who to say one is. The password is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RedisLogin {
    /// The user; `None` for the default one.
    pub username: Option<String>,
    /// The password; `None` to say nothing.
    pub password: Option<String>,
}

impl fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "***");
        f.debug_struct("RedisLogin")
            .field("username", &self.username)
            .field("password", &password)
            .finish()
    }
}

/// How connections to a redis are encrypted. The server's certificate is always checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisTls {
    /// PEM file of the authorities to believe; `None` for those of the system.
    pub ca: Option<PathBuf>,
    /// PEM file of the certificate to show, and its key; `None` to show none.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl RedisSettings {
    /// Where the first of `keys` that somebody wrote is written, else where the last would be:
    /// `config.ini:3: [redis.default] url`. For errors and warnings of the start.
    pub(crate) fn place(&self, keys: &[&'static str]) -> String {
        let RedisPlaces { file, written } = &self.places;
        let find = |key: &&str| written.iter().find(|(name, _)| name == key);
        let (key, origin) = match keys.iter().find_map(find) {
            Some((key, origin)) => (*key, Some(origin.to_string())),
            None => (keys.last().copied().unwrap_or_default(), file.clone()),
        };
        let origin = origin.map(|origin| format!("{origin}: ")).unwrap_or_default();
        format!("{origin}[redis.{}] {key}", self.name)
    }

    /// [`place`](Self::place) of what says where the servers are.
    pub(crate) fn place_of_servers(&self) -> String {
        self.place(&["nodes", "sentinels", "url"])
    }

    /// The settings of a `[redis.NAME]` with nothing written in it but the servers.
    #[cfg(test)]
    pub(crate) fn with_defaults(name: &str, servers: RedisServers) -> Self {
        Self {
            name: name.to_owned(),
            servers,
            tls: None,
            login: RedisLogin::default(),
            sentinel_login: RedisLogin::default(),
            database: 0,
            shared_connections: 4,
            pool_size: 8,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_secs(1),
            queue: 10_000,
            reconnect_max: Duration::from_millis(500),
            places: RedisPlaces::default(),
        }
    }
}
