//! Both stores on a cluster of three masters.

use std::time::{Duration, Instant};

use super::{PATIENCE, connect, create, fresh_prefix, key, now, record, replace, store_at};
use crate::config::RedisServers;
use crate::redis::Redis;
use crate::redis::tests::many::cluster;
use crate::redis::tests::server::{Server, eventually};
use crate::session::SessionStore;
use crate::session::stores::redis::RedisStoreOptions;
use crate::session::stores::{RedisStore, TieredOptions, TieredStore};
use crate::testing::store_conformance;

fn connect_to(nodes: &[Server]) -> Redis {
    let mut settings = nodes[0].settings();
    settings.servers = RedisServers::Cluster(nodes.iter().map(Server::address).collect());
    Redis::open(&settings).unwrap()
}

#[test]
fn a_cluster_keeps_the_contract() {
    let nodes = cluster();
    let redis = connect_to(&nodes);
    store_conformance(|| store_at(&redis, &fresh_prefix()));
    let used = |node: &Server| node.cli(&["INFO", "commandstats"]).contains("cmdstat_evalsha");
    assert!(nodes.iter().all(used), "the sessions are spread over all masters");
}

#[test]
fn nodes_in_front_of_a_cluster_settle_ends() {
    let nodes = cluster();
    let stores = [(); 3].map(|()| {
        TieredStore::new(store_at(&connect_to(&nodes), "t:"), &TieredOptions::default()).unwrap()
    });
    for store in &stores {
        eventually("memory is in use", PATIENCE, || store.trusts_memory());
    }
    let text = |store: &TieredStore, number| {
        String::from_utf8(store.load(&key(number), now()).unwrap().unwrap().bytes).unwrap()
    };
    let mut waited = Duration::ZERO;
    for number in 0..50 {
        create(&stores[0], &key(number), &record(1, "live"));
        stores.iter().for_each(|store| assert_eq!(text(store, number), "live"));
        replace(&stores[1], &key(number), &record(2, "ended"));
        let begun = Instant::now();
        stores[1].settle(&key(number)).unwrap();
        waited += begun.elapsed();
        stores.iter().for_each(|store| assert_eq!(text(store, number), "ended"));
    }
    assert!(waited < Duration::from_millis(250) * 25, "they acknowledge: {waited:?}");
}

#[test]
fn an_end_waits_for_the_replica_of_its_own_master() {
    let nodes = cluster();
    let replica = Server::start_with(&["--cluster-enabled", "yes"]);
    replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port().to_string()]);
    let id = nodes[1].cli(&["CLUSTER", "MYID"]);
    eventually("it knows its master", PATIENCE, || {
        replica.cli(&["CLUSTER", "REPLICATE", &id]) == "OK"
    });
    eventually("it replicates", PATIENCE, || {
        nodes[1].cli(&["INFO", "replication"]).contains("state=online")
    });
    let patient =
        RedisStoreOptions { wait_timeout: Duration::from_millis(900), ..Default::default() };
    let store = RedisStore::new(connect_to(&nodes), patient).unwrap();
    let reader = connect(&replica);
    for number in 0..30 {
        create(&store, &key(number), &record(1, "live"));
        replace(&store, &key(number), &record(2, "ended"));
        eventually("it is settled", PATIENCE, || store.settle(&key(number)).is_ok());
    }
    let count = reader.ask(&redis::cmd("DBSIZE"));
    assert!(matches!(count, Ok(redis::Value::Int(1..=29))), "one master's share: {count:?}");
}
