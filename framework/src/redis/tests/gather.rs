//! Calls that travel together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Value, cmd};

use super::server::Server;
use crate::redis::{Answer, EachKey, Redis, RedisError, Script};
use crate::runtime::{sleep, spawn};

const CALLERS: u32 = 64;

/// Adds what it is given to a number; refuses what is no number.
const ADD: &str = "\
local said, refused = {}, ''
for i = 1, #KEYS do
  local sum = redis.pcall('INCRBY', KEYS[i], ARGV[i])
  said[i] = type(sum) == 'number' and '1' or 'e'
  if type(sum) == 'table' then refused = sum.err end
end
redis.call('APPEND', 'log', ARGV[#ARGV])
return table.concat(said) .. refused";

fn add(redis: &Redis, script: &Script, key: &str, number: &str) -> Answer {
    // In pieces, of which the second is empty.
    let args: &[&[&[u8]]] = &[&[number.as_bytes(), b""]];
    redis.each(&EachKey { script, key: key.as_bytes(), args, shared: &[b"+"] })
}

/// Runs `work` on as many coroutines as there are callers, at the same time.
fn at_once(redis: &Redis, work: impl Fn(&Redis, u32) + Clone + Send + 'static) {
    let start = |number| {
        let (redis, work) = (redis.clone(), work.clone());
        spawn(move || work(&redis, number)).unwrap()
    };
    let children: Vec<_> = (0..CALLERS).map(start).collect();
    children.into_iter().for_each(|child| child.join().unwrap());
}

fn calls(server: &Server, name: &str) -> u32 {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
    let count = line.and_then(|line| line.split("calls=").nth(1)?.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn many_loads_are_few_commands_and_everybody_gets_his_own() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    at_once(&redis, |redis, number| {
        let (mine, nobodys) = (number.to_string(), format!("no-{number}"));
        redis.ask(cmd("SET").arg(&mine).arg(format!("of {mine}"))).unwrap();
        let expected = Value::BulkString(format!("of {mine}").into_bytes());
        for _ in 0..50 {
            assert_eq!(redis.get(mine.as_bytes()), Ok(expected.clone()));
            let both = redis.get_many(&[&nobodys, &mine]).unwrap();
            assert_eq!(both, [Ok(Value::Nil), Ok(expected.clone())]);
        }
    });
    let (alone, together) = (calls(&server, "get"), calls(&server, "mget"));
    println!("{} loads in {alone} GET and {together} MGET", CALLERS * 150);
    assert!(alone + together < CALLERS * 150 / 2, "{alone} GET, {together} MGET");
}

#[test]
fn a_lone_load_is_a_get() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    assert_eq!(redis.get(b"k"), Ok(Value::Nil));
    redis.ask(cmd("LPUSH").arg("list").arg(1)).unwrap();
    assert!(matches!(redis.get(b"list"), Err(RedisError::Server(_))), "it is no string");
    assert_eq!((calls(&server, "get"), calls(&server, "mget")), (2, 0));
    assert_eq!(redis.get_many::<&[u8]>(&[]), Ok(vec![]));
}

#[test]
fn scripts_run_together_and_one_refusal_is_its_own() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let script = Script::new(ADD);
    at_once(&redis, move |redis, number| {
        for _ in 0..50 {
            if number % 8 == 0 {
                let refused = add(redis, &script, &number.to_string(), "no number");
                assert!(matches!(refused, Err(RedisError::Server(_))), "{refused:?}");
            } else {
                assert_eq!(add(redis, &script, &number.to_string(), "2"), Ok(Value::Int(1)));
            }
        }
    });
    for number in 0..CALLERS {
        let expected = if number % 8 == 0 { "" } else { "100" };
        assert_eq!(server.cli(&["GET", &number.to_string()]), expected);
    }
    assert_eq!(server.cli(&["STRLEN", "log"]), (CALLERS * 50).to_string(), "all that was shared");
    let commands = calls(&server, "evalsha") + calls(&server, "eval");
    println!("{} calls in {commands} commands", CALLERS * 50);
    assert!(commands < CALLERS * 50 / 2, "{commands} commands");
}

#[test]
fn all_of_a_command_that_the_server_does_not_know_are_made_again() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let script = Script::new(ADD);
    at_once(&redis, move |redis, number| {
        for round in 0..20 {
            if number == 0 && round % 5 == 0 {
                redis.ask(cmd("SCRIPT").arg("FLUSH")).unwrap();
            }
            assert_eq!(add(redis, &script, "sum", "1"), Ok(Value::Int(1)));
        }
    });
    assert_eq!(server.cli(&["GET", "sum"]), (CALLERS * 20).to_string());
}

#[test]
fn large_ones_travel_apart_and_small_ones_with_them() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let script = Script::new("redis.call('SET', KEYS[1], ARGV[1]) return string.rep('1', #KEYS)");
    at_once(&redis, move |redis, number| {
        let value = vec![b'x'; if number % 2 == 0 { 300_000 } else { 3 }];
        let key = number.to_string();
        let each =
            EachKey { script: &script, key: key.as_bytes(), args: &[&[&value]], shared: &[b""] };
        assert_eq!(redis.each(&each), Ok(Value::Int(1)));
        assert_eq!(redis.get(b"unknown"), Ok(Value::Nil));
    });
}

#[test]
fn late_answers_reach_nobody_else() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = Duration::from_secs(2);
    // Another one could meet its first pause while it is made.
    settings.shared_connections = 1;
    let redis = Redis::open(&settings).unwrap();
    let script = Script::new(ADD);
    let is_over = Arc::new(AtomicBool::new(false));
    let (pauses, over) = (redis.clone(), Arc::clone(&is_over));
    let pause = spawn(move || {
        for _ in 0..2 {
            // Longer than the time-out, and shorter than the three of them that make a peer dead, also
            // where the machine stands still for two seconds.
            pauses.ask(cmd("DEBUG").arg("SLEEP").arg("3")).ok();
            // Redis may tell what it did before a pause only after it: two in a row would be one.
            while pauses.ask(&cmd("PING")).is_err() {}
            sleep(Duration::from_millis(300));
        }
        over.store(true, Ordering::Release);
    });
    at_once(&redis, move |redis, number| {
        let mine = format!("n{number}");
        let (mut done, mut unknown, mut late) = (0, 0, 0);
        while !is_over.load(Ordering::Acquire) {
            match add(redis, &script, &mine, "1") {
                Ok(verdict) => {
                    assert_eq!(verdict, Value::Int(1));
                    done += 1;
                }
                Err(RedisError::Timeout { sent: true }) => unknown += 1,
                Err(error) => panic!("{error:?}"),
            }
            match redis.get(mine.as_bytes()) {
                Ok(Value::BulkString(count)) => {
                    let count: u32 = String::from_utf8(count).unwrap().parse().unwrap();
                    assert!((done..=done + unknown).contains(&count), "{count}: {done} {unknown}");
                }
                Ok(Value::Nil) => assert_eq!(done, 0),
                Err(RedisError::Timeout { sent: true }) => late += 1,
                odd => panic!("{odd:?}"),
            }
            sleep(Duration::from_millis(3));
        }
        assert!(unknown + late > 0, "it waited in vain at least once");
    });
    pause.unwrap().join().unwrap();
}
