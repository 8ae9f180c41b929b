//! The shared connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::server::{Server, eventually};
use crate::config::RedisSettings;
use crate::redis::{LinkState, Redis, RedisError, Script};
use crate::runtime::{spawn, workers};

const PATIENCE: Duration = Duration::from_secs(20);

fn text(value: &str) -> Value {
    Value::BulkString(value.as_bytes().to_vec())
}

#[test]
fn sixty_four_coroutines_get_their_own_answers() {
    for shared_connections in [1, 4] {
        let server = Server::start();
        let settings = RedisSettings { shared_connections, ..server.settings() };
        let redis = Redis::open(&settings).unwrap();
        sixty_four_ask(&redis);
        // Until it has one of its own, a worker uses another's.
        let expected = shared_connections.min(workers());
        eventually("there are so many", PATIENCE, || connections(&server) >= expected);
        assert_eq!(connections(&server), expected);
    }
}

/// One worker has a connection, and the server takes no more of them.
#[test]
fn a_worker_without_a_connection_uses_anothers() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    redis.ask(&cmd("PING")).unwrap();
    let maxclients = |count: &str| {
        let command = cmd("CONFIG").arg("SET").arg("maxclients").arg(count).take();
        assert_eq!(redis.ask(&command), Ok(Value::Okay));
    };
    maxclients("1");
    sixty_four_ask(&redis);
    maxclients("10000");
    eventually("each worker has its own", PATIENCE, || {
        sixty_four_ask(&redis);
        connections(&server) == workers().min(4)
    });
    // All lose theirs, and only one gets another.
    let limits = [cmd("CONFIG").arg("SET").arg("maxclients").arg("1").take()];
    let kill = [cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("no").take()];
    redis.send(&[limits, kill].concat()).ok();
    eventually("one is back", PATIENCE, || redis.ask(&cmd("PING")).is_ok());
    sixty_four_ask(&redis);
}

/// While there is another, nobody who only asks hears that a connection has ended.
#[test]
fn a_connection_that_ends_takes_no_question_with_it() {
    if workers() < 2 {
        return;
    }
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    // Those that have carried a question: what redis has let in need not be in use here yet.
    let connections = || {
        let clients = server.cli(&["CLIENT", "LIST", "TYPE", "normal"]);
        let ours = clients.lines().filter(|line| line.contains("name=maypole-test"));
        let ours = ours.filter(|line| line.contains(" cmd=get ") || line.contains(" cmd=mget "));
        ours.filter_map(|line| Some(line.split_once("id=")?.1.split(' ').next()?.to_owned()))
            .collect::<Vec<_>>()
    };
    for number in 0..64 {
        redis.ask(cmd("SET").arg(format!("key{number}")).arg(number)).unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let children: Vec<_> = (0..64)
        .map(|number| {
            let (redis, is_over) = (redis.clone(), Arc::clone(&is_over));
            spawn(move || {
                let key = format!("key{number}");
                while !is_over.load(Ordering::Relaxed) {
                    let expected = Ok(text(&number.to_string()));
                    assert_eq!(redis.get(key.as_bytes()), expected);
                    assert_eq!(
                        redis.get_many(&[&key, &key]).unwrap(),
                        [expected.clone(), expected]
                    );
                }
            })
            .unwrap()
        })
        .collect();
    for turn in 0..30 {
        eventually("each worker has its own", PATIENCE, || connections().len() == workers().min(4));
        let ours = connections();
        server.cli(&["CLIENT", "KILL", "ID", &ours[turn % ours.len()]]);
    }
    is_over.store(true, Ordering::Relaxed);
    for child in children {
        child.join().unwrap();
    }
}

/// How many there are to this server.
fn connections(server: &Server) -> usize {
    server.cli(&["CLIENT", "LIST", "TYPE", "normal"]).matches("name=maypole-test").count()
}

fn sixty_four_ask(redis: &Redis) {
    let children: Vec<_> = (0..64)
        .map(|number| {
            let redis = redis.clone();
            spawn(move || {
                for round in 0..200 {
                    let value = format!("{number}-{round}");
                    let set = cmd("SET").arg(number).arg(&value).take();
                    let get = cmd("GET").arg(number).take();
                    let answers = redis.send(&[set, get]).unwrap();
                    assert_eq!(answers, [Ok(Value::Okay), Ok(text(&value))]);
                }
            })
            .unwrap()
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
}

#[test]
fn a_plain_thread_can_ask_too() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    assert_eq!(redis.state(), LinkState::Unused, "nothing is connected before it is wanted");
    assert_eq!(redis.ask(cmd("ECHO").arg("here")), Ok(text("here")));
    assert!(matches!(redis.state(), LinkState::Up(_)));
    assert_eq!(redis.send(&[]), Ok(vec![]));
}

#[test]
fn a_script_is_sent_in_full_only_when_it_is_not_known() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let script = Script::new("return {KEYS[1], ARGV[1]}");
    let expected = Ok(Value::Array(vec![text("k"), text("a")]));
    assert_eq!(redis.script(&script, &[b"k"], &[b"a"]), expected);
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(redis.script(&script, &[b"k"], &[b"a"]), expected);
    assert_eq!(redis.script(&script, &[b"k"], &[b"a"]), expected);
    let stats = server.cli(&["INFO", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(name)).expect("was called");
        line.split("calls=").nth(1).unwrap().split(',').next().unwrap().to_owned()
    };
    assert_eq!((calls("cmdstat_eval:"), calls("cmdstat_evalsha:")), ("2".into(), "3".into()));
}

#[test]
fn after_kill_and_restart_it_is_back_soon() {
    let mut server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    redis.ask(&cmd("PING")).unwrap();
    server.kill();
    eventually("the end is noticed", PATIENCE, || matches!(redis.state(), LinkState::Down(..)));
    let refusal = || {
        let begin = Instant::now();
        let refused = redis.ask(&cmd("PING"));
        assert!(matches!(refused, Err(RedisError::Down(_))), "{refused:?}");
        begin.elapsed()
    };
    // The machine may stand still in one of them; who waits for something waits each time.
    let quickest = (0..20).map(|_| refusal()).min().unwrap();
    assert!(
        quickest < Duration::from_millis(200),
        "not at once, while redis is down: {quickest:?}"
    );
    server.launch_and_wait();
    let late = eventually("it is connected again", PATIENCE, || redis.ask(&cmd("PING")).is_ok());
    println!("back {late:?} after redis");
}
