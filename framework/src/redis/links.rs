//! The shared connections to one server, one for each worker up to a limit: so whoever waits for an
//! answer is woken by its own worker, which costs no call to the kernel and wakes no processor.

use std::io;
use std::sync::Arc;

use super::error::{Answer, RedisError};
use super::gather::Call;
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
        match self.ready() {
            Some(other) => {
                own.begin();
                other
            }
            None => own,
        }
    }

    /// One that works, if there is one.
    fn ready(&self) -> Option<&Arc<Link>> {
        self.0.iter().find(|link| link.is_ready())
    }

    /// Makes one call, which may travel with others. If its connection ends meanwhile it is made once
    /// more on another, unless it may have changed something.
    pub(super) fn call(&self, call: Call<'_>) -> Answer {
        self.here().call(call).or_else(|failure| match self.ready() {
            Some(other) if call.may_be_repeated(&failure) => other.call(call),
            _ => Err(failure),
        })
    }

    /// As [`call`](Self::call), for several at the same time.
    pub(super) fn calls<'a>(&self, calls: impl Iterator<Item = Call<'a>> + Clone) -> Vec<Answer> {
        let mut answers = self.here().calls(calls.clone());
        for (call, answer) in calls.zip(&mut answers) {
            if let Err(failure) = answer
                && call.may_be_repeated(failure)
                && let Some(other) = self.ready()
            {
                *answer = other.call(call);
            }
        }
        answers
    }

    /// Up while one of them is.
    pub(super) fn state(&self) -> LinkState {
        LinkState::best(self.0.iter().map(|link| link.state()))
    }
}
