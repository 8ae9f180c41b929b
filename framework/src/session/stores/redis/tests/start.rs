//! What a server says at its start about a redis user who may not do what it needs.

use std::sync::Arc;

use super::refusals::as_user;
use super::watching::Heard;
use super::{PATIENCE, create, key, record, store, store_at};
use crate::ErrorKind;
use crate::config::RedisServers;
use crate::redis::Redis;
use crate::redis::tests::many::cluster;
use crate::redis::tests::server::{Server, eventually};
use crate::session::SessionStore;

fn has_channel_rights(server: &Server) -> bool {
    !server.cli(&["INFO", "server"]).contains("redis_version:6.0")
}

#[test]
fn a_user_who_may_not_publish_is_told_so_at_the_start() {
    let server = Server::start();
    let mut wrong = vec![vec!["+@all", "-publish", "~*"], vec!["+@all", "-publish", "-info", "~*"]];
    if has_channel_rights(&server) {
        for rights in &mut wrong {
            rights.push("&*");
        }
        // Redis 6.2 gives all channels to who is told none.
        wrong.push(vec!["+@all", "~*", "resetchannels"]);
        wrong.push(vec!["+@all", "-info", "~*", "resetchannels", "&other:*"]);
    }
    for rights in wrong {
        let (guest, _root) = as_user(&server, &rights);
        let error = guest.look_at_server().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Start);
        let said = error.chain();
        assert!(said.contains("PUBLISH on test:news") && said.contains("NOPERM"), "{said}");
        assert!(said.contains("+publish and &test:*"), "{said}");
    }
}

/// Who may publish is let in without any other right, and nobody takes the question for news.
#[test]
fn who_may_publish_starts_and_nothing_is_told() {
    let server = Server::start();
    let mut rights = vec!["+publish", "+hello"];
    if has_channel_rights(&server) {
        rights.extend(["resetchannels", "&test:news"]);
    }
    let (guest, here) = as_user(&server, &rights);
    let heard = Arc::new(Heard::default());
    here.watch(heard.clone());
    here.follow(&key(1), true);
    eventually("it is subscribed", PATIENCE, || !server.cli(&["PUBSUB", "CHANNELS"]).is_empty());
    guest.look_at_server().unwrap();
    let stats = server.cli(&["INFO", "commandstats"]);
    assert!(stats.contains("cmdstat_publish:calls=1,"), "it was asked: {stats}");
    create(&store(&server), &key(1), &record(1, "x"));
    eventually("the change is heard", PATIENCE, || heard.changes.with(|told| !told.is_empty()));
    heard.changes.with(|told| assert_eq!(*told, [(key(1), 1)]));
}

/// Users are not told from one node of a cluster to the others.
#[test]
fn one_master_that_forbids_it_is_enough() {
    let nodes = cluster();
    for node in &nodes {
        let rights = ["ACL", "SETUSER", "guest", "reset", "on", ">secret", "+@all", "~*", "&*"];
        assert_eq!(node.cli(&rights), "OK");
    }
    let mut settings = nodes[0].settings();
    settings.servers = RedisServers::Cluster(nodes.iter().map(Server::address).collect());
    settings.login.username = Some("guest".to_owned());
    settings.login.password = Some("secret".to_owned());
    let store = || store_at(&Redis::open(&settings).unwrap(), "test:");
    store().look_at_server().unwrap();
    nodes[2].cli(&["ACL", "SETUSER", "guest", "-publish"]);
    let said = store().look_at_server().unwrap_err().chain();
    assert!(said.contains("PUBLISH on test:news"), "{said}");
}
