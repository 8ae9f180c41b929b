//! What a handler of a connection that stays is told.

use std::sync::Arc;

use super::topic::Message;
use crate::session::{Change, SessionEnd};

/// Something that happened to a connection that stays: [`WebSocket::recv`](super::WebSocket::recv)
/// and [`EventStream::recv`](super::EventStream::recv) give one after the other.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The client sent a text message. Valid UTF-8, however it was cut into frames.
    Text(String),
    /// The client sent a binary message.
    Binary(Vec<u8>),
    /// A session that is followed was changed; changes not told yet are told as one.
    Change(Arc<Change>),
    /// The session that is followed has ended, and this connection
    /// [outlives](super::WebSocket::outlive_session) it. Others are closed.
    SessionEnded(SessionEnd),
    /// Something was published to a topic that is followed.
    Message(Arc<Message>),
    /// So many messages were dropped, since this connection did not take them in time
    /// and its handler chose so: what the page shows may be out of date. 0 if messages of other
    /// servers may have been lost, and how many is not known.
    Missed(u64),
    /// The time given to `recv_timeout` is over.
    Elapsed,
}
