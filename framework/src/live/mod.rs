//! Connections that stay: WebSockets and server-sent events, and what is delivered to them.
//!
//! One coroutine serves one such connection. It waits for its socket and its mailbox at once;
//! whoever has news (another request, another node) posts them there and never waits. This room
//! knows requests and sessions, and of the connection only what can be waited for.

mod addresses;
mod changes;
mod event;
mod event_stream;
mod frames;
pub(crate) mod fuzz;
mod handshake;
mod inbox;
mod mail;
pub(crate) mod mailbox;
mod open;
mod options;
mod origin;
mod settings;
mod sse_event;
#[cfg(test)]
mod tests;
mod topic;
mod topics;
mod websocket;
mod wire;

pub use crate::session::{Change, SessionEnd};
pub use changes::{Changes, SessionEvent};
pub use event::Event;
pub use event_stream::EventStream;
pub use frames::CloseReason;
pub use inbox::SlowClient;
pub use mail::Source;
pub use options::WebSocketOptions;
pub use sse_event::SseEvent;
pub use topic::{Message, Messages, Topic, TopicEvent, topic};
pub use topics::Topics;
pub use websocket::WebSocket;

#[cfg(test)]
use mail::{Close, Mail, Subscription, Teller};
pub(crate) use settings::Live;
