//! A load and a swap as a session store does them, by 64 coroutines. As a test it is short; with
//! `MAYPOLE_ROUNDS=2000 cargo test --release -p maypole --lib redis::tests::measure -- --nocapture`
//! it measures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use redis::{Value, cmd};

use super::server::Server;
use crate::redis::{Redis, Script};
use crate::runtime::spawn;

const COROUTINES: u32 = 64;

const SWAP: &str = "local v = redis.call('GET', KEYS[1]) \
    if not v or string.sub(v, 1, 8) ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2], 'PX', 60000) return 1";

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().unwrap())
}

fn record(version: u32) -> Vec<u8> {
    let mut record = format!("{version:08}").into_bytes();
    record.resize(300, b'x');
    record
}

#[test]
fn loads_and_swaps_of_many_coroutines_lose_nothing() {
    let rounds = std::env::var("MAYPOLE_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds: u32 = rounds.unwrap_or(50);
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let script = Arc::new(Script::new(SWAP));
    for key in 0..COROUTINES {
        redis.ask(cmd("SET").arg(key).arg(record(0))).unwrap();
    }
    let (begin, cpu_before) = (Instant::now(), cpu());
    let children: Vec<_> = (0..COROUTINES)
        .map(|key| {
            let (redis, script) = (redis.clone(), Arc::clone(&script));
            spawn(move || {
                let key = key.to_string();
                for round in 0..rounds {
                    let loaded = redis.ask(cmd("GET").arg(&key)).unwrap();
                    let expected = record(round);
                    let (old, new) = (&expected[..8], record(round + 1));
                    let swapped = redis.script(&script, &[key.as_bytes()], &[old, &new]);
                    assert_eq!(loaded, Value::BulkString(expected.clone()));
                    assert_eq!(swapped, Ok(Value::Int(1)));
                }
            })
            .unwrap()
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
    let (took, cpu) = (begin.elapsed(), cpu() - cpu_before);
    let operations = COROUTINES * rounds;
    println!(
        "{:.0} loads with swaps a second, {:.1} us of CPU each",
        f64::from(operations) / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / f64::from(operations)
    );
}
