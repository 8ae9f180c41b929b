//! Two apps as two servers on one real redis.

use std::time::{Duration, Instant};

use super::connect;
use crate::config::Config;
use crate::live::{Messages, Topic, TopicEvent, Topics};
use crate::redis::tests::server::Server;

const PATIENCE: Duration = Duration::from_secs(20);

/// The topics of a server on this redis.
fn node(server: &Server, app: &str) -> Topics {
    let mut config = Config::default();
    let settings = server.settings();
    config.app.name = app.to_owned();
    config.live.redis_connection_pool = Some(settings.name.clone());
    config.redis = vec![settings];
    let topics = Topics::default();
    topics.limit(&config.live);
    connect(&topics, &config).unwrap();
    topics
}

/// Subscribes, and waits until redis knows it.
fn join(server: &Server, topics: &Topics, subscribers: usize) -> (Topic, Messages) {
    let topic = topics.topic("room").unwrap();
    let messages = topic.subscribe().unwrap();
    listening(server, subscribers);
    (topic, messages)
}

fn listening(server: &Server, subscribers: usize) {
    let deadline = Instant::now() + PATIENCE;
    let expected = subscribers.to_string();
    while !server.cli(&["PUBSUB", "NUMSUB", "app:topic:room"]).ends_with(&expected) {
        assert!(Instant::now() < deadline, "{subscribers} are not subscribed");
        crate::sleep(Duration::from_millis(5));
    }
}

fn next(messages: &mut Messages) -> String {
    match messages.next_timeout(PATIENCE) {
        Some(TopicEvent::Message(message)) => message.text().to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_one_server_publishes_reaches_the_other_once_and_in_order() {
    let server = Server::start();
    let (one, other) = (node(&server, "app"), node(&server, "app"));
    let stranger = node(&server, "another");
    let (here, mut heard_here) = join(&server, &one, 1);
    let (there, mut heard_there) = join(&server, &other, 2);
    let mut strangers = stranger.topic("room").unwrap().subscribe().unwrap();
    for number in 0..200 {
        assert_eq!(here.publish(format!("here {number}")).unwrap(), 1);
    }
    for number in 0..200 {
        let expected = format!("here {number}");
        assert_eq!((next(&mut heard_here), next(&mut heard_there)), (expected.clone(), expected));
    }
    there.publish("there").unwrap();
    assert_eq!((next(&mut heard_here), next(&mut heard_there)), ("there".into(), "there".into()));
    // Nothing came twice, and nothing to another app.
    assert_eq!(heard_here.next_timeout(Duration::from_millis(100)), None);
    assert_eq!(heard_there.next_timeout(Duration::ZERO), None);
    assert_eq!(strangers.next_timeout(Duration::ZERO), None);
    drop(heard_here);
    listening(&server, 1);
    drop(heard_there);
    listening(&server, 0);
}

#[test]
fn after_an_interruption_subscribers_are_told_that_they_may_have_missed_something() {
    let mut server = Server::start();
    let (one, other) = (node(&server, "app"), node(&server, "app"));
    let (here, mut heard_here) = join(&server, &one, 1);
    let (_there, mut heard_there) = join(&server, &other, 2);
    here.publish("before").unwrap();
    assert_eq!((next(&mut heard_here), next(&mut heard_there)), ("before".into(), "before".into()));
    server.kill();
    // Who is on the same server hears it all the same.
    here.publish("meanwhile").unwrap();
    assert_eq!(next(&mut heard_here), "meanwhile");
    server.launch_and_wait();
    let missed = "Some(Missed(0))".to_owned();
    assert_eq!((next(&mut heard_here), next(&mut heard_there)), (missed.clone(), missed));
    listening(&server, 2);
    let deadline = Instant::now() + PATIENCE;
    // The connection that publishes may still be on its way.
    loop {
        here.publish("after").unwrap();
        if heard_there.next_timeout(Duration::from_millis(50)).is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "nothing comes any more");
    }
}
