//! `redis://user:password@host:port/database` and its relatives -> where the servers are.

use std::path::PathBuf;

use super::redis::{RedisAddress, RedisLogin, RedisServers};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// What a URL says.
#[derive(Debug, Clone)]
pub(super) struct RedisUrl {
    pub(super) servers: RedisServers,
    pub(super) is_encrypted: bool,
    pub(super) login: RedisLogin,
    pub(super) database: Option<u32>,
}

/// Reads one; the message of a refusal never repeats the text, which may hold a password.
pub(super) fn read(text: &str) -> Result<RedisUrl, String> {
    let takes = "it takes redis://HOST:PORT, rediss://HOST:PORT (encrypted), unix:///PATH or \
                 redis+sentinel://HOST:PORT,HOST:PORT/MASTER";
    let Some((scheme, rest)) = text.split_once("://") else { return Err(takes.to_owned()) };
    let (scheme, is_sentinel) = match scheme.strip_suffix("+sentinel") {
        Some(scheme) => (scheme, true),
        None => (scheme, false),
    };
    let is_encrypted = match scheme {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        "unix" | "redis+unix" if !is_sentinel => return read_unix(rest),
        _ => return Err(takes.to_owned()),
    };
    if rest.contains(['?', '#']) {
        return Err(format!("{takes}; the rest has keys of its own in this section"));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = read_login(authority)?;
    if is_sentinel {
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Err(
                "the name of the master is missing: redis+sentinel://HOST/MASTER".to_owned()
            );
        }
        let sentinels = addresses(hosts, SENTINEL_PORT)?;
        let servers = RedisServers::Sentinel { sentinels, master_name: decoded(master)? };
        return Ok(RedisUrl { servers, is_encrypted, login, database: read_database(database)? });
    }
    let servers = RedisServers::Single(address(hosts, PORT)?);
    Ok(RedisUrl { servers, is_encrypted, login, database: read_database(path)? })
}

fn read_unix(rest: &str) -> Result<RedisUrl, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') {
        return Err("a unix socket has an absolute path: unix:///run/redis.sock".to_owned());
    }
    let database = match query.split_once('=') {
        None if query.is_empty() => None,
        Some(("db", number)) => read_database(number)?,
        _ => return Err("after the path of a unix socket only ?db=NUMBER may stand".to_owned()),
    };
    let servers = RedisServers::Single(RedisAddress::Unix(PathBuf::from(decoded(path)?)));
    Ok(RedisUrl { servers, is_encrypted: false, login: RedisLogin::default(), database })
}

fn read_login(authority: &str) -> Result<(RedisLogin, &str), String> {
    let Some((login, hosts)) = authority.rsplit_once('@') else {
        return Ok((RedisLogin::default(), authority));
    };
    if login.contains('@') {
        return Err("write %40 for an @ in the user or password".to_owned());
    }
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let given = |text: &str| -> Result<Option<String>, String> {
        if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
    };
    Ok((RedisLogin { username: given(user)?, password: given(password)? }, hosts))
}

fn read_database(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().map_err(|_| "the database is a number: redis://HOST/0".to_owned())?;
    Ok(Some(number))
}

/// A comma list of hosts with ports.
pub(super) fn addresses(list: &str, port: u16) -> Result<Vec<RedisAddress>, String> {
    list.split(',').map(|item| address(item.trim(), port)).collect()
}

/// As [`addresses`], possibly empty, of nodes.
pub(super) fn nodes(list: &str) -> Result<Vec<RedisAddress>, String> {
    if list.is_empty() { Ok(Vec::new()) } else { addresses(list, PORT) }
}

/// As [`addresses`], possibly empty, of sentinels.
pub(super) fn sentinels(list: &str) -> Result<Vec<RedisAddress>, String> {
    if list.is_empty() { Ok(Vec::new()) } else { addresses(list, SENTINEL_PORT) }
}

fn address(text: &str, port: u16) -> Result<RedisAddress, String> {
    let takes =
        || "it takes hosts such as 10.0.0.7:6379, redis.example.org or [::1]:6379".to_owned();
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or_else(takes)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_good) {
        return Err(takes());
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => port,
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("the port is a number from 1 to 65535; {}", takes()))?,
        None => return Err(takes()),
    };
    Ok(RedisAddress::Tcp(host.to_owned(), port))
}

/// Percent-encoded text, since a password may hold any sign.
fn decoded(text: &str) -> Result<String, String> {
    let refused = || "after a % two hexadecimal digits of UTF-8 text must stand".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(refused()) };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| refused())?);
    }
    String::from_utf8(bytes).map_err(|_| refused())
}
