//! The table of keys: name, default and accepted values of each, beside the field it fills.
//!
//! This is the only list. Parsing, unknown-key checks, suggestions, environment names,
//! `config print` and the test of the shipped config.ini all follow from reading it. To add a key
//! or a section, add it here, in `settings` and in config.ini.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Keys, Outcome};
use super::redis_keys::is_redis_name;
use super::settings::{
    AdminSettings, AppSettings, Concurrency, CookieSecure, CookieSettings, Environment,
    FileStoreSettings, Forwarded, Fsync, LimitSettings, LiveSettings, LogFormat, LogSettings,
    RedisStoreSettings, RuntimeSettings, SameSite, ServerSettings, SessionSettings, SseSettings,
    TableStoreSettings, TieredStoreSettings, UserPolicy, WebSocketSettings,
};
use super::value::{
    DAY, GIB, HOUR, KIB, MIB, MINUTE, address, count, duration, flag, networks, one_of, optional,
    origins, plain_seconds, size, text_that, word_or, write_duration, write_size, zero_or,
    zero_or_duration,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Browsers cut longer cookies to 400 days, so a longer one would not do what it says.
const MAX_COOKIE_LIFESPAN: Duration = Duration::from_secs(400 * 86_400);
const DEFAULT_IDLE_TIMEOUT: Duration = DAY;
const PAGE: u64 = 4096;

pub(super) fn app(keys: &mut Keys<'_>) -> Outcome<AppSettings> {
    keys.section("app");
    Ok(AppSettings {
        name: keys.read(
            "name",
            "maypole",
            text_that(
                "1 to 64 letters, digits, \".\", \"_\" or \"-\", such as shop",
                is_short_name,
            ),
        )?,
        env: keys.read("env", "development", one_of(&ENVIRONMENTS))?,
    })
}

pub(super) fn server(keys: &mut Keys<'_>) -> Outcome<ServerSettings> {
    keys.section("server");
    Ok(ServerSettings {
        listen: keys.read("listen", "127.0.0.1:8080", address)?,
        max_connections: keys.read("max_connections", "20000", count(1..=1_000_000))?,
        max_requests_per_connection: keys.read(
            "max_requests_per_connection",
            "0",
            zero_or(u32::MAX.into()),
        )?,
        keep_alive: keys.read("keep_alive", "75s", duration(SECOND..=DAY))?,
        header_timeout: keys.read("header_timeout", "10s", duration(SECOND..=HOUR))?,
        body_timeout: keys.read("body_timeout", "30s", duration(SECOND..=DAY))?,
        body_min_rate: keys.read("body_min_rate", "1K", size(1..=GIB))?,
        write_timeout: keys.read("write_timeout", "30s", duration(SECOND..=DAY))?,
        linger: keys.read("linger", "250ms", duration(MILLISECOND..=MINUTE))?,
        shutdown_grace: keys.read("shutdown_grace", "20s", duration(Duration::ZERO..=HOUR))?,
        stall_warning: keys.read(
            "stall_warning",
            "5s",
            zero_or_duration(100 * MILLISECOND..=HOUR),
        )?,
        backlog: keys.read("backlog", "1024", count(1..=65_535))?,
        trusted_proxies: keys.read("trusted_proxies", "", networks)?,
        forwarded_header: keys.read("forwarded_header", "x-forwarded", one_of(&FORWARDED))?,
    })
}

pub(super) fn runtime(keys: &mut Keys<'_>) -> Outcome<RuntimeSettings> {
    keys.section("runtime");
    let workers = keys.read("workers", "0", zero_or(1024))?;
    let stack = match keys.read("stack", "auto", word_or("auto", stack_size))? {
        Some(bytes) => bytes,
        None => {
            // Unoptimised code needs several times the stack of optimised code.
            let bytes = if cfg!(debug_assertions) { MIB } else { 256 * KIB };
            keys.becomes(&write_size(bytes));
            usize::try_from(bytes).unwrap_or(usize::MAX)
        }
    };
    Ok(RuntimeSettings {
        workers,
        stack,
        blocking_threads: keys.read("blocking_threads", "16", count(1..=1024))?,
        blocking_queue: keys.read("blocking_queue", "4096", count(1..=1_000_000))?,
        coroutine_pool: keys.read("coroutine_pool", "128", count(0..=65_536))?,
    })
}

pub(super) fn limits(keys: &mut Keys<'_>) -> Outcome<LimitSettings> {
    keys.section("limits");
    Ok(LimitSettings {
        // The parser keeps offsets into a head in 16 bits.
        head: keys.read("head", "32K", size(KIB..=60 * KIB))?,
        headers: keys.read("headers", "100", count(1..=1000))?,
        uri: keys.read("uri", "8K", size(64..=MIB))?,
        body: keys.read("body", "2M", size(0..=1024 * GIB))?,
        chunk_line: keys.read("chunk_line", "256", size(16..=64 * KIB))?,
        trailers: keys.read("trailers", "8K", size(0..=MIB))?,
        unread_body: keys.read("unread_body", "256K", size(0..=GIB))?,
        json_depth: keys.read("json_depth", "64", count(1..=128))?,
        form_fields: keys.read("form_fields", "1000", count(1..=1_000_000))?,
    })
}

#[expect(clippy::large_stack_frames, reason = "runs at start, not on a coroutine's stack")]
pub(super) fn session(keys: &mut Keys<'_>) -> Outcome<SessionSettings> {
    keys.section("session");
    let backend = keys.read(
        "backend",
        "file",
        text_that("the name of a store, such as file", is_short_name),
    )?;
    let cookie_name = keys.read(
        "cookie_name",
        "",
        optional(text_that("letters, digits and !#$%&'*+-.^_`|~, such as shop_session", is_token)),
    )?;
    let cookie_lifespan =
        keys.read("cookie_lifespan", "86400", plain_seconds(MAX_COOKIE_LIFESPAN))?;
    let lifespan_written = keys.is_written().then_some(cookie_lifespan).flatten();
    let idle_timeout = idle_timeout(keys, lifespan_written)?;
    Ok(SessionSettings {
        backend,
        cookie_name,
        cookie_lifespan,
        idle_timeout,
        absolute_timeout: keys.read("absolute_timeout", "30d", duration(SECOND..=10 * YEAR))?,
        remember_idle_timeout: remembered(keys, "remember_idle_timeout", "30d")?,
        remember_absolute_timeout: remembered(keys, "remember_absolute_timeout", "90d")?,
        first_lifetime: keys.read(
            "first_lifetime",
            "off",
            word_or("off", duration(SECOND..=10 * YEAR)),
        )?,
        touch_every: keys.read("touch_every", "60s", duration(Duration::ZERO..=DAY))?,
        rotate_grace: keys.read("rotate_grace", "30s", duration(Duration::ZERO..=10 * MINUTE))?,
        max_sessions_per_user: keys.read("max_sessions_per_user", "100", count(1..=500))?,
        max_sessions_per_user_policy: user_policy(keys)?,
        max_sessions: keys.read("max_sessions", "1000000", count(1..=1_000_000_000))?,
        max_total_bytes: keys.read("max_total_bytes", "4G", size(MIB..=1024 * 1024 * GIB))?,
        max_session_bytes: keys.read("max_session_bytes", "64K", size(KIB..=16 * MIB))?,
        new_sessions_per_minute: keys.read(
            "new_sessions_per_minute",
            "30000",
            zero_or(1_000_000),
        )?,
        concurrency: concurrency(keys)?,
        lock_lease: keys.read("lock_lease", "30s", duration(SECOND..=10 * MINUTE))?,
        use_cookies: keys.read("use_cookies", "true", flag)?,
        redis_connection_pool: pool_name(keys)?,
        sweep_every: keys.read("sweep_every", "60s", duration(SECOND..=DAY))?,
    })
}

/// As long as a cookie lifespan that somebody wrote, unless written itself.
fn idle_timeout(keys: &mut Keys<'_>, lifespan_written: Option<Duration>) -> Outcome<Duration> {
    if let Some(timeout) = keys.read("idle_timeout", "", optional(duration(SECOND..=10 * YEAR)))? {
        return Ok(timeout);
    }
    let timeout = lifespan_written.unwrap_or(DEFAULT_IDLE_TIMEOUT);
    keys.becomes(&write_duration(timeout));
    Ok(timeout)
}

fn remembered(keys: &mut Keys<'_>, key: &'static str, default: &'static str) -> Outcome<Duration> {
    keys.read(key, default, duration(SECOND..=10 * YEAR))
}

fn concurrency(keys: &mut Keys<'_>) -> Outcome<Concurrency> {
    keys.read("concurrency", "merge", one_of(&CONCURRENCIES))
}

fn pool_name(keys: &mut Keys<'_>) -> Outcome<String> {
    let name = text_that("the NAME of a section [redis.NAME], such as default", is_redis_name);
    keys.read("redis_connection_pool", "default", name)
}

fn user_policy(keys: &mut Keys<'_>) -> Outcome<UserPolicy> {
    keys.read("max_sessions_per_user_policy", "end_oldest", one_of(&USER_POLICIES))
}

pub(super) fn session_file(keys: &mut Keys<'_>) -> Outcome<FileStoreSettings> {
    keys.section("session.file");
    let path = text_that("a directory, such as var/sessions", |text| !text.is_empty());
    Ok(FileStoreSettings {
        path: keys.read("path", "var/sessions", path).map(PathBuf::from)?,
        fsync: keys.read("fsync", "interval", one_of(&FSYNCS))?,
        fsync_interval: keys.read("fsync_interval", "100ms", duration(MILLISECOND..=MINUTE))?,
        max_open_files: keys.read("max_open_files", "1024", count(0..=1_000_000))?,
    })
}

pub(super) fn session_table(keys: &mut Keys<'_>) -> Outcome<TableStoreSettings> {
    keys.section("session.table");
    let path = text_that("a directory, such as var/table", |text| !text.is_empty());
    Ok(TableStoreSettings {
        path: keys.read("path", "var/table", path).map(PathBuf::from)?,
        fsync: keys.read("fsync", "interval", one_of(&FSYNCS))?,
        fsync_interval: keys.read("fsync_interval", "100ms", duration(MILLISECOND..=MINUTE))?,
        segment: keys.read("segment", "64M", size(MIB..=16 * GIB))?,
        stall_bound: keys.read("stall_bound", "5ms", duration(MILLISECOND..=MINUTE))?,
    })
}

pub(super) fn session_redis(keys: &mut Keys<'_>) -> Outcome<RedisStoreSettings> {
    keys.section("session.redis");
    let prefix = text_that("up to 64 letters, digits and .:_-/, such as shop:", is_redis_prefix);
    Ok(RedisStoreSettings {
        prefix: keys.read("prefix", "maypole:", prefix)?,
        wait_replicas: keys.read("wait_replicas", "0", count(0..=100))?,
        wait_timeout: keys.read("wait_timeout", "500ms", duration(MILLISECOND..=MINUTE))?,
    })
}

pub(super) fn session_tiered(keys: &mut Keys<'_>) -> Outcome<TieredStoreSettings> {
    keys.section("session.tiered");
    Ok(TieredStoreSettings {
        lease: keys.read("lease", "250ms", duration(20 * MILLISECOND..=2 * SECOND))?,
        max_records: keys.read("max_records", "100000", count(64..=100_000_000))?,
        max_bytes: keys.read("max_bytes", "64M", size(MIB..=1024 * GIB))?,
    })
}

pub(super) fn cookie(keys: &mut Keys<'_>) -> Outcome<CookieSettings> {
    keys.section("cookie");
    Ok(CookieSettings {
        path: keys.read(
            "path",
            "/",
            text_that("a path that begins with \"/\", without \";\", up to 1024 bytes", is_path),
        )?,
        domain: keys.read(
            "domain",
            "",
            optional(text_that("a host name such as example.org, without a dot in front", is_host)),
        )?,
        secure: keys.read("secure", "auto", one_of(&SECURES))?,
        http_only: keys.read("http_only", "true", flag)?,
        same_site: keys.read("same_site", "lax", one_of(&SAME_SITES))?,
        partitioned: keys.read("partitioned", "false", flag)?,
    })
}

pub(super) fn websocket(keys: &mut Keys<'_>) -> Outcome<WebSocketSettings> {
    keys.section("websocket");
    Ok(WebSocketSettings {
        max_open: keys.read("max_open", "10000", count(1..=1_000_000))?,
        max_open_per_address: keys.read("max_open_per_address", "10000", count(0..=1_000_000))?,
        message: keys.read("message", "1M", size(1..=GIB))?,
        frame: keys.read("frame", "1M", size(1..=GIB))?,
        message_timeout: keys.read("message_timeout", "30s", duration(SECOND..=DAY))?,
        queue: keys.read("queue", "64", count(1..=1_000_000))?,
        ping_every: keys.read("ping_every", "30s", word_or("off", duration(SECOND..=DAY)))?,
        pong_timeout: keys.read("pong_timeout", "20s", duration(SECOND..=DAY))?,
        close_timeout: keys.read("close_timeout", "5s", duration(MILLISECOND..=HOUR))?,
        origins: keys.read("origins", "", origins)?,
        require_origin: keys.read("require_origin", "false", flag)?,
    })
}

pub(super) fn sse(keys: &mut Keys<'_>) -> Outcome<SseSettings> {
    keys.section("sse");
    Ok(SseSettings {
        max_open: keys.read("max_open", "10000", count(1..=1_000_000))?,
        queue: keys.read("queue", "64", count(1..=1_000_000))?,
        heartbeat: keys.read("heartbeat", "15s", word_or("off", duration(SECOND..=DAY)))?,
        retry: keys.read("retry", "off", word_or("off", duration(MILLISECOND..=DAY)))?,
    })
}

pub(super) fn live(keys: &mut Keys<'_>) -> Outcome<LiveSettings> {
    keys.section("live");
    Ok(LiveSettings {
        session_end_close: keys.read("session_end_close", "4401", count(3000..=4999))?,
        session_poll: keys.read(
            "session_poll",
            "1s",
            word_or("off", duration(10 * MILLISECOND..=HOUR)),
        )?,
        redis_connection_pool: keys.read(
            "redis_connection_pool",
            "",
            optional(text_that("the NAME of a section [redis.NAME]", is_redis_name)),
        )?,
        follows: keys.read("follows", "100", count(1..=1_000_000))?,
        topic_subscribers: keys.read("topic_subscribers", "100000", count(1..=10_000_000))?,
        topic_message: keys.read("topic_message", "64K", size(1..=16 * MIB))?,
        topic_queue: keys.read("topic_queue", "256", count(1..=1_000_000))?,
    })
}

pub(super) fn admin(keys: &mut Keys<'_>) -> Outcome<AdminSettings> {
    keys.section("admin");
    let path = optional(text_that("a directory, such as var/admin", |text| !text.is_empty()));
    Ok(AdminSettings {
        enabled: keys.read("enabled", "true", flag)?,
        path: keys.read("path", "", path)?.map(PathBuf::from),
    })
}

pub(super) fn log(keys: &mut Keys<'_>) -> Outcome<LogSettings> {
    keys.section("log");
    Ok(LogSettings {
        level: keys.read("level", "info", one_of(&LEVELS))?,
        format: keys.read("format", "text", one_of(&LOG_FORMATS))?,
        access: keys.read("access", "true", flag)?,
    })
}

const ENVIRONMENTS: [(&str, Environment); 2] =
    [("development", Environment::Development), ("production", Environment::Production)];
const FORWARDED: [(&str, Forwarded); 2] =
    [("x-forwarded", Forwarded::XForwarded), ("forwarded", Forwarded::Standard)];
const CONCURRENCIES: [(&str, Concurrency); 2] =
    [("merge", Concurrency::Merge), ("lock", Concurrency::Lock)];
const USER_POLICIES: [(&str, UserPolicy); 2] =
    [("end_oldest", UserPolicy::EndOldest), ("refuse", UserPolicy::Refuse)];
const FSYNCS: [(&str, Fsync); 3] =
    [("never", Fsync::Never), ("interval", Fsync::Interval), ("always", Fsync::Always)];
const SECURES: [(&str, CookieSecure); 7] = [
    ("auto", CookieSecure::Auto),
    ("true", CookieSecure::Always),
    ("false", CookieSecure::Never),
    ("on", CookieSecure::Always),
    ("off", CookieSecure::Never),
    ("yes", CookieSecure::Always),
    ("no", CookieSecure::Never),
];
const SAME_SITES: [(&str, SameSite); 3] =
    [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
const LEVELS: [(&str, log::LevelFilter); 6] = [
    ("off", log::LevelFilter::Off),
    ("error", log::LevelFilter::Error),
    ("warn", log::LevelFilter::Warn),
    ("info", log::LevelFilter::Info),
    ("debug", log::LevelFilter::Debug),
    ("trace", log::LevelFilter::Trace),
];
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

fn stack_size(text: &str) -> Result<usize, String> {
    let bytes = size::<u64>(64 * KIB..=16 * MIB)(text)?;
    if !bytes.is_multiple_of(PAGE) {
        return Err("it must be a multiple of 4K, such as 256K".to_owned());
    }
    size(0..=u64::MAX)(text)
}

/// Nothing that means something in a redis pattern, and no braces, which would bring all keys of a
/// cluster to one node.
fn is_redis_prefix(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".:_-/".contains(&byte);
    text.len() <= 64 && text.bytes().all(is_good)
}

pub(super) fn is_short_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(is_good)
}

/// An RFC 6265 cookie name: a token.
fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Attribute values over 1024 bytes make browsers drop the attribute.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= 1024
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b';')
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
