//! What a server says of its redis when it starts.

use crate::support::{
    PATIENCE, Process, Redis, TempDir, Testee, free_port, is_installed, wait_until,
};

/// What a program with these settings says when it ends; `{url}` stands for the server's.
#[track_caller]
fn refusal(redis: &Redis, text: &str, variables: &[(&str, &str)]) -> String {
    let directory = TempDir::new();
    let text = format!("[session]\nbackend = redis\n{text}").replace("{url}", &redis.url());
    std::fs::write(directory.path().join("config.ini"), text).expect("a file");
    let mut command = Testee::command(directory.path());
    let (code, words) = Process::start(command.envs(variables.iter().copied())).end_with_words();
    assert_eq!(code, Some(1), "{words}");
    assert!(!words.contains("panicked") && !words.contains("listens"), "{words}");
    words
}

#[test]
fn what_redis_refuses_is_told_with_its_line_and_what_would_be_right() {
    if !is_installed("redis-server") {
        return;
    }
    let redis = Redis::start();
    let check = |text: &str, variables: &[(&str, &str)], expected: &str| {
        let words = refusal(&redis, text, variables);
        assert!(words.contains(expected), "{expected:?} is missing: {words}");
    };
    check(
        "[redis.default]\nurl = {url}\n\ndatabase = 99\n",
        &[],
        "config.ini:6: [redis.default] database: redis has no database 99; 0 is always there",
    );
    check(
        "[redis.default]\nurl = {url}/98\n",
        &[],
        "config.ini:4: [redis.default] url: redis has no database 98",
    );
    let file = "tls_ca: TLS to redis cannot use the certificates /no/such/file";
    check(
        "[redis.default]\nurl = rediss://127.0.0.1\ntls_ca = /no/such/file\n",
        &[],
        &format!("config.ini:5: [redis.default] {file}"),
    );
    redis.run("CONFIG SET requirepass secret");
    check(
        "[redis.default]\nurl = {url}\n",
        &[],
        "config.ini:4: [redis.default] url: redis wants a password; write password = ..",
    );
    let refused = "redis refuses this user or password; it takes";
    check(
        "[redis.default]\nurl = {url}\npassword = wrong\n",
        &[],
        &format!("config.ini:5: [redis.default] password: {refused}"),
    );
    check(
        "[redis.default]\nurl = {url}\n",
        &[("MAYPOLE_REDIS_DEFAULT_PASSWORD", "wrong")],
        &format!("MAYPOLE_REDIS_DEFAULT_PASSWORD: [redis.default] password: {refused}"),
    );
    // A server is no sentinel, but refuses a password in the same words.
    let sentinel =
        format!("[redis.default]\nsentinels = 127.0.0.1:{}\nmaster_name = m\n", redis.port());
    let refused = "a sentinel does not let us in; sentinels have users and passwords of their own";
    let odd =
        "config.ini:4: [redis.default] sentinels: what answers there does not do what is asked";
    check(&sentinel, &[], odd);
    check(
        &format!("{sentinel}sentinel_password = wrong\n"),
        &[],
        &format!("config.ini:6: [redis.default] sentinel_password: {refused}"),
    );
}

#[test]
fn a_password_in_a_url_is_not_told_with_its_line() {
    if !is_installed("redis-server") {
        return;
    }
    let redis = Redis::start();
    redis.run("CONFIG SET requirepass secret");
    let refused = "redis refuses this user or password; it takes";
    let url = redis.url().replace("//", "//:not-this@");
    let words = refusal(&redis, &format!("[redis.default]\nurl = {url}\n"), &[]);
    assert!(words.contains(&format!("config.ini:4: [redis.default] url: {refused}")), "{words}");
    assert!(!words.contains("not-this"), "a password: {words}");
}

#[test]
fn a_redis_that_is_away_is_told_with_its_line() {
    let port = free_port();
    let directory = TempDir::new();
    let text =
        format!("[session]\nbackend = redis\n[redis.default]\nurl = redis://127.0.0.1:{port}\n");
    std::fs::write(directory.path().join("config.ini"), text).expect("a file");
    let mut testee = Testee::start(directory.path(), &[]);
    let words = testee.process.words_so_far().join("\n");
    let told = "config.ini:4: [redis.default] url: sessions are unavailable until redis is there";
    assert!(words.contains(told) && words.contains("refused"), "{words}");
}

fn with_replicas(redis: &Redis, directory: &TempDir, backend: &str, wanted: &str) -> Testee {
    let settings = [
        ("MAYPOLE_SESSION_BACKEND", backend),
        ("MAYPOLE_REDIS_DEFAULT_URL", &redis.url()),
        ("MAYPOLE_SESSION_REDIS_WAIT_REPLICAS", wanted),
        ("MAYPOLE_SESSION_REDIS_WAIT_TIMEOUT", "50ms"),
    ];
    Testee::start(directory.path(), &settings)
}

/// How often it was told until the end of the program.
fn told(testee: Testee) -> usize {
    testee.process.signal(libc::SIGTERM);
    let (code, words) = testee.process.end_with_words();
    assert_eq!(code, Some(0), "{words}");
    let told = |line: &&str| line.contains("WARN") && line.contains("wait_replicas = ");
    let told: Vec<_> = words.lines().filter(told).collect();
    for line in &told {
        assert!(line.contains("503") && line.contains("lower wait_replicas"), "{line}");
    }
    told.len()
}

#[test]
fn too_few_replicas_are_told_once() {
    if !is_installed("redis-server") {
        return;
    }
    let (master, replica) = (Redis::start(), Redis::start());
    for backend in ["redis", "tiered"] {
        let directory = TempDir::new();
        let mut testee = with_replicas(&master, &directory, backend, "1");
        let words = testee.process.words_so_far().join("\n");
        assert!(words.contains("wait_replicas = 1, but 0 replicas"), "at start: {words}");
        for _ in 0..3 {
            assert_eq!(testee.browser().get("/count").status, 503, "as it was told");
        }
        assert_eq!(told(testee), 1, "at start, and not again");
        let testee = with_replicas(&master, &directory, backend, "0");
        assert_eq!(testee.browser().get("/count").status, 200);
        assert_eq!(told(testee), 0, "nobody asked for replicas");
    }
    replica.run(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    wait_until("the replica is in step", PATIENCE, || {
        master.run("INFO replication").text().contains("state=online")
    });
    let directory = TempDir::new();
    let testee = with_replicas(&master, &directory, "redis", "1");
    wait_until("a save is acknowledged", PATIENCE, || testee.browser().get("/count").status == 200);
    // Redis counts a replica for a while after it has gone.
    replica.kill();
    wait_until("a save is not", PATIENCE, || testee.browser().get("/count").status == 503);
    assert_eq!(testee.browser().get("/count").status, 503);
    assert_eq!(told(testee), 1, "when it is seen first");
}
