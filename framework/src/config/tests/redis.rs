//! `[redis.NAME]`.

use super::super::source::resolve;
use super::super::{Config, RedisAddress, RedisServers};

fn parse(text: &str) -> Config {
    Config::parse(text, "config.ini").unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    Config::parse(text, "config.ini").expect_err("a mistake").to_string()
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    resolve(Some((text, "config.ini")), &variables).map_err(|error| error.to_string())
}

fn tcp(host: &str, port: u16) -> RedisAddress {
    RedisAddress::Tcp(host.to_owned(), port)
}

#[test]
fn without_a_word_there_is_the_redis_of_this_machine() {
    let config = Config::default();
    let redis = config.redis("default").unwrap();
    assert_eq!(redis.servers, RedisServers::Single(tcp("127.0.0.1", 6379)));
    assert_eq!((redis.database, redis.tls.is_some(), config.redis.len()), (0, false, 1));
    let expected = super::super::RedisSettings::with_defaults(
        "default",
        RedisServers::Single(tcp("127.0.0.1", 6379)),
    );
    assert_eq!(*redis, expected, "tests use what programs use");
}

#[test]
fn what_only_its_server_can_tell_names_the_line_all_the_same() {
    let text = "[redis.cache]\nurl = redis://a\n\npassword = x\n";
    let config = with(text, &[("MAYPOLE_REDIS_CACHE_DATABASE", "3")]).unwrap();
    let cache = config.redis("cache").unwrap();
    for (keys, expected) in [
        (&["password", "username", "url"][..], "config.ini:4: [redis.cache] password"),
        (&["username", "url"], "config.ini:2: [redis.cache] url"),
        (&["database", "url"], "MAYPOLE_REDIS_CACHE_DATABASE: [redis.cache] database"),
        (&["tls_ca"], "config.ini: [redis.cache] tls_ca"),
    ] {
        assert_eq!(cache.place(keys), expected);
    }
    assert_eq!(cache.place_of_servers(), "config.ini:2: [redis.cache] url");
    let nowhere = config.redis("default").unwrap();
    assert_eq!(nowhere.place_of_servers(), "config.ini: [redis.default] url");
    assert_eq!(Config::default().redis[0].place_of_servers(), "[redis.default] url");
    let nodes = parse("[redis.default]\ncluster = true\nurl = redis://a\nnodes = b, c\n");
    assert_eq!(nodes.redis[0].place_of_servers(), "config.ini:4: [redis.default] nodes");
    assert_eq!(
        parse("\n[redis.cache]\nurl = redis://a\npassword = x\ndatabase = 3\n").redis[1],
        *cache
    );
}

#[test]
fn urls_of_every_kind_are_read() {
    let read = |url: &str| {
        let config = parse(&format!("[redis.cache]\nurl = {url}\n"));
        config.redis("cache").unwrap().clone()
    };
    let full = read("redis://us%65r:p%40ss@db.example.org:7000/5");
    assert_eq!(full.servers, RedisServers::Single(tcp("db.example.org", 7000)));
    assert_eq!(full.login.username.as_deref(), Some("user"));
    assert_eq!(full.login.password.as_deref(), Some("p@ss"));
    assert_eq!((full.database, full.tls), (5, None));
    assert!(read("rediss://[::1]").tls.is_some());
    assert_eq!(read("valkey://[::1]:7000").servers, RedisServers::Single(tcp("::1", 7000)));
    let unix = read("unix:///run/redis.sock?db=2");
    let path = RedisAddress::Unix("/run/redis.sock".into());
    assert_eq!((unix.servers, unix.database), (RedisServers::Single(path), 2));
    let sentinels = read("redis+sentinel://:secret@a,b:7001/mymaster/3");
    let expected = RedisServers::Sentinel {
        sentinels: vec![tcp("a", 26_379), tcp("b", 7001)],
        master_name: "mymaster".to_owned(),
    };
    assert_eq!((sentinels.servers, sentinels.database), (expected, 3));
    assert_eq!(sentinels.login.password.as_deref(), Some("secret"));
    let text = "[redis.c]\nurl = redis://:p@a\ncluster = true\nnodes = a:1, b\n";
    let cluster = parse(text).redis("c").unwrap().servers.clone();
    assert_eq!(cluster, RedisServers::Cluster(vec![tcp("a", 1), tcp("b", 6379)]));
}

#[test]
fn mistakes_name_their_line_and_what_would_be_right() {
    for (text, expected) in [
        (
            "[redis.cache]\nulr = x\n",
            "config.ini:2: [redis.cache] unknown key \"ulr\"; did you mean \"url\"?",
        ),
        (
            "[redis]\nurl = redis://a\n",
            "config.ini:1: unknown section [redis]; did you mean [redis.default]?",
        ),
        (
            "[redis.a]\npool_size = 0\n",
            "config.ini:2: [redis.a] pool_size = \"0\": it takes a whole number from 1 to 1000",
        ),
        (
            "[redis.a]\nsentinels = a:1\n",
            "config.ini:2: [redis.a] sentinels need a master_name, such as mymaster",
        ),
        (
            "[redis.a]\nnodes = a:1\n",
            "config.ini:2: [redis.a] nodes are those of a cluster: write cluster = true",
        ),
        (
            "[redis.a]\ntls_ca = ca.pem\n",
            "config.ini:2: [redis.a] tls_ca, tls_cert and tls_key need a url that begins with rediss",
        ),
        (
            "[redis.a]\ncluster = true\ndatabase = 1\n",
            "config.ini:2: [redis.a] a cluster has no databases but 0",
        ),
        (
            "[session]\nredis_connection_pool = cahce\n[redis.cache]\nurl = redis://a\n",
            "config.ini:2: [session] redis_connection_pool = \"cahce\": there is no section \
             [redis.cahce]; there is default, cache; did you mean \"cache\"?",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
    for url in [
        "localhost:6379",
        "http://a",
        "redis://",
        "redis://a:0",
        "redis://a/x",
        "unix://x",
        "redis://a b",
        "redis://a?x=1",
        "redis+sentinel://a",
        "redis://%zz@a",
    ] {
        let message = refusal(&format!("[redis.a]\nurl = {url}\n"));
        assert!(message.starts_with("config.ini:2: [redis.a] url = "), "{message}");
    }
}

#[test]
fn passwords_are_shown_to_nobody() {
    let text = "[redis.a]\nurl = redis://user:hidden1@host\npassword = hidden2\n\
                sentinel_password = hidden3\n";
    let config = parse(text);
    let shown = format!("{}{config:?}", config.describe());
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(shown.contains("redis://user:***@host"), "{shown}");
    for url in ["redis://user:hid/den@host", "redis://u:hidden@a@b", "foo://u:hidden@b"] {
        let message = refusal(&format!("[redis.a]\nurl = {url}\n"));
        assert!(!message.contains("hid"), "{message}");
    }
}

#[test]
fn the_environment_reaches_every_section_also_one_that_only_it_names() {
    let text = "[redis.my-cache]\nurl = redis://a\n";
    let config = with(
        text,
        &[
            ("MAYPOLE_REDIS_DEFAULT_URL", "redis://b"),
            ("MAYPOLE_REDIS_MY_CACHE_PASSWORD", "secret"),
            ("MAYPOLE_REDIS_OTHER_ONE_POOL_SIZE", "3"),
            ("MAYPOLE_SESSION_REDIS_CONNECTION_POOL", "other_one"),
        ],
    )
    .unwrap();
    let single = |host: &str| RedisServers::Single(tcp(host, 6379));
    assert_eq!(config.redis("default").unwrap().servers, single("b"));
    let cache = config.redis("my-cache").unwrap();
    assert_eq!(cache.servers, single("a"));
    assert_eq!(cache.login.password.as_deref(), Some("secret"));
    assert_eq!(config.redis("other_one").unwrap().pool_size, 3);
    assert_eq!(config.redis.len(), 3);
    let refused = with("", &[("MAYPOLE_REDIS_CACHE_ULR", "x")]).unwrap_err();
    assert!(refused.contains("MAYPOLE_REDIS_CACHE_ULR"), "{refused}");
}
