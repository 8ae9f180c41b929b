//! The settings of this room, and how many connections are open: one of it per app.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::addresses::{AddressPlace, Addresses};
use super::topics::Topics;
use super::wire;
use crate::config::{Config, LiveSettings, SseSettings, WebSocketSettings};
use crate::error::{Error, ErrorKind, Result};

/// What all live connections of an app share; kept with the app's state.
#[derive(Debug)]
pub(crate) struct Live {
    pub(super) websocket: WebSocketSettings,
    pub(super) sse: SseSettings,
    pub(super) settings: LiveSettings,
    pub(super) topics: Topics,
    websockets: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
    addresses: Addresses,
}

impl Live {
    /// # Errors
    /// Those of the redis that connects topics with other servers.
    pub(crate) fn new(config: &Config, topics: Topics) -> Result<Self> {
        topics.limit(&config.live);
        wire::connect(&topics, config)?;
        Ok(Self {
            topics,
            websocket: config.websocket.clone(),
            sse: config.sse.clone(),
            settings: config.live.clone(),
            websockets: Arc::default(),
            streams: Arc::default(),
            addresses: Addresses::default(),
        })
    }

    /// A place among the WebSockets; given back when dropped.
    pub(super) fn open_websocket(&self, addr: IpAddr) -> Result<Places> {
        let place = Place::take(&self.websockets, self.websocket.max_open, "websocket")?;
        self.count_address(place, addr)
    }

    /// A place among the event streams.
    pub(super) fn open_stream(&self, addr: IpAddr) -> Result<Places> {
        let place = Place::take(&self.streams, self.sse.max_open, "sse")?;
        self.count_address(place, addr)
    }

    fn count_address(&self, place: Place, addr: IpAddr) -> Result<Places> {
        let of_address = self.addresses.enter(addr, self.websocket.max_open_per_address)?;
        Ok(Places { _place: place, _of_address: of_address })
    }
}

/// What one open connection takes.
#[derive(Debug)]
pub(super) struct Places {
    _place: Place,
    _of_address: Option<AddressPlace>,
}

/// Counts a connection for as long as it lives.
#[derive(Debug)]
struct Place {
    count: Arc<AtomicUsize>,
}

impl Place {
    fn take(count: &Arc<AtomicUsize>, max: usize, section: &str) -> Result<Self> {
        if count.fetch_add(1, Ordering::AcqRel) >= max {
            count.fetch_sub(1, Ordering::AcqRel);
            let message = format!("there are [{section}] max_open = {max} connections already");
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        Ok(Self { count: Arc::clone(count) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}
