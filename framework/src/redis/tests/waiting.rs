//! Calls that were gathered and are not written yet: their time, their number, their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::server::{Server, eventually};
use crate::redis::dial::Dialer;
use crate::redis::gather::Call;
use crate::redis::link::{Link, LinkLimits};
use crate::redis::outage::Outage;
use crate::redis::{EachKey, LinkState, Redis, RedisError, Script};
use crate::runtime::{sleep, spawn};

const PATIENCE: Duration = Duration::from_secs(20);

/// As a script of a store does: what is refused is said in the answer, not by an error.
const PUT: &str = "\
local said, refused = {}, ''
for i = 1, #KEYS do
  local err = redis.pcall('SET', KEYS[i], ARGV[i]).err
  said[i] = err and 'e' or '1'
  refused = err or refused
end
return table.concat(said) .. refused";

fn put(redis: &Redis, script: &Script, key: &str) -> Result<Value, RedisError> {
    redis.each(&EachKey { script, key: key.as_bytes(), args: &[&[b"v"]], shared: &[b""] })
}

fn link(server: &Server, timeout: Duration) -> Link {
    let mut settings = server.settings();
    settings.connect_timeout = PATIENCE;
    let dialer = Dialer::new(&settings).unwrap();
    let limits = LinkLimits { queue: 100, timeout, reconnect_max: timeout };
    Link::new(limits, Outage::of("waiting"), Box::new(move || dialer.dial()))
}

/// The first of a round is gone before it could write for the others.
#[test]
fn calls_that_nobody_writes_end_with_their_connection() {
    let server = Server::start();
    server.cli(&["SET", "k", "v"]);
    let value = Ok(Value::BulkString(b"v".to_vec()));
    let link = link(&server, Duration::from_millis(500));
    eventually("it works", PATIENCE, || link.call(Call::Get(b"k")) == value);
    drop(link.gather(Call::Get(b"k")).unwrap());
    assert_eq!(link.call(Call::Get(b"k")), Err(RedisError::Timeout { sent: true }));
    eventually("the next connection works", PATIENCE, || link.call(Call::Get(b"k")) == value);
}

#[test]
fn each_call_has_its_own_time() {
    let server = Server::start();
    let timeout = Duration::from_secs(2);
    let link = Arc::new(link(&server, timeout));
    eventually("it works", PATIENCE, || link.call(Call::Get(b"k")).is_ok());
    server.freeze();
    // More than the kernel takes, so that what comes after it waits in this process.
    let large = link.submit(&[cmd("SET").arg("k").arg(vec![0_u8; 15_000_000])]).unwrap();
    link.flush_soon(&large);
    let start = || {
        let link = Arc::clone(&link);
        let work = move || {
            let begun = Instant::now();
            (link.call(Call::Get(b"k")), begun.elapsed())
        };
        spawn(work).unwrap()
    };
    let early = start();
    sleep(timeout / 3 * 2);
    let late = start();
    for child in [early, late] {
        let (answer, waited) = child.join().unwrap();
        assert_eq!(answer, Err(RedisError::Timeout { sent: true }));
        assert!(waited >= timeout, "after {waited:?}");
    }
    server.thaw();
}

#[test]
fn calls_count_until_they_are_answered() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.queue = 10;
    settings.shared_connections = 1;
    // The connection is given up after three of them; until then its answers are awaited.
    settings.command_timeout = Duration::from_millis(1500);
    let redis = Redis::open(&settings).unwrap();
    eventually("it works", PATIENCE, || redis.ask(&cmd("PING")).is_ok());
    server.freeze();
    let many = redis.get_many(&[b"k"; 12]).unwrap();
    let count = |wanted: &RedisError| many.iter().filter(|it| it.as_ref() == Err(wanted)).count();
    assert_eq!(count(&RedisError::Busy), 2, "{many:?}");
    assert_eq!(count(&RedisError::Timeout { sent: true }), 10, "{many:?}");
    assert_eq!(redis.get(b"k"), Err(RedisError::Busy), "their answers are still to come");
    server.thaw();
    eventually("there is room again", PATIENCE, || {
        redis.get_many(&[b"k"; 10]).unwrap().iter().all(Result::is_ok)
    });
}

/// Behind one name there may be another server by now.
#[test]
fn a_replica_that_refuses_within_a_script_is_left() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.command_timeout = PATIENCE;
    let redis = Redis::open(&settings).unwrap();
    let script = Script::new(PUT);
    assert_eq!(put(&redis, &script, "k"), Ok(Value::Int(1)));
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    // A young connection is not left, or a server that stays a replica would be dialled all the time.
    sleep(Duration::from_millis(1100));
    let LinkState::Up(first) = redis.state() else { panic!("{:?}", redis.state()) };
    assert_eq!(put(&redis, &script, "k"), Err(RedisError::ReadOnly));
    eventually(
        "another connection",
        PATIENCE,
        || matches!(redis.state(), LinkState::Up(next) if next != first),
    );
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    eventually("it writes", PATIENCE, || put(&redis, &script, "k").is_ok());
}

#[test]
fn a_dead_peer_is_called_so() {
    let server = Server::start();
    let link = link(&server, Duration::from_millis(100));
    eventually("it works", PATIENCE, || link.call(Call::Get(b"k")).is_ok());
    server.freeze();
    eventually("the connection is given up", PATIENCE, || {
        link.call(Call::Get(b"k")).is_err() && matches!(link.state(), LinkState::Down(..))
    });
    // Its reader finds that it was closed, and the next one cannot greet: neither is the reason.
    sleep(Duration::from_millis(20));
    let LinkState::Down(_, why) = link.state() else { panic!("{:?}", link.state()) };
    server.thaw();
    assert!(why.to_string().contains("does not answer"), "{why}");
}
