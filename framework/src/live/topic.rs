//! Publish and subscribe: a topic, what is published to it, and who reads it without a socket.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::mail::{Identity, Mail, Subscription, sealed};
use super::mailbox::{Mailbox, Post, Received, WhenFull};
use super::settings::Live;
use super::topics::Topics;
use crate::context::{RequestContext, request};
use crate::error::{Error, ErrorKind, Result};

/// The longest name of a topic.
const MAX_NAME_BYTES: usize = 200;

/// A named place of one app to publish messages in, for whoever is subscribed just then.
///
/// It needs no making and leaves nothing behind: a topic is there while somebody is subscribed.
/// Nothing is kept for who comes later. Everybody gets the messages of one publisher in the order
/// they were published. Publishing costs in proportion to the subscribers of this topic, however
/// many others there are; the message is written once and shared.
///
/// ```
/// use maypole::live::Event;
/// use maypole::prelude::*;
///
/// let mut app = App::with_defaults();
/// app.get("/rooms/{room}", |ctx| {
///     let room = ctx.topic(ctx.param::<String>("room")?)?;
///     ctx.websocket(move |ws| {
///         ws.follow(room.clone())?;
///         while let Some(event) = ws.recv()? {
///             match event {
///                 Event::Text(said) => drop(room.publish(said)?), // by this client, to everybody
///                 Event::Message(message) => ws.send(message.text())?,
///                 _ => {}
///             }
///         }
///         Ok(())
///     })
/// });
/// assert_eq!(app.test_client()?.get("/rooms/tea").send().status(), 426);
/// # Ok::<(), maypole::Error>(())
/// ```
#[derive(Clone)]
pub struct Topic {
    name: Arc<str>,
    topics: Topics,
}

/// The topic of this name, of the app whose request is running.
///
/// # Errors
/// `NoRequest` outside a request (background code asks [`Topics`], which
/// [`App::topics`](crate::App::topics) gives); and as [`Topics::topic`].
pub fn topic(name: impl AsRef<str>) -> Result<Topic> {
    let Some(ctx) = request() else {
        let what = "there is no topic outside a request; App::topics gives them to other code";
        return Err(Error::new(ErrorKind::NoRequest, what));
    };
    ctx.topic(name)
}

impl RequestContext {
    /// The topic of this name; see [`Topic`].
    ///
    /// # Errors
    /// As [`Topics::topic`].
    pub fn topic(&self, name: impl AsRef<str>) -> Result<Topic> {
        self.state::<Live>()?.topics.topic(name)
    }
}

impl Topics {
    /// The topic of this name.
    ///
    /// # Errors
    /// `Internal` if the name is empty, longer than 200 bytes, or has control characters: names
    /// that come from clients are to be checked before.
    pub fn topic(&self, name: impl AsRef<str>) -> Result<Topic> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            let what = format!(
                "the name of a topic must have 1 to {MAX_NAME_BYTES} bytes and no control \
                 characters, and not {} bytes like {:?}",
                name.len(),
                name.chars().take(20).collect::<String>()
            );
            return Err(Error::new(ErrorKind::Internal, what));
        }
        Ok(Topic { name: name.into(), topics: self.clone() })
    }
}

impl Topic {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives `text` to all who are subscribed now, and says how many of them are on this server.
    /// It never waits for them: what becomes of it at a slow one is that one's
    /// [`SlowClient`](super::SlowClient).
    ///
    /// # Errors
    /// `Internal` if it is longer than `[live] topic_message`.
    pub fn publish(&self, text: impl Into<Arc<str>>) -> Result<usize> {
        let message = Message { topic: Arc::clone(&self.name), text: text.into() };
        self.topics.publish(&Arc::new(message))
    }

    /// Publishes a value, as JSON; [`Message::json`] reads it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); `Internal` if the value cannot be written as JSON.
    pub fn publish_json(&self, value: &(impl Serialize + ?Sized)) -> Result<usize> {
        self.publish(serde_json::to_string(value)?)
    }

    /// Reads what is published from now on: for background code. A socket
    /// [follows](super::WebSocket::follow) a topic instead.
    ///
    /// # Errors
    /// `Overloaded` if the topic has `[live] topic_subscribers` already.
    pub fn subscribe(&self) -> Result<Messages> {
        let mailbox = Mailbox::new(self.topics.queue(), WhenFull::DropOldest);
        let subscription = self.topics.subscribe(&self.name, mailbox.post())?;
        Ok(Messages { mailbox, _subscription: subscription })
    }

    /// How many are subscribed on this server.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.topics.subscribers(&self.name)
    }
}

impl sealed::Source for Topic {
    #[expect(private_interfaces, reason = "nobody outside can call it")]
    fn subscribe(self, post: Post<Mail>) -> Result<Subscription> {
        self.topics.subscribe(&self.name, post)
    }

    #[expect(private_interfaces, reason = "nobody outside can call it")]
    fn identity(&self) -> Option<Identity> {
        Some(Identity { place: self.topics.place(), name: Some(Arc::clone(&self.name)) })
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", self.name)
    }
}

/// What was published to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) text: Arc<str>,
}

impl Message {
    /// The name of the topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What was published.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value that was published as JSON.
    ///
    /// # Errors
    /// `Internal` if it is no `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.text)?)
    }
}

/// What a subscriber without a socket is told.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicEvent {
    /// Something was published.
    Message(Arc<Message>),
    /// So many messages were dropped, since they were not read in time; 0 if some may have been
    /// lost between servers, and how many is not known.
    Missed(u64),
}

/// The messages of a topic from now on, made by [`Topic::subscribe`]; ends only by being dropped.
/// `[live] topic_queue` may wait, then the oldest are dropped.
///
/// ```
/// use maypole::live::TopicEvent;
/// use maypole::prelude::*;
///
/// let app = App::with_defaults();
/// let news = app.topics().topic("news")?;
/// let mut reader = news.subscribe()?;
/// assert_eq!(news.publish("hello")?, 1);
/// let Some(TopicEvent::Message(message)) = reader.next() else { panic!("nothing came") };
/// assert_eq!(message.text(), "hello");
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct Messages {
    mailbox: Mailbox<Mail>,
    _subscription: Subscription,
}

impl Messages {
    /// As [`next`](Iterator::next), for at most `limit`; `None` if nothing came.
    pub fn next_timeout(&mut self, limit: Duration) -> Option<TopicEvent> {
        self.receive(Some(limit))
    }

    fn receive(&self, limit: Option<Duration>) -> Option<TopicEvent> {
        loop {
            match self.mailbox.recv(limit) {
                Received::Letter(Mail::Message(message)) => {
                    return Some(TopicEvent::Message(message));
                }
                Received::Letter(Mail::Missed) => return Some(TopicEvent::Missed(0)),
                Received::Missed(count) => return Some(TopicEvent::Missed(count)),
                Received::Nothing if limit.is_some() => return None,
                // Nothing else is posted here.
                Received::Letter(_) | Received::Overflowed | Received::Nothing => {}
            }
        }
    }
}

/// Waits for each event in turn, on a coroutine or a thread.
impl Iterator for Messages {
    type Item = TopicEvent;

    fn next(&mut self) -> Option<TopicEvent> {
        self.receive(None)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Messages")
    }
}
