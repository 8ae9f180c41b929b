//! What a server says of its redis when it starts.

use crate::support::{PATIENCE, Redis, TempDir, Testee, is_installed, wait_until};

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
