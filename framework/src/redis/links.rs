//! The shared connections to one server, one for each worker up to a limit: so whoever waits for an
//! answer is woken by its own worker, which costs no call to the kernel and wakes no processor.

use std::io;
use std::sync::Arc;

use super::error::RedisError;
use super::link::{Link, LinkLimits, LinkState};
use super::outage::Outage;
use super::transport::Transport;
use crate::runtime::{home, workers};

/// All shared connections to one server. One ends when the last who uses it is gone.
pub(super) struct Links(Vec<Arc<Link>>);

impl Links {
    /// At most `count` connections, each made when it is first used.
    pub(super) fn new(
        count: usize,
        limits: LinkLimits,
        outage: &Arc<Outage>,
        dial: impl Fn() -> Result<Transport, RedisError> + Send + Sync + 'static,
    ) -> Self {
        let dial = Arc::new(dial);
        let down = |error: io::Error| RedisError::Down(error.to_string());
        let link = |worker| {
            let dial = Arc::clone(&dial);
            let dial = move || dial()?.on_worker(worker).map_err(down);
            Arc::new(Link::new(limits, Arc::clone(outage), Box::new(dial)))
        };
        Self((0..workers().min(count).max(1)).map(link).collect())
    }

    /// That of the calling worker, on a plain thread the first. While it has no connection: one that
    /// has, if there is one.
    #[expect(clippy::indexing_slicing, reason = "the remainder of a division by the length")]
    pub(super) fn here(&self) -> &Arc<Link> {
        let own = &self.0[home().unwrap_or(0) % self.0.len()];
        if own.is_ready() {
            return own;
        }
        match self.0.iter().find(|link| link.is_ready()) {
            Some(other) => {
                own.begin();
                other
            }
            None => own,
        }
    }

    /// Up while one of them is.
    pub(super) fn state(&self) -> LinkState {
        LinkState::best(self.0.iter().map(|link| link.state()))
    }
}
