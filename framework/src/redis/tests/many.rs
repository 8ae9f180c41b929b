//! Several servers: sentinels and clusters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Value, cmd};

use super::server::{Server, eventually};
use crate::config::{RedisLogin, RedisServers};
use crate::redis::{Redis, Script};
use crate::runtime::{sleep, spawn};

const PATIENCE: Duration = Duration::from_secs(40);

/// A sentinel with its file of settings, which it rewrites itself.
fn sentinel(master: &Server) -> Server {
    let mut sentinel = Server::prepare(&["--sentinel"]);
    // The user may ask for nothing but the master's address.
    let settings = format!(
        "sentinel monitor mymaster 127.0.0.1 {} 1\nsentinel down-after-milliseconds mymaster 300\n\
         sentinel failover-timeout mymaster 2000\n\
         user poor on >secret &* -@all +hello +ping +sentinel|get-master-addr-by-name\n",
        master.port()
    );
    sentinel.write_settings(&settings);
    sentinel.launch_and_wait();
    sentinel
}

#[test]
fn a_failover_by_sentinels_is_followed() {
    follow_a_failover(RedisLogin::default());
}

/// Without the numbers of elections: who named the old master before is believed.
#[test]
fn a_failover_is_followed_by_a_user_of_the_sentinels_with_few_rights() {
    let password = Some("secret".to_owned());
    follow_a_failover(RedisLogin { username: Some("poor".to_owned()), password });
}

fn follow_a_failover(sentinel_login: RedisLogin) {
    let mut master = Server::start();
    let replica = Server::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    eventually("the replica is in step", PATIENCE, || {
        replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
    });
    let sentinels = [sentinel(&master), sentinel(&master), sentinel(&master)];
    eventually("the sentinels know the replica and each other", PATIENCE, || {
        sentinels.iter().all(|sentinel| {
            let known = sentinel.cli(&["SENTINEL", "MASTER", "mymaster"]);
            let lines: Vec<_> = known.lines().collect();
            let value = |key: &str| {
                lines.iter().position(|line| *line == key).and_then(|at| lines.get(at + 1)).copied()
            };
            value("num-slaves") == Some("1") && value("num-other-sentinels") == Some("2")
        })
    });
    let mut settings = master.settings();
    settings.sentinel_login = sentinel_login;
    let addresses = sentinels.iter().map(Server::address).collect();
    settings.servers =
        RedisServers::Sentinel { sentinels: addresses, master_name: "mymaster".to_owned() };
    let redis = Redis::open(&settings).unwrap();
    redis.ask(cmd("SET").arg("k").arg("before")).unwrap();
    eventually("it is replicated", PATIENCE, || replica.cli(&["GET", "k"]) == "before");
    master.kill();
    let away = eventually("the new master is written to", PATIENCE, || {
        redis.ask(cmd("SET").arg("k").arg("after")).is_ok()
    });
    println!("written again {away:?} after the master's end");
    assert_eq!(replica.cli(&["GET", "k"]), "after");
    assert!(redis.exclusive().unwrap().ask(&cmd("PING")).is_ok());
}

/// Three masters without replicas.
pub(crate) fn cluster() -> Vec<Server> {
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    let nodes: Vec<_> = (0..3).map(|_| Server::start_with(&arguments)).collect();
    for (node, slots) in nodes.iter().zip([0..=5460, 5461..=10922, 10923..=16383]) {
        let slots: Vec<_> = slots.map(|slot: u16| slot.to_string()).collect();
        let command = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
        assert_eq!(node.cli(&command.collect::<Vec<_>>()), "OK");
        nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string()]);
    }
    eventually("the cluster is whole", PATIENCE, || {
        nodes.iter().all(|node| {
            let info = node.cli(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
    });
    nodes
}

#[test]
fn a_cluster_is_asked_slot_by_slot_and_followed_while_slots_move() {
    let nodes = cluster();
    let mut settings = nodes[0].settings();
    settings.servers = RedisServers::Cluster(vec![nodes[0].address()]);
    let redis = Redis::open(&settings).unwrap();
    let sets: Vec<_> = (0..300).map(|key| cmd("SET").arg(key).arg(0).take()).collect();
    assert!(redis.send(&sets).unwrap().iter().all(|answer| *answer == Ok(Value::Okay)));
    let counts: Vec<_> = nodes.iter().map(|node| node.cli(&["DBSIZE"])).collect();
    assert!(counts.iter().all(|count| count != "0"), "all have some: {counts:?}");
    assert_eq!(redis.nodes().unwrap().len(), 3);

    let is_over = Arc::new(AtomicBool::new(false));
    let script = Arc::new(Script::new("return redis.call('INCR', KEYS[1])"));
    let children: Vec<_> = (0..8_usize)
        .map(|number| {
            let (redis, is_over) = (redis.clone(), Arc::clone(&is_over));
            let script = Arc::clone(&script);
            spawn(move || {
                let mut rounds = 0_u32;
                while !is_over.load(Ordering::Relaxed) {
                    for key in (number..300).step_by(8) {
                        let key = key.to_string();
                        redis.script(&script, &[key.as_bytes()], &[]).unwrap();
                    }
                    rounds += 1;
                    sleep(Duration::from_millis(1));
                }
                rounds
            })
            .unwrap()
        })
        .collect();
    move_slots(&nodes[0], &nodes[1], 0..400);
    is_over.store(true, Ordering::Relaxed);
    let rounds: Vec<_> = children.into_iter().map(|child| child.join().unwrap()).collect();
    for key in 0..300_usize {
        let expected = rounds[key % 8].to_string().into_bytes();
        assert_eq!(redis.ask(cmd("GET").arg(key)), Ok(Value::BulkString(expected)), "{key}");
    }
    assert!(rounds.iter().all(|count| *count > 0), "{rounds:?}");
    let errors = nodes[0].cli(&["INFO", "errorstats"]);
    assert!(errors.contains("_MOVED:") && errors.contains("_ASK:"), "both were met: {errors}");
}

/// Moves slots with their keys the way redis-cli does, while others use them.
fn move_slots(from: &Server, to: &Server, slots: std::ops::Range<u16>) {
    let id = |node: &Server| node.cli(&["CLUSTER", "MYID"]);
    let (source, target, port) = (id(from), id(to), to.port().to_string());
    for slot in slots {
        let slot = slot.to_string();
        let set = |node: &Server, words: &[&str]| {
            let done = node.cli(&[&["CLUSTER", "SETSLOT", &slot], words].concat());
            assert_eq!(done, "OK", "{slot} {words:?}");
        };
        // Slots without keys move at once; those with keys in all three steps.
        let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
        if !keys.is_empty() {
            set(to, &["IMPORTING", &source]);
            set(from, &["MIGRATING", &target]);
            std::thread::yield_now();
            for key in keys.lines() {
                let moved = from.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
                assert_eq!(moved, "OK", "{key}");
            }
            set(to, &["NODE", &target]);
            set(from, &["NODE", &target]);
        }
    }
}

#[test]
fn a_cluster_of_one_dead_seed_is_down_and_says_why() {
    let server = Server::prepare(&[]);
    let mut settings = server.settings();
    settings.servers = RedisServers::Cluster(vec![server.address()]);
    let redis = Redis::open(&settings).unwrap();
    let error = redis.ask(&cmd("PING")).unwrap_err();
    assert!(error.is_outage() && !error.is_unknown_outcome(), "{error:?}");
}

/// While somebody waits for the first connection to one node, others use the one to another.
#[test]
fn a_node_that_hangs_holds_up_no_other() {
    let nodes = cluster();
    let mut settings = nodes[0].settings();
    settings.servers = RedisServers::Cluster(vec![nodes[0].address()]);
    settings.connect_timeout = Duration::from_secs(10);
    settings.command_timeout = PATIENCE;
    let redis = Redis::open(&settings).unwrap();
    let key_in = |slots: std::ops::Range<u32>| {
        let slot = |key: &String| nodes[0].cli(&["CLUSTER", "KEYSLOT", key]).parse::<u32>();
        (0..).map(|number| format!("k{number}")).find(|key| slots.contains(&slot(key).unwrap()))
    };
    let (here, there) = (key_in(0..5461).unwrap(), key_in(5461..10923).unwrap());
    redis.get(here.as_bytes()).unwrap();
    nodes
        .iter()
        .for_each(|node| drop(node.cli(&["CONFIG", "SET", "cluster-node-timeout", "60000"])));
    nodes[1].freeze();
    let both = {
        let (redis, keys) = (redis.clone(), [here.clone(), there]);
        spawn(move || redis.get_many(&keys).unwrap()).unwrap()
    };
    sleep(Duration::from_millis(200));
    let begun = std::time::Instant::now();
    redis.get(here.as_bytes()).unwrap();
    let waited = begun.elapsed();
    nodes[1].thaw();
    let both = both.join().unwrap();
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}
