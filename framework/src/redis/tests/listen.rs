//! Publish and subscribe.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;

use super::server::{Server, eventually};
use crate::redis::{Listening, Redis, Sink};
use crate::runtime::sync::ShortLock;

const PATIENCE: Duration = Duration::from_secs(10);

/// Writes down what it hears.
#[derive(Default)]
struct Notes(ShortLock<Vec<String>>);

impl Sink for Notes {
    fn message(&self, channel: &[u8], payload: Vec<u8>) {
        let text = [channel, b"=", &payload].concat();
        self.0.with(|notes| notes.push(String::from_utf8(text).unwrap()));
    }

    fn interrupted(&self) {
        self.0.with(|notes| notes.push("interrupted".to_owned()));
    }

    fn resumed(&self) {
        self.0.with(|notes| notes.push("resumed".to_owned()));
    }
}

impl Notes {
    fn all(&self) -> Vec<String> {
        self.0.with(|notes| notes.clone())
    }

    fn wait_for(&self, last: &str) {
        let is_there = || self.all().last().is_some_and(|note| note == last);
        eventually(&format!("{last} in {:?}", self.all()), PATIENCE, is_there);
    }
}

fn channel(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

fn listener(redis: &Redis) -> (Listening, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let listening = redis.listen(Arc::clone(&notes) as Arc<dyn Sink>);
    notes.wait_for("resumed");
    (listening, notes)
}

/// Publishes until `receivers` have got it.
fn publish(server: &Server, name: &str, payload: &str, receivers: &str) {
    eventually("somebody subscribes", PATIENCE, || {
        server.cli(&["PUBSUB", "NUMSUB", name]).ends_with(receivers)
    });
    server.cli(&["PUBLISH", name, payload]);
}

#[test]
fn messages_arrive_for_channels_while_they_are_wanted() {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let (listening, notes) = listener(&redis);
    listening.subscribe(channel("a"));
    listening.subscribe(channel("b"));
    publish(&server, "a", "1", "1");
    notes.wait_for("a=1");
    publish(&server, "b", "2", "1");
    notes.wait_for("b=2");
    listening.unsubscribe(&channel("a"));
    eventually("it is not subscribed any more", PATIENCE, || {
        server.cli(&["PUBSUB", "NUMSUB", "a"]).ends_with('0')
    });
    server.cli(&["PUBLISH", "a", "3"]);
    redis.ask(cmd("PUBLISH").arg("b").arg("4")).unwrap();
    notes.wait_for("b=4");
    assert_eq!(notes.all(), ["resumed", "a=1", "b=2", "b=4"]);
    drop(listening);
    eventually("its end ends the connection", PATIENCE, || {
        server.cli(&["PUBSUB", "NUMSUB", "b"]).ends_with('0')
    });
}

#[test]
fn after_a_restart_it_says_so_and_listens_again() {
    let mut server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let (listening, notes) = listener(&redis);
    listening.subscribe(channel("a"));
    publish(&server, "a", "1", "1");
    notes.wait_for("a=1");
    server.kill();
    notes.wait_for("interrupted");
    listening.subscribe(channel("b"));
    server.launch_and_wait();
    notes.wait_for("resumed");
    assert_eq!(server.cli(&["PUBLISH", "a", "2"]), "1", "resumed means: subscribed already");
    assert_eq!(server.cli(&["PUBLISH", "b", "3"]), "1");
    notes.wait_for("b=3");
    assert_eq!(notes.all(), ["resumed", "a=1", "interrupted", "resumed", "a=2", "b=3"]);
}

#[test]
fn after_most_restarts_it_listens_again_within_a_second() {
    let mut server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    let (_listening, notes) = listener(&redis);
    let mut waits: Vec<_> = (0..5)
        .map(|_| {
            server.kill();
            notes.wait_for("interrupted");
            server.launch_and_wait();
            eventually("it resumes", PATIENCE, || notes.all().last().unwrap() == "resumed")
        })
        .collect();
    waits.sort();
    println!("listening again after redis: median {:?}, worst {:?}", waits[2], waits[4]);
    assert!(waits[2] < Duration::from_secs(1), "{waits:?}");
}

#[test]
fn a_server_that_falls_silent_is_an_interruption_too() {
    let server = Server::start();
    let mut settings = server.settings();
    // After three of them it is silent; a busy machine may be so for a second.
    settings.command_timeout = Duration::from_millis(500);
    let redis = Redis::open(&settings).unwrap();
    let (listening, notes) = listener(&redis);
    listening.subscribe(channel("a"));
    publish(&server, "a", "1", "1");
    notes.wait_for("a=1");
    server.freeze();
    notes.wait_for("interrupted");
    server.thaw();
    notes.wait_for("resumed");
    publish(&server, "a", "2", "1");
    notes.wait_for("a=2");
}
