//! Topics within one server, and what they say to the way to others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{DEFAULTS, Limits, Message, Topics, Wire};
use crate::error::ErrorKind;
use crate::live::{Messages, TopicEvent};
use crate::runtime::spawn;
use crate::runtime::sync::ShortLock;

fn limited(subscribers: usize, message_bytes: usize, queue: usize) -> Topics {
    let topics = Topics::default();
    topics.inner.limits.set(Limits { subscribers, message_bytes, queue }).unwrap();
    topics
}

/// What has come, without waiting.
fn drain(messages: &mut Messages) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(event) = messages.next_timeout(Duration::ZERO) {
        texts.push(match event {
            TopicEvent::Message(message) => message.text().to_owned(),
            TopicEvent::Missed(count) => format!("missed {count}"),
        });
    }
    texts
}

#[test]
fn only_who_is_subscribed_to_the_topic_gets_its_messages() {
    let topics = Topics::default();
    let (tea, coffee) = (topics.topic("tea").unwrap(), topics.topic("coffee").unwrap());
    assert_eq!(tea.publish("nobody is there").unwrap(), 0);
    let (mut one, mut two) = (tea.subscribe().unwrap(), tea.subscribe().unwrap());
    let mut other = coffee.subscribe().unwrap();
    assert_eq!(tea.publish("1").unwrap(), 2);
    assert_eq!(tea.publish_json(&(2, "two")).unwrap(), 2);
    assert_eq!(drain(&mut one), ["1", "[2,\"two\"]"]);
    let Some(TopicEvent::Message(first)) = two.next() else { panic!() };
    let Some(TopicEvent::Message(second)) = two.next() else { panic!() };
    assert_eq!((first.topic(), first.text()), ("tea", "1"));
    assert_eq!(second.json::<(i32, String)>().unwrap(), (2, "two".to_owned()));
    assert!(first.json::<String>().is_err());
    assert_eq!(drain(&mut other), Vec::<String>::new());
    // The same words in another app are another topic.
    let elsewhere = Topics::default().topic("tea").unwrap();
    assert_eq!(elsewhere.publish("3").unwrap(), 0);
    assert_eq!(drain(&mut one), Vec::<String>::new());
}

#[test]
fn nothing_is_left_of_topics_nobody_reads() {
    let topics = Topics::default();
    let topic = topics.topic("room").unwrap();
    let readers: Vec<_> = (0..100).map(|_| topic.subscribe().unwrap()).collect();
    let others: Vec<_> = (0..100)
        .map(|at| topics.topic(format!("room {at}")).unwrap().subscribe().unwrap())
        .collect();
    assert_eq!((topic.subscribers(), topics.count()), (100, 101));
    let mut readers = readers.into_iter();
    let last = readers.next_back();
    drop(readers);
    assert_eq!(topic.publish("still one").unwrap(), 1);
    drop((last, others));
    assert_eq!((topic.subscribers(), topics.count()), (0, 0));
}

#[test]
fn limits_are_errors_that_name_them() {
    let topics = limited(2, 5, 3);
    let topic = topics.topic("room").unwrap();
    let mut first = topic.subscribe().unwrap();
    let second = topic.subscribe().unwrap();
    let refused = topic.subscribe().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(refused.to_string().contains("topic_subscribers = 2"), "{refused}");
    drop(second);
    drop(topic.subscribe().unwrap());
    let long = topic.publish("123456").unwrap_err();
    assert!(long.to_string().contains("topic_message = 5"), "{long}");
    for text in ["1", "2", "3", "4", "5"] {
        topic.publish(text).unwrap();
    }
    assert_eq!(drain(&mut first), ["missed 2", "3", "4", "5"], "no more than topic_queue wait");
    for bad in ["", "a\nb", "\0", &"x".repeat(201)] {
        assert_eq!(topics.topic(bad).unwrap_err().kind(), ErrorKind::Internal, "{bad:?}");
    }
    topics.topic("x".repeat(200)).unwrap();
    let settings = crate::Config::default().live;
    let said = (settings.topic_subscribers, settings.topic_message, settings.topic_queue);
    assert_eq!(said, (DEFAULTS.subscribers, DEFAULTS.message_bytes, DEFAULTS.queue));
}

#[test]
fn everybody_gets_the_messages_of_one_publisher_in_order() {
    let topics = limited(10, 100, 10_000);
    let topic = topics.topic("room").unwrap();
    let readers: Vec<_> = (0..4).map(|_| topic.subscribe().unwrap()).collect();
    let publishers: Vec<_> = (0..4)
        .map(|who| {
            let topic = topic.clone();
            let publish = move || {
                for number in 0..200 {
                    topic.publish_json(&(who, number)).unwrap();
                    if number % 50 == 0 {
                        crate::sleep(Duration::from_millis(1));
                    }
                }
            };
            spawn(publish).unwrap()
        })
        .collect();
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    for reader in readers {
        let mut next = [0; 4];
        for event in reader.take(800) {
            let TopicEvent::Message(message) = event else { panic!("{event:?}") };
            let (who, number): (usize, i32) = message.json().unwrap();
            assert_eq!(number, next[who]);
            next[who] += 1;
        }
        assert_eq!(next, [200; 4]);
    }
}

#[test]
fn a_message_costs_by_the_subscribers_of_its_own_topic() {
    const ROUNDS: u32 = 20_000;
    let mut told = Vec::new();
    for count in [1, 10_000] {
        let topics = limited(10, 100, 1);
        let mut others: Vec<_> = (1..count)
            .map(|at| topics.topic(format!("room {at}")).unwrap().subscribe().unwrap())
            .collect();
        let topic = topics.topic("room").unwrap();
        let mut reader = topic.subscribe().unwrap();
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            assert_eq!(topic.publish("x").unwrap(), 1, "one mailbox was posted to");
        }
        told.push(begun.elapsed() / ROUNDS);
        assert_eq!(drain(&mut reader).len(), 2);
        assert!(others.iter_mut().all(|other| drain(other).is_empty()));
    }
    println!("a message in 1 topic: {:?}, in 1 of 10,000: {:?}", told[0], told[1]);
}

/// Notes what is said to other servers.
#[derive(Default)]
struct Said(ShortLock<Vec<String>>);

impl Wire for Said {
    fn publish(&self, message: &Message) {
        self.0.with(|said| said.push(format!("{}: {}", message.topic, message.text)));
    }

    fn follow(&self, topic: &str, is_followed: bool) {
        self.0.with(|said| said.push(format!("{topic} {is_followed}")));
    }
}

#[test]
fn other_servers_are_listened_to_while_somebody_reads_here() {
    let (topics, said) = (Topics::default(), Arc::<Said>::default());
    topics.connect(said.clone());
    let topic = topics.topic("room").unwrap();
    topic.publish("to others only").unwrap();
    let (mut one, two) = (topic.subscribe().unwrap(), topic.subscribe().unwrap());
    topic.publish("to all").unwrap();
    let of_others = Message { topic: "room".into(), text: "from another".into() };
    assert_eq!(topics.deliver(&Arc::new(of_others)), 2);
    topics.interrupted();
    drop(two);
    assert_eq!(drain(&mut one), ["to all", "from another", "missed 0"]);
    drop(one);
    let expected = ["room: to others only", "room true", "room: to all", "room false"];
    assert_eq!(said.0.with(std::mem::take), expected, "what came from others is not sent back");
}
