//! What no key can tell alone: combinations that are unsafe, or that cannot be meant.

use super::error::ConfigError;
use super::suggest::did_you_mean;
use super::value::write_duration;
use super::{Config, CookieSecure, Origin, SameSite};

/// Base64url of a 32-byte session id.
const SESSION_ID_BYTES: usize = 43;
/// Of a second cookie, whose name is longer by `-next`.
const SUFFIX_BYTES: usize = 5;
/// Browsers drop a cookie whose name and value are longer together.
const MAX_COOKIE_BYTES: usize = 4096;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    check_production(config)?;
    check_cookie(config)?;
    check_cookie_prefix(config)?;
    check_lifetimes(config)?;
    check_redis(config)?;
    check_sizes(config)
}

fn check_redis(config: &Config) -> Result<(), ConfigError> {
    let name = &config.session.redis_connection_pool;
    if config.redis(name).is_some() {
        return Ok(());
    }
    let known: Vec<_> = config.redis.iter().map(|settings| settings.name.as_str()).collect();
    let hint = did_you_mean(name, known.iter().copied());
    let message = format!(
        "redis_connection_pool = {name:?}: there is no section [redis.{name}]; there is {}{hint}",
        known.join(", ")
    );
    Err(config.error("session", "redis_connection_pool", message))
}

fn check_production(config: &Config) -> Result<(), ConfigError> {
    if !config.is_production() {
        return Ok(());
    }
    if config.app.name == "maypole" {
        return Err(config.error(
            "app",
            "name",
            "production needs a name of its own, such as name = shop; apps of one name that share \
             a host, a directory or a redis accept each other's sessions",
        ));
    }
    if config.cookie.secure == CookieSecure::Auto && config.server.trusted_proxies.is_empty() {
        return Err(config.error(
            "cookie",
            "secure",
            "production without TLS or [server] trusted_proxies: write secure = true if something \
             in front speaks HTTPS, or secure = false to send sessions over plain HTTP",
        ));
    }
    Ok(())
}

fn check_cookie(config: &Config) -> Result<(), ConfigError> {
    let secure = config.cookie_secure();
    if config.cookie.same_site == SameSite::None && !secure {
        let message =
            "same_site = none needs Secure cookies, or browsers drop them; write secure = true";
        return Err(blame(config, &[("cookie", "same_site")], message));
    }
    if config.cookie.partitioned && !secure {
        let message =
            "partitioned = true needs Secure cookies, or browsers drop them; write secure = true";
        return Err(blame(config, &[("cookie", "partitioned")], message));
    }
    let name_bytes = config.session_cookie_name().len();
    if name_bytes + SUFFIX_BYTES + SESSION_ID_BYTES > MAX_COOKIE_BYTES {
        let message = format!(
            "cookie_name has {name_bytes} bytes; with the session id it must stay within \
             {MAX_COOKIE_BYTES}"
        );
        return Err(config.error("session", "cookie_name", message));
    }
    Ok(())
}

/// Browsers drop a cookie whose name promises what its attributes do not keep. They compare the
/// prefixes without regard to case.
fn check_cookie_prefix(config: &Config) -> Result<(), ConfigError> {
    let name = config.session_cookie_name();
    let has = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_host = has("__Host-");
    let is_http = has("__Http-") || has("__Host-Http-");
    let promise = |what: &str| format!("the cookie name {name:?} {what}");
    if (is_host || is_http || has("__Secure-")) && !config.cookie_secure() {
        let message = promise("is only accepted with Secure; write [cookie] secure = true");
        return Err(blame(config, &[("session", "cookie_name"), ("cookie", "secure")], &message));
    }
    if is_host && config.cookie.domain.is_some() {
        let message =
            promise("is only accepted without a Domain; leave domain empty or choose a name");
        return Err(blame(config, &[("cookie", "domain")], &message));
    }
    if is_host && config.cookie.path != "/" {
        let message = promise("is only accepted with path = /; choose another path or name");
        return Err(blame(config, &[("cookie", "path")], &message));
    }
    if is_http && !config.cookie.http_only {
        let message = promise("is only accepted with http_only = true");
        return Err(blame(config, &[("cookie", "http_only")], &message));
    }
    Ok(())
}

fn check_lifetimes(config: &Config) -> Result<(), ConfigError> {
    let session = &config.session;
    let (idle, absolute) = (session.idle_timeout, session.absolute_timeout);
    let written = |value| write_duration(value);
    // What nobody wrote follows what somebody did: only two written values can disagree.
    let is_written = |key: &str| config.is_written("session", key);
    let wrote_idle = is_written("idle_timeout") || is_written("cookie_lifespan");
    if idle > absolute && wrote_idle && is_written("absolute_timeout") {
        let message = format!(
            "the idle timeout of {} is longer than absolute_timeout = {}",
            written(idle),
            written(absolute)
        );
        let keys = [
            ("session", "idle_timeout"),
            ("session", "cookie_lifespan"),
            ("session", "absolute_timeout"),
        ];
        return Err(blame(config, &keys, &message));
    }
    let (remembered, absolute) = (session.remember_idle_timeout, session.remember_absolute_timeout);
    let wrote_both = is_written("remember_idle_timeout") && is_written("remember_absolute_timeout");
    if remembered > absolute && wrote_both {
        let message = format!(
            "remember_idle_timeout = {} is longer than remember_absolute_timeout = {}",
            written(remembered),
            written(absolute)
        );
        let keys = [("session", "remember_idle_timeout"), ("session", "remember_absolute_timeout")];
        return Err(blame(config, &keys, &message));
    }
    for (key, value) in [
        ("touch_every", session.touch_every),
        ("rotate_grace", session.rotate_grace),
        ("first_lifetime", session.first_lifetime.unwrap_or_default()),
    ] {
        // A session in use must not expire between two touches, nor an old id outlive its session.
        let is_good = if key == "first_lifetime" { value <= idle } else { value < idle };
        if !is_good && is_written(key) {
            let message = format!(
                "{key} = {} must be shorter than the idle timeout of {}",
                written(value),
                written(idle)
            );
            return Err(blame(config, &[("session", key), ("session", "idle_timeout")], &message));
        }
    }
    Ok(())
}

fn check_sizes(config: &Config) -> Result<(), ConfigError> {
    let limits = &config.limits;
    if limits.uri > limits.head {
        let message = "uri is larger than head, which contains it";
        return Err(blame(config, &[("limits", "uri"), ("limits", "head")], message));
    }
    if config.session.max_session_bytes as u64 > config.session.max_total_bytes {
        let message = "max_session_bytes is larger than max_total_bytes";
        let keys = [("session", "max_session_bytes"), ("session", "max_total_bytes")];
        return Err(blame(config, &keys, message));
    }
    Ok(())
}

/// An error at the first of `keys` that somebody wrote, since a default is nobody's mistake.
fn blame(config: &Config, keys: &[(&str, &str)], message: &str) -> ConfigError {
    let is_written = |(section, key): &&(&str, &str)| {
        config.setting(section, key).is_some_and(|setting| setting.origin != Origin::Default)
    };
    let guilty = keys.iter().find(is_written).or(keys.first());
    let (section, key) = guilty.copied().unwrap_or(("", ""));
    config.error(section, key, message)
}
