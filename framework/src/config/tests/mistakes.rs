//! Every kind of mistake and the exact sentence it is answered with.

use super::super::source;
use super::{parse, refused};

#[test]
fn unknown_names_get_a_suggestion() {
    for (text, expected) in [
        (
            "[session]\n\ncookei_name = a",
            "config.ini:3: [session] unknown key \"cookei_name\"; did you mean \"cookie_name\"?",
        ),
        (
            "[server]\nkeep-alive = 5s",
            "config.ini:2: [server] unknown key \"keep-alive\"; did you mean \"keep_alive\"?",
        ),
        (
            "[server]\nListen = 1",
            "config.ini:2: [server] unknown key \"Listen\"; did you mean \"listen\"?",
        ),
        (
            "[server]\ncookie_name = a",
            "config.ini:2: [server] unknown key \"cookie_name\"; it belongs in [session]",
        ),
        (
            "[server]\npath = a",
            "config.ini:2: [server] unknown key \"path\"; it belongs in [session.file] or [session.table] or [cookie] or [admin]",
        ),
        ("[server]\ncolour = red", "config.ini:2: [server] unknown key \"colour\""),
        (
            "[server]\nport = 80",
            "config.ini:2: [server] unknown key \"port\"; did you mean \"listen\"?",
        ),
        (
            "[redis.default]\nhost = x",
            "config.ini:2: [redis.default] unknown key \"host\"; did you mean \"url\"?",
        ),
        ("[sesion]\n", "config.ini:1: unknown section [sesion]; did you mean [session]?"),
        ("[Server]\n", "config.ini:1: unknown section [Server]; did you mean [server]?"),
        (
            "[session.fiel]\npath = x",
            "config.ini:1: unknown section [session.fiel]; did you mean [session.file]?",
        ),
        (
            "[database]\n",
            "config.ini:1: unknown section [database]; sections of your own are called [custom] \
             or [custom.NAME]",
        ),
    ] {
        refused(text, expected);
    }
}

#[test]
fn lines_that_are_no_ini_are_refused() {
    for (text, expected) in [
        (
            "[server\nlisten = 1",
            "config.ini:1: a section header needs its closing bracket: [server]",
        ),
        (
            "[server] listen = 1",
            "config.ini:1: text after the section header [server]; put it on its own line",
        ),
        (
            "[]",
            "config.ini:1: [] is no section name; it takes letters, digits, \".\", \"_\" and \"-\"",
        ),
        (
            "[server]\nlisten ; x",
            "config.ini:2: \"listen\" is neither a [section] nor a key; write key = value",
        ),
        (
            "[redis.default]\npassword: hunter2",
            "config.ini:2: \"password\" is neither a [section] nor a key; write key = value",
        ),
        (
            "[redis.default]\nurl redis://u:hunter2@h/?db=1",
            "config.ini:2: \"url\" is no key; it takes letters, digits, \".\", \"_\" and \"-\"",
        ),
        (
            "[server]\n= x",
            "config.ini:2: \"\" is no key; it takes letters, digits, \".\", \"_\" and \"-\"",
        ),
        (
            "\r\nlisten = 1\r\n",
            "config.ini:2: \"listen\" stands before any section; write [server] or so above",
        ),
        (
            "[server]\nbacklog = 1\n[log]\n[server]\nbacklog = 2",
            "config.ini:5: [server] \"backlog\" is set twice; the first is on line 2",
        ),
        (
            "[custom]\na = 1\na = 1",
            "config.ini:3: [custom] \"a\" is set twice; the first is on line 2",
        ),
        ("[custom]\na = b\0c", "config.ini:2: a control character; config.ini is plain text"),
        ("[custom]\na = b\rc", "config.ini:2: a control character; config.ini is plain text"),
    ] {
        refused(text, expected);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let error = source::text_of(b"[app]\nname = caf\xe9\n".to_vec(), "config.ini").unwrap_err();
    assert_eq!(error.to_string(), "config.ini:2: the text is not UTF-8");
    let error = source::text_of(vec![b'\n'; (1 << 20) + 1], "x").unwrap_err();
    assert_eq!(error.to_string(), "x: it is larger than 1 MiB; is it the right file?");
}

#[test]
fn bad_values_say_what_is_accepted() {
    let duration = "it takes a duration such as 500ms, 75s, 2m, 24h or 30d";
    let size = "it takes a size in bytes such as 512, 32K, 2M or 1G";
    for (section, line, expected) in [
        ("server", "keep_alive = 75", "a duration needs its unit; did you mean \"75s\"?"),
        ("server", "keep_alive = 1.5s", duration),
        ("server", "keep_alive = -5s", duration),
        ("server", "keep_alive = 5 s", &format!("{duration}; did you mean \"5s\"?")),
        ("server", "keep_alive = 30 Min", &format!("{duration}; did you mean \"30m\"?")),
        ("server", "keep_alive =", duration),
        ("server", "keep_alive = 999ms", "it must be from 1s to 1d"),
        ("server", "keep_alive = 2d", "it must be from 1s to 1d"),
        ("server", "keep_alive = 18446744073709551615d", "the duration is too long"),
        ("server", "keep_alive = 99999999999999999999s", "the duration is too long"),
        ("session", "cookie_lifespan = 401d", "it must be from 0s to 400d"),
        ("session", "cookie_lifespan = 34560001", "it must be from 0s to 400d"),
        ("session", "first_lifetime = never", &format!("{duration}; or \"off\"")),
        ("session", "rotate_grace = 11m", "it must be from 0s to 10m"),
        ("limits", "head = 32KB", &format!("{size}; did you mean \"32K\"?")),
        ("limits", "head = K", size),
        ("limits", "head = 32 K", &format!("{size}; did you mean \"32K\"?")),
        ("limits", "head = 2G", "it must be from 1K to 60K"),
        ("limits", "head = 18446744073709551615G", "the size is too large"),
        ("limits", "headers = 1001", "it takes a whole number from 1 to 1000"),
        ("limits", "headers = +5", "it takes a whole number from 1 to 1000"),
        ("limits", "json_depth = 0", "it takes a whole number from 1 to 128"),
        ("runtime", "stack = 65K", "it must be a multiple of 4K, such as 256K; or \"auto\""),
        ("runtime", "stack = 32K", "it must be from 64K to 16M; or \"auto\""),
        ("log", "access = ja", "it takes true or false (or on, off, yes, no)"),
        (
            "app",
            "env = prodution",
            "it takes development | production; did you mean \"production\"?",
        ),
        ("session.file", "fsync = sometimes", "it takes never | interval | always"),
        (
            "session",
            "cookie_name = a b",
            "it takes letters, digits and !#$%&'*+-.^_`|~, such as shop_session",
        ),
        (
            "cookie",
            "path = x",
            "it takes a path that begins with \"/\", without \";\", up to 1024 bytes",
        ),
        (
            "cookie",
            "domain = .example.org",
            "it takes a host name such as example.org, without a dot in front",
        ),
        (
            "app",
            "name = my shop",
            "it takes 1 to 64 letters, digits, \".\", \"_\" or \"-\", such as shop",
        ),
        (
            "server",
            "trusted_proxies = 10.0.0.0/33",
            "\"10.0.0.0/33\" is no address or network; it takes a list such as 10.0.0.0/8, 192.168.1.7, ::1",
        ),
        (
            "server",
            "trusted_proxies = ::1,",
            "\"\" is no address or network; it takes a list such as 10.0.0.0/8, 192.168.1.7, ::1",
        ),
    ] {
        let (key, value) = line.split_once('=').unwrap();
        let (key, value) = (key.trim(), value.trim());
        let expected = format!("config.ini:2: [{section}] {key} = {value:?}: {expected}");
        refused(&format!("[{section}]\n{line}\n"), &expected);
    }
}

#[test]
fn addresses_are_explained() {
    let takes = "it takes one address and port, such as 127.0.0.1:8080 or [::1]:8080";
    for (value, more) in [
        ("example.org:80", ""),
        ("127.0.0.1:80, 127.0.0.1:81", ""),
        (":80", "; for every interface write 0.0.0.0:80"),
        ("*:80", "; for every interface write 0.0.0.0:80"),
        ("127.0.0.1", "; did you mean \"127.0.0.1:8080\"?"),
        ("127.0.0.1:65536", "; the port is a number from 0 to 65535"),
        ("localhost", ""),
    ] {
        let expected = format!("config.ini:2: [server] listen = {value:?}: {takes}{more}");
        refused(&format!("[server]\nlisten = {value}"), &expected);
    }
}

#[test]
fn production_wants_a_name_and_a_word_on_secure() {
    refused(
        "[app]\nenv = production\n[cookie]\nsecure = true",
        "config.ini: [app] production needs a name of its own, such as name = shop; apps of one \
         name that share a host, a directory or a redis accept each other's sessions",
    );
    let secure = "[cookie] production without TLS or [server] trusted_proxies: write secure = true \
                  if something in front speaks HTTPS, or secure = false to send sessions over plain HTTP";
    let production = "[app]\nenv = production\nname = shop\n";
    refused(production, &format!("config.ini: {secure}"));
    refused(&format!("{production}[cookie]\nsecure = auto"), &format!("config.ini:5: {secure}"));
    for accepted in ["[cookie]\nsecure = false", "[server]\ntrusted_proxies = 10.1.2.3"] {
        parse(&format!("{production}{accepted}"));
    }
}

#[test]
fn cookies_that_browsers_would_drop_are_refused_at_the_guilty_line() {
    for (text, expected) in [
        (
            "[cookie]\nsame_site = none",
            "config.ini:2: [cookie] same_site = none needs Secure cookies, or browsers drop them; \
             write secure = true",
        ),
        (
            "[cookie]\npartitioned = true",
            "config.ini:2: [cookie] partitioned = true needs Secure cookies, or browsers drop them; \
             write secure = true",
        ),
        (
            "[cookie]\nsecure = true\ndomain = example.org",
            "config.ini:3: [cookie] the cookie name \"__Host-session\" is only accepted without a \
             Domain; leave domain empty or choose a name",
        ),
        (
            "[cookie]\nsecure = true\npath = /shop",
            "config.ini:3: [cookie] the cookie name \"__Host-session\" is only accepted with \
             path = /; choose another path or name",
        ),
        (
            "[session]\ncookie_name = __hOsT-a\n[cookie]\nsecure = false",
            "config.ini:2: [session] the cookie name \"__hOsT-a\" is only accepted with Secure; \
             write [cookie] secure = true",
        ),
        (
            "[session]\ncookie_name = __SECURE-a",
            "config.ini:2: [session] the cookie name \"__SECURE-a\" is only accepted with Secure; \
             write [cookie] secure = true",
        ),
        (
            "[session]\ncookie_name = __Http-a\n[cookie]\nsecure = true\nhttp_only = off",
            "config.ini:5: [cookie] the cookie name \"__Http-a\" is only accepted with \
             http_only = true",
        ),
    ] {
        refused(text, expected);
    }
    parse("[session]\ncookie_name = __Secure-a\n[cookie]\nsecure = true\ndomain = example.org");
    parse("[session]\ncookie_name = __Hostile\n[cookie]\npath = /a\ndomain = example.org");
    parse("[cookie]\nsecure = true\nsame_site = none\npartitioned = true");
    parse(&format!("[session]\ncookie_name = {}", "n".repeat(4096 - 48)));
    refused(
        &format!("[session]\ncookie_name = {}", "n".repeat(4096 - 47)),
        "config.ini:2: [session] cookie_name has 4049 bytes; with the session id it must stay \
         within 4096",
    );
}

#[test]
fn lifetimes_and_sizes_that_contradict_each_other_are_refused() {
    for (text, expected) in [
        (
            "[session]\nidle_timeout = 31d\nabsolute_timeout = 30d",
            "config.ini:2: [session] the idle timeout of 31d is longer than absolute_timeout = 30d",
        ),
        (
            "[session]\nabsolute_timeout = 30d\ncookie_lifespan = 60d",
            "config.ini:3: [session] the idle timeout of 60d is longer than absolute_timeout = 30d",
        ),
        (
            "[session]\nremember_absolute_timeout = 90d\nremember_idle_timeout = 91d",
            "config.ini:3: [session] remember_idle_timeout = 91d is longer than \
             remember_absolute_timeout = 90d",
        ),
        (
            "[session]\ntouch_every = 60s\nidle_timeout = 60s",
            "config.ini:2: [session] touch_every = 1m must be shorter than the idle timeout of 1m",
        ),
        (
            "[session]\nrotate_grace = 30s\nidle_timeout = 20s",
            "config.ini:2: [session] rotate_grace = 30s must be shorter than the idle timeout of 20s",
        ),
        (
            "[session]\nfirst_lifetime = 25h",
            "config.ini:2: [session] first_lifetime = 25h must be shorter than the idle timeout of 1d",
        ),
        (
            "[limits]\nhead = 4K",
            "config.ini:2: [limits] uri is larger than head, which contains it",
        ),
        (
            "[session]\nmax_total_bytes = 1M\nmax_session_bytes = 2M",
            "config.ini:3: [session] max_session_bytes is larger than max_total_bytes",
        ),
    ] {
        refused(text, expected);
    }
}

#[test]
fn a_default_gives_way_to_what_was_written() {
    for text in [
        "[session]\nidle_timeout = 2s",
        "[session]\ncookie_lifespan = 20",
        "[session]\ncookie_lifespan = 60d",
        "[session]\nabsolute_timeout = 1h",
        "[session]\nidle_timeout = 31d",
    ] {
        parse(text);
    }
}
