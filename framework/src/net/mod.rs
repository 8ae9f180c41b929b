//! Bytes in, bytes out: one HTTP/1.1 connection on its coroutine.
//!
//! The protocol's values and rules are in [`http`](crate::http), what to answer is the app's
//! business, and waiting is the runtime's; this room ties the three together and keeps the limits.

mod body;
mod buffers;
mod connection;
mod read;
mod upgraded;
mod write;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use buffers::BufferPool;
pub(crate) use connection::serve_connection;
pub(crate) use write::REFUSED_FULL;

use crate::app::Service;
use crate::http::Limits;

/// What all connections of a server share.
pub(crate) struct Engine {
    pub(crate) service: Arc<Service>,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) max_requests: Option<u32>,
    pub(crate) buffers: BufferPool,
}

/// How long a client may take for what.
#[derive(Debug, Clone)]
pub(crate) struct Timeouts {
    pub(crate) keep_alive: Duration,
    pub(crate) header: Duration,
    pub(crate) body: Duration,
    /// Bytes per second that extend the body's time.
    pub(crate) body_min_rate: u64,
    pub(crate) write: Duration,
}
