//! What a server may do to the shared connection.

use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::server::{Server, eventually};
use crate::config::RedisSettings;
use crate::redis::{LinkState, Redis, RedisError, Script};
use crate::runtime::{sleep, spawn};

const PATIENCE: Duration = Duration::from_secs(10);

fn echo(text: &str) -> redis::Cmd {
    cmd("ECHO").arg(text).take()
}

fn text(value: &str) -> Value {
    Value::BulkString(value.as_bytes().to_vec())
}

#[test]
fn late_answers_reach_nobody_else() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = Duration::from_millis(200);
    let redis = Redis::open(&settings).unwrap();
    redis.ask(&echo("first")).unwrap();
    let children: Vec<_> = (0..64)
        .map(|number| {
            let redis = redis.clone();
            spawn(move || {
                let (mut good, mut late) = (0, 0);
                for round in 0..400 {
                    let mine = format!("{number}-{round}");
                    match redis.ask(&echo(&mine)) {
                        Ok(answer) => {
                            assert_eq!(answer, text(&mine), "somebody else's answer");
                            good += 1;
                        }
                        Err(RedisError::Timeout { sent: true }) => late += 1,
                        Err(error) => panic!("{error:?}"),
                    }
                    sleep(Duration::from_millis(2));
                }
                (good, late)
            })
            .unwrap()
        })
        .collect();
    // Each is longer than the time-out and shorter than what makes a peer dead.
    server.cli(&["CLIENT", "PAUSE", "350"]);
    sleep(Duration::from_millis(600));
    server.cli(&["DEBUG", "SLEEP", "0.35"]);
    let counts: Vec<(u32, u32)> = children.into_iter().map(|child| child.join().unwrap()).collect();
    let late: u32 = counts.iter().map(|(_, late)| late).sum();
    assert!(late >= 64, "each waited in vain at least once: {late}");
    assert!(counts.iter().all(|(good, _)| *good > 0), "and went on afterwards: {counts:?}");
    let clients = server.cli(&["INFO", "stats"]);
    assert!(clients.contains("total_connections_received"), "{clients}");
}

#[test]
fn a_peer_that_is_dead_is_left() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = Duration::from_millis(100);
    let redis = Redis::open(&settings).unwrap();
    redis.ask(&cmd("PING")).unwrap();
    server.freeze();
    let begin = Instant::now();
    assert_eq!(redis.ask(&cmd("PING")), Err(RedisError::Timeout { sent: true }));
    assert!(begin.elapsed() < Duration::from_secs(1));
    eventually("the connection is given up", PATIENCE, || {
        matches!(redis.state(), LinkState::Down(..))
    });
    server.thaw();
    eventually("another one works", PATIENCE, || redis.ask(&cmd("PING")).is_ok());
}

#[test]
fn a_full_queue_refuses_at_once() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.queue = 10;
    settings.shared_connections = 1;
    settings.command_timeout = PATIENCE;
    let redis = Redis::open(&settings).unwrap();
    redis.ask(&cmd("PING")).unwrap();
    server.freeze();
    let waiting = {
        let redis = redis.clone();
        spawn(move || redis.send(&vec![cmd("PING"); 10])).unwrap()
    };
    // The ten get in before anybody else comes; a machine that needs longer fails this test.
    sleep(Duration::from_millis(300));
    let begin = Instant::now();
    assert_eq!(redis.ask(&cmd("PING")), Err(RedisError::Busy));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    server.thaw();
    assert_eq!(waiting.join().unwrap().unwrap().len(), 10);
    assert!(redis.ask(&cmd("PING")).is_ok());
}

#[test]
fn a_lost_connection_tells_what_may_have_happened() {
    let mut server = Server::start();
    let settings = RedisSettings { shared_connections: 1, ..server.settings() };
    let redis = Redis::open(&settings).unwrap();
    redis.ask(&cmd("PING")).unwrap();
    server.freeze();
    let asked = {
        let redis = redis.clone();
        spawn(move || redis.ask(&cmd("PING"))).unwrap()
    };
    sleep(Duration::from_millis(50));
    server.kill();
    let error = asked.join().unwrap().unwrap_err();
    assert!(error.is_unknown_outcome(), "it was sent: {error:?}");
    let error = redis.ask(&cmd("PING")).unwrap_err();
    assert!(!error.is_unknown_outcome() && error.is_outage(), "this one was not: {error:?}");
}

#[test]
fn a_value_larger_than_the_buffers_of_the_kernel_gets_through() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = Duration::from_secs(10);
    let redis = Redis::open(&settings).unwrap();
    let large = vec![b'x'; 20_000_000];
    let children: Vec<_> = (0..4)
        .map(|number| {
            let (redis, large) = (redis.clone(), large.clone());
            spawn(move || {
                redis.ask(cmd("SET").arg(number).arg(&large)).unwrap();
                redis.ask(cmd("STRLEN").arg(number))
            })
            .unwrap()
        })
        .collect();
    for child in children {
        assert_eq!(child.join().unwrap(), Ok(Value::Int(20_000_000)));
    }
    assert_eq!(redis.ask(cmd("GET").arg(3)), Ok(Value::BulkString(large)));
}

#[test]
fn a_server_that_loads_its_data_says_so() {
    let mut server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    redis.ask(cmd("SET").arg("last").arg(1)).unwrap();
    server.cli(&["DEBUG", "POPULATE", "3000"]);
    server.cli(&["SAVE"]);
    server.kill();
    eventually("its end is seen", PATIENCE, || matches!(redis.state(), LinkState::Down(..)));
    // Half a millisecond for each key, and an ear for clients now and then.
    let slowly = ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"];
    server.add_arguments(&slowly);
    server.launch();
    let mut has_loaded = false;
    eventually("it has loaded", Duration::from_secs(30), || {
        match redis.ask(cmd("GET").arg("last")) {
            Ok(value) => value == text("1"),
            Err(error) => {
                has_loaded |= error == RedisError::Loading;
                assert!(error.is_outage() && !error.is_unknown_outcome(), "{error:?}");
                false
            }
        }
    });
    assert!(has_loaded, "it took its time, so somebody was told");
}

#[test]
fn a_full_server_refuses_writes_and_serves_reads() {
    let server = Server::start_with(&["--maxmemory-policy", "noeviction"]);
    let redis = Redis::open(&server.settings()).unwrap();
    redis.ask(cmd("SET").arg("k").arg("v")).unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(redis.ask(cmd("SET").arg("k").arg("w")), Err(RedisError::OutOfMemory));
    let script = Script::new("return redis.call('SET', KEYS[1], ARGV[1])");
    assert_eq!(redis.script(&script, &[b"k"], &[b"w"]), Err(RedisError::OutOfMemory));
    assert_eq!(redis.ask(cmd("GET").arg("k")), Ok(text("v")));
}

#[test]
fn a_replica_says_so_and_is_asked_anew_after_its_promotion() {
    let master = Server::start();
    let replica = Server::start();
    let redis = Redis::open(&replica.settings()).unwrap();
    redis.ask(&cmd("PING")).unwrap();
    replica.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    assert_eq!(redis.ask(cmd("SET").arg("k").arg("v")), Err(RedisError::ReadOnly));
    let script = Script::new("return redis.call('SET', KEYS[1], ARGV[1])");
    assert_eq!(redis.script(&script, &[b"k"], &[b"w"]), Err(RedisError::ReadOnly));
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    eventually("it writes again", PATIENCE, || redis.ask(cmd("SET").arg("k").arg("v")).is_ok());
}

#[test]
fn twenty_restarts_under_load_are_survived_each_within_a_second() {
    let mut server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    redis.ask(&cmd("PING")).unwrap();
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let children: Vec<_> = (0..64)
        .map(|number| {
            let (redis, is_over) = (redis.clone(), std::sync::Arc::clone(&is_over));
            spawn(move || {
                let mut round = 0;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let mine = format!("{number}-{round}");
                    round += 1;
                    match redis.ask(&echo(&mine)) {
                        Ok(answer) => assert_eq!(answer, text(&mine)),
                        Err(_) => sleep(Duration::from_millis(5)),
                    }
                }
            })
            .unwrap()
        })
        .collect();
    let mut waits = Vec::new();
    for _ in 0..20 {
        server.kill();
        eventually("the end is noticed", PATIENCE, || redis.ask(&cmd("PING")).is_err());
        server.launch_and_wait();
        waits.push(eventually("it is back", PATIENCE, || redis.ask(&cmd("PING")).is_ok()));
        eventually("it is at work", PATIENCE, || redis.ask(&cmd("PING")).is_ok());
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    for child in children {
        child.join().unwrap();
    }
    waits.sort();
    println!("back after redis: median {:?}, worst {:?}", waits[10], waits[19]);
    assert!(waits[19] < Duration::from_secs(1), "{waits:?}");
}
