//! The keys of a `[redis.NAME]`; part of the table of keys.

use std::path::PathBuf;
use std::time::Duration;

use super::keys::is_short_name;
use super::reader::{Keys, Outcome};
use super::redis::{RedisLogin, RedisPlaces, RedisServers, RedisSettings, RedisTls};
use super::redis_url::{self, RedisUrl};
use super::value::{HOUR, MINUTE, count, duration, flag, optional, text_that};

const SHORTEST: Duration = Duration::from_millis(10);

/// Whether `[redis.NAME]` may be called so.
pub(super) fn is_redis_name(name: &str) -> bool {
    is_short_name(name) && !name.contains('.')
}

#[expect(clippy::large_stack_frames, reason = "at start, on a plain thread")]
pub(super) fn redis(keys: &mut Keys<'_>, name: &str) -> Outcome<RedisSettings> {
    keys.section(format!("redis.{name}"));
    let url = keys.read("url", "redis://127.0.0.1:6379", redis_url::read)?;
    let login = login(keys, "username", "password")?;
    let database = database(keys, &url)?;
    let servers = servers(keys, &url, database)?;
    let sentinel_login = self::login(keys, "sentinel_username", "sentinel_password")?;
    let tls = tls(keys, url.is_encrypted)?;
    Ok(RedisSettings {
        name: name.to_owned(),
        servers,
        tls,
        login: RedisLogin {
            username: login.username.or(url.login.username),
            password: login.password.or(url.login.password),
        },
        sentinel_login,
        database,
        shared_connections: keys.read("shared_connections", "4", count(1..=64))?,
        pool_size: keys.read("pool_size", "8", count(1..=1000))?,
        connect_timeout: keys.read("connect_timeout", "1s", duration(SHORTEST..=MINUTE))?,
        command_timeout: keys.read("command_timeout", "1s", duration(SHORTEST..=HOUR))?,
        queue: keys.read("queue", "10000", count(1..=10_000_000))?,
        reconnect_max: keys.read("reconnect_max", "500ms", duration(SHORTEST..=MINUTE))?,
        places: RedisPlaces { file: keys.file(), written: keys.written() },
    })
}

fn login(
    keys: &mut Keys<'_>,
    username: &'static str,
    password: &'static str,
) -> Outcome<RedisLogin> {
    let word = || optional(text_that("a word", |_| true));
    Ok(RedisLogin {
        username: keys.read(username, "", word())?,
        password: keys.read(password, "", word())?,
    })
}

fn database(keys: &mut Keys<'_>, url: &RedisUrl) -> Outcome<u32> {
    let written = keys.read("database", "", optional(count(0..=1_000_000)))?;
    let database = written.or(url.database).unwrap_or(0);
    keys.becomes(&database.to_string());
    Ok(database)
}

fn servers(keys: &mut Keys<'_>, url: &RedisUrl, database: u32) -> Outcome<RedisServers> {
    let sentinels = keys.read("sentinels", "", redis_url::sentinels)?;
    let lacks_master = !sentinels.is_empty();
    let master_name = keys.read(
        "master_name",
        "",
        optional(text_that("the name that sentinels use, such as mymaster", is_short_name)),
    )?;
    let named = match (master_name, lacks_master) {
        (Some(master_name), true) => Some(RedisServers::Sentinel { sentinels, master_name }),
        (None, true) => {
            return Err(keys.error("sentinels need a master_name, such as mymaster"));
        }
        (Some(_), false) => return Err(keys.error("master_name needs sentinels = HOST:PORT, ..")),
        (None, false) => None,
    };
    let is_cluster = keys.read("cluster", "false", flag)?;
    let nodes = keys.read("nodes", "", redis_url::nodes)?;
    if !is_cluster {
        return match nodes.is_empty() {
            true => Ok(named.unwrap_or_else(|| url.servers.clone())),
            false => Err(keys.error("nodes are those of a cluster: write cluster = true")),
        };
    }
    if named.is_some() {
        return Err(keys.error("a cluster has no sentinels; leave one of both out"));
    }
    if database != 0 {
        return Err(keys.error("a cluster has no databases but 0"));
    }
    match &url.servers {
        _ if !nodes.is_empty() => Ok(RedisServers::Cluster(nodes)),
        RedisServers::Single(node) => Ok(RedisServers::Cluster(vec![node.clone()])),
        _ => Err(keys.error("a cluster has no sentinels; name its nodes")),
    }
}

fn tls(keys: &mut Keys<'_>, is_encrypted: bool) -> Outcome<Option<RedisTls>> {
    let file = || optional(text_that("a file", |_| true));
    let ca = keys.read("tls_ca", "", file())?.map(PathBuf::from);
    let certificate = keys.read("tls_cert", "", file())?.map(PathBuf::from);
    let key = keys.read("tls_key", "", file())?.map(PathBuf::from);
    let is_written = ca.is_some() || certificate.is_some() || key.is_some();
    if !is_encrypted && is_written {
        return Err(keys.error("tls_ca, tls_cert and tls_key need a url that begins with rediss"));
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(keys.error("tls_cert and tls_key need each other")),
    };
    Ok(is_encrypted.then_some(RedisTls { ca, identity }))
}
