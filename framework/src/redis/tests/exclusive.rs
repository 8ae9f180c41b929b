//! Exclusive connections.

use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::server::Server;
use crate::redis::{Redis, RedisError};
use crate::runtime::{sleep, spawn};

#[test]
fn a_watch_belongs_to_one_user_and_is_forgotten_after_him() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.pool_size = 1;
    let redis = Redis::open(&settings).unwrap();
    let mut mine = redis.exclusive().unwrap();
    let transaction =
        |value: &str| [cmd("MULTI"), cmd("SET").arg("k").arg(value).take(), cmd("EXEC")];
    mine.ask(cmd("WATCH").arg("k")).unwrap();
    redis.ask(cmd("SET").arg("k").arg("other")).unwrap();
    let answers = mine.send(&transaction("mine")).unwrap();
    assert_eq!(answers[2], Ok(Value::Nil), "somebody changed the watched key");
    mine.ask(cmd("WATCH").arg("k")).unwrap();
    drop(mine);
    let mut next = redis.exclusive().unwrap();
    redis.ask(cmd("SET").arg("k").arg("again")).unwrap();
    let answers = next.send(&transaction("next")).unwrap();
    assert!(matches!(answers[2], Ok(Value::Array(_))), "{:?}", answers[2]);
}

#[test]
fn a_connection_that_timed_out_is_never_used_again() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.pool_size = 1;
    let redis = Redis::open(&settings).unwrap();
    spawn(move || {
        let mut first = redis.exclusive().unwrap();
        let block = cmd("BLPOP").arg("list").arg(0).take();
        let outcome = first.send_within(&[block], Duration::from_millis(100));
        assert_eq!(outcome, Err(RedisError::Timeout { sent: true }));
        assert!(matches!(first.ask(&cmd("PING")), Err(RedisError::Down(_))));
        drop(first);
        let mut second = redis.exclusive().unwrap();
        redis.ask(cmd("RPUSH").arg("list").arg("late")).unwrap();
        assert_eq!(second.ask(cmd("ECHO").arg("mine")), Ok(Value::BulkString(b"mine".to_vec())));
    })
    .unwrap()
    .join()
    .unwrap();
}

#[test]
fn when_all_are_taken_the_others_are_told_and_nobody_else_waits() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.pool_size = 2;
    settings.command_timeout = Duration::from_secs(3);
    let redis = Redis::open(&settings).unwrap();
    let holders: Vec<_> = (0..2).map(|_| redis.exclusive().unwrap()).collect();
    let waiters: Vec<_> = (0..32)
        .map(|_| {
            let redis = redis.clone();
            spawn(move || redis.exclusive().map(drop)).unwrap()
        })
        .collect();
    let bystander = spawn(|| {
        (0..50)
            .map(|_| {
                let begin = Instant::now();
                sleep(Duration::from_millis(2));
                begin.elapsed()
            })
            .max()
            .unwrap()
    });
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Err(RedisError::Timeout { sent: false }));
    }
    let worst = bystander.unwrap().join().unwrap();
    // Who waited on the thread itself would hold it for all of the three seconds.
    assert!(worst < Duration::from_millis(2500), "an unrelated coroutine waited {worst:?}");
    drop(holders);
    assert!(redis.exclusive().unwrap().ask(&cmd("PING")).is_ok());
}

#[test]
fn after_a_restart_dead_connections_are_replaced_unseen() {
    let mut server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    for _ in 0..4 {
        redis.exclusive().unwrap().ask(&cmd("PING")).unwrap();
    }
    server.kill();
    server.launch_and_wait();
    for _ in 0..16 {
        let answer = redis.exclusive().and_then(|mut one| one.ask(&cmd("PING")));
        assert_eq!(answer, Ok(Value::SimpleString("PONG".to_owned())));
    }
}
