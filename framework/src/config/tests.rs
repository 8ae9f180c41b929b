//! What config.ini may say, and what the answer is when it says something else.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::scan::scan;
use super::{Config, ConfigError, Environment, Fsync, Origin, source};

mod mistakes;
mod redis;
mod sources;

const SHIPPED: &str = include_str!("../../../config.ini");

fn parse(text: &str) -> Config {
    Config::parse(text, "config.ini").unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// With an environment; `text` of `None` is no file at all.
fn resolve(text: Option<&str>, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    source::resolve(text.map(|text| (text, "config.ini")), &variables)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    match Config::parse(text, "config.ini") {
        Ok(_) => panic!("{text:?} was accepted"),
        Err(error) => assert_eq!(error.to_string(), expected, "for {text:?}"),
    }
}

/// All typed values, to compare two configurations by what they mean.
fn meaning(config: &Config) -> String {
    let Config { app, server, runtime, limits, session, session_file, cookie, log, .. } = config;
    format!("{:?}", (app, server, runtime, limits, session, session_file, cookie, log))
}

#[test]
fn nothing_written_means_the_defaults() {
    for text in ["", "\n\n", "; only\n  # comments\n", "\u{feff}", "[server]\n", "[custom]\r\n"] {
        assert_eq!(meaning(&parse(text)), meaning(&Config::default()), "{text:?}");
    }
    let config = Config::default();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.linger, Duration::from_millis(250));
    assert_eq!(config.limits.body, 2 << 20);
    assert_eq!(config.session.idle_timeout, Duration::from_secs(86_400));
    assert_eq!(config.session.max_total_bytes, 4 << 30);
    assert_eq!(config.session_file.fsync, Fsync::Interval);
    assert_eq!(config.runtime.workers, None);
    assert_eq!(config.runtime.stack, if cfg!(debug_assertions) { 1 << 20 } else { 256 << 10 });
    assert_eq!(config.app.env, Environment::Development);
}

#[test]
fn the_shipped_file_has_every_key_once_with_its_default_and_a_comment() {
    let shipped = scan(SHIPPED, "config.ini").unwrap();
    let found: Vec<_> = shipped
        .entries
        .iter()
        .map(|entry| (entry.section.as_str(), entry.key.as_str(), entry.value.as_str()))
        .collect();
    let table = Config::default().settings;
    let expected: Vec<_> = table
        .iter()
        .map(|setting| (setting.section.as_ref(), setting.key, setting.default))
        .collect();
    assert_eq!(found, expected, "config.ini and the table must agree, in the same order");

    let lines: Vec<_> = SHIPPED.lines().collect();
    for entry in &shipped.entries {
        let above = entry.line.checked_sub(2).and_then(|index| lines.get(index));
        let has_comment = above.is_some_and(|line| line.starts_with("; "));
        assert!(has_comment, "[{}] {} has no comment above it", entry.section, entry.key);
    }
    assert_eq!(meaning(&parse(SHIPPED)), meaning(&Config::default()));
}

#[test]
fn every_key_has_an_environment_variable_of_its_own() {
    let table = Config::default().settings;
    let names: HashSet<_> = table.iter().map(super::Setting::variable).collect();
    assert_eq!(names.len(), table.len());
    assert!(names.contains("MAYPOLE_SESSION_FILE_PATH"));
    assert!(!names.contains("MAYPOLE_CONFIG"));
}

#[test]
fn values_are_read_to_the_letter() {
    for (written, expected) in [
        ("C:\\new\\table", "C:\\new\\table"),
        ("a;b#c", "a;b#c"),
        ("a ; comment", "a"),
        ("a\t# comment", "a"),
        ("; all comment", ""),
        ("\" a ; b \" # c", " a ; b "),
        ("\"open ; c", "\"open"),
        ("\"Shop\" <shop@example.org>", "\"Shop\" <shop@example.org>"),
        ("a = b", "a = b"),
        ("", ""),
        ("ends in a backslash\\", "ends in a backslash\\"),
    ] {
        for end in ["", "\n", "\r\n"] {
            let config = parse(&format!("[custom] ; mine\r\n  key\t=  {written}{end}"));
            assert_eq!(config.section("custom").unwrap().get("key"), Some(expected), "{written:?}");
        }
    }
}

#[test]
fn durations_sizes_and_switches_take_their_forms() {
    let lifespan = |text: &str| {
        parse(&format!("[session]\nabsolute_timeout = 400d\ncookie_lifespan = {text}\n"))
            .session
            .cookie_lifespan
            .map(|value| value.as_secs())
    };
    assert_eq!(lifespan("86400"), Some(86_400));
    assert_eq!(lifespan("2m"), Some(120));
    assert_eq!(lifespan("24h"), Some(86_400));
    assert_eq!(lifespan("400d"), Some(34_560_000));
    assert_eq!(lifespan("0"), None);
    assert_eq!(lifespan("0s"), None);

    for (text, bytes) in [("512", 512), ("32K", 32 << 10), ("32k", 32 << 10), ("1M", 1 << 20)] {
        assert_eq!(parse(&format!("[limits]\nunread_body = {text}")).limits.unread_body, bytes);
    }
    for (text, value) in [
        ("true", true),
        ("on", true),
        ("yes", true),
        ("false", false),
        ("off", false),
        ("no", false),
    ] {
        assert_eq!(parse(&format!("[log]\naccess = {text}")).log.access, value);
    }
    let config = parse("[server]\nmax_requests_per_connection = 7\nlisten = localhost:0\n");
    assert_eq!(config.server.max_requests_per_connection, Some(7));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:0");
    let config = parse("[server]\ntrusted_proxies = 10.0.0.0/8, ::1 ,192.168.1.7\n");
    assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8", "::1", "192.168.1.7"]);
    assert_eq!(parse("[runtime]\nstack = 256K\nworkers = 3").runtime.stack, 256 << 10);
}

#[test]
fn the_idle_timeout_follows_a_written_cookie_lifespan() {
    for (text, hours) in [
        ("", 24),
        ("cookie_lifespan = 7200", 2),
        ("cookie_lifespan = 0", 24),
        ("cookie_lifespan = 7200\nidle_timeout = 5h", 5),
        ("idle_timeout = 5h", 5),
    ] {
        let idle = parse(&format!("[session]\n{text}\n")).session.idle_timeout;
        assert_eq!(idle, Duration::from_secs(hours * 3600), "{text:?}");
    }
}

#[test]
fn secure_and_the_cookie_name_follow_the_place() {
    let secure = |text: &str| {
        let config = parse(text);
        (config.cookie_secure(), config.session_cookie_name())
    };
    let plain = (false, "session".to_owned());
    let host = (true, "__Host-session".to_owned());
    assert_eq!(secure(""), plain);
    assert_eq!(secure("[server]\nlisten = [::1]:80"), plain);
    assert_eq!(secure("[server]\nlisten = 0.0.0.0:80"), host);
    assert_eq!(secure("[cookie]\nsecure = true"), host);
    assert_eq!(secure("[server]\nlisten = 0.0.0.0:80\n[cookie]\nsecure = no"), plain);
    let production = "[app]\nname = shop\nenv = production\n";
    assert_eq!(secure(&format!("{production}[server]\ntrusted_proxies = ::1")), host);
    assert_eq!(secure(&format!("{production}[cookie]\nsecure = false")), plain);
    assert_eq!(secure("[session]\ncookie_name = sid").1, "sid");
}

#[test]
fn print_shows_origins_and_hides_secrets() {
    let text = "[server]\nkeep_alive = 15s\n[custom.db]\n\
                password = hunter2\nurl = redis://u:hunter2@h/1\n\
                odd = redis://:hun/hunter2@h/1\n\
                many = redis://u:hunter2@a, rediss://v:hunter2@b:1\n\
                query = redis://h/1?password=hunter2&db=1\n\
                nodes = u:hunter2@a:1, v:hunter2@b:1\n";
    let config = resolve(Some(text), &[("MAYPOLE_LOG_LEVEL", "debug")]).unwrap();
    let shown = config.describe();
    let has = |line: &str| {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.lines().any(|shown| squeezed(shown) == line), "{line:?} in\n{shown}");
    };
    has("keep_alive = 15s ; config.ini:2 (default: 75s)");
    has("linger = 250ms ; default");
    has("level = debug ; MAYPOLE_LOG_LEVEL (default: info)");
    has("idle_timeout = 1d ; default");
    has("password = *** ; config.ini:4");
    has("url = redis://u:***@h/1 ; config.ini:5");
    has("odd = redis://:***@h/1 ; config.ini:6");
    has("many = redis://u:***@a, rediss://v:***@b:1 ; config.ini:7");
    has("query = redis://h/1?password=***&db=1 ; config.ini:8");
    has("nodes = u:***@b:1 ; config.ini:9");
    for text in [shown, format!("{config:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// Never panics; and what it accepts means the same after printing and reading it again.
fn fuzz_one(bytes: &[u8]) {
    let Ok(text) = source::text_of(bytes.to_vec(), "config.ini") else { return };
    let Ok(config) = Config::parse(&text, "config.ini") else { return };
    let again = parse(&config.describe());
    assert_eq!(meaning(&again), meaning(&config), "for {text:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test on its own thread blocks no worker")]
fn fuzz_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/config");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        fuzz_one(&bytes);
        // Cut at every byte, and with every byte spoiled, up to a bound on time.
        for at in 0..bytes.len().min(300) {
            fuzz_one(&bytes[..at]);
            let mut spoiled = bytes.clone();
            spoiled[at] ^= 0x11;
            fuzz_one(&spoiled);
        }
        seen += 1;
    }
    assert!(seen >= 10, "the corpus is gone: {seen} files");
}

proptest! {
    #[test]
    fn fuzz_lines(lines in prop::collection::vec(prop_oneof![
        "\\[(server|session|session\\.[a-z]{1,5}|custom|custom\\.[a-z]{1,3}|cookie)\\]",
        "(path|cookie_name|domain|a|b|password) ?= ?[ -~é\t]{0,12}",
        "[ -~\\u{0}é]{0,12}",
    ], 0..6)) {
        fuzz_one(lines.join("\n").as_bytes());
    }
}
