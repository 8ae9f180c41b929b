//! How a shared connection ends and the next one begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use crate::redis::error::RedisError;
use crate::redis::reader;
use crate::redis::transport::Transport;
use crate::runtime::{self, Kept, spawn_alone};

/// The first pause after a failed attempt to connect; it doubles up to the setting.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A peer that answers nothing for so many time-outs is taken for dead.
const DEAD_AFTER_TIMEOUTS: u32 = 3;

impl Shared {
    /// Ends the connection `epoch`, tells everybody who waits on it, and begins the next one.
    pub(in crate::redis) fn fail(self: &Arc<Self>, epoch: u64, why: &RedisError) {
        let ended = self.state.with(|state| {
            if state.epoch != epoch {
                return None;
            }
            let wire = state.wire.take()?;
            // The first reason is the one: the reader finds a closed connection, whoever closed it.
            state.attempt.failure = Some(why.clone());
            state.attempt.has_told = !state.is_closed && self.outage.is_news(why);
            state.since = Some(Instant::now());
            state.is_flushing = false;
            state.is_retiring = false;
            state.outgoing.clear();
            state.attempt.pause = Duration::ZERO;
            state.attempt.next = Some(Instant::now());
            Some((wire, std::mem::take(&mut state.requests), state.attempt.has_told))
        });
        let Some((wire, requests, is_told)) = ended else { return };
        wire.shutdown();
        if is_told {
            log::warn!("the connection to redis has ended: {why}");
        }
        for (waiter, was_sent) in requests.abandon() {
            let why = why.to_string();
            waiter.fail(if was_sent { RedisError::Lost(why) } else { RedisError::Down(why) });
        }
        self.connect_if_due();
    }

    /// Starts an attempt to connect if it is time for one.
    pub(super) fn connect_if_due(self: &Arc<Self>) {
        let is_due = self.state.with(|state| {
            let is_time = state.attempt.next.is_some_and(|next| next <= Instant::now());
            let is_due =
                is_time && state.wire.is_none() && !state.attempt.is_running && !state.is_closed;
            state.attempt.is_running |= is_due;
            is_due
        });
        if !is_due {
            return;
        }
        let shared = Arc::clone(self);
        let started = runtime::thread("maypole-redis", move || {
            let outcome = (shared.dial)();
            shared.connected(outcome);
        });
        if let Err(error) = started {
            self.connected(Err(RedisError::Down(error.to_string())));
        }
    }

    fn connected(self: &Arc<Self>, outcome: Result<Transport, RedisError>) {
        let mut log = None;
        let mut is_first = false;
        let (waiting, begun) = self.state.with(|state| {
            state.attempt.is_running = false;
            let begun = match outcome {
                Ok(_) if state.is_closed => None,
                Ok(transport) => {
                    let was_down = state.attempt.failure.take().is_some();
                    let has_told = std::mem::take(&mut state.attempt.has_told);
                    let is_news = was_down && (self.outage.is_over() || has_told);
                    log = is_news.then(String::new);
                    let wire = Arc::new(transport);
                    state.epoch += 1;
                    state.wire = Some(Arc::clone(&wire));
                    state.since = Some(Instant::now());
                    state.is_retiring = false;
                    state.attempt.pause = Duration::ZERO;
                    Some((wire, state.epoch))
                }
                Err(error) => {
                    let is_new = state.attempt.failure.as_ref() != Some(&error);
                    let is_told = is_new && self.outage.is_news(&error);
                    state.attempt.has_told |= is_told;
                    log = is_told.then(|| error.to_string());
                    is_first = state.since.is_none();
                    state.since.get_or_insert_with(Instant::now);
                    let pause = (state.attempt.pause * 2).max(FIRST_PAUSE);
                    state.attempt.pause = pause.min(self.limits.reconnect_max);
                    state.attempt.next = Some(Instant::now() + state.attempt.pause);
                    state.attempt.failure = Some(error);
                    None
                }
            };
            (std::mem::take(&mut state.attempt.waiting), begun)
        });
        match log {
            Some(why) if why.is_empty() => log::info!("redis is connected again"),
            // Somebody waits for the first attempt, and tells what its failure means.
            Some(why) if is_first => log::debug!("no connection to redis: {why}"),
            Some(why) => log::warn!("no connection to redis: {why}"),
            None => {}
        }
        if let Some((wire, epoch)) = begun {
            let shared = Arc::clone(self);
            if let Err(error) = spawn_alone(move || reader::run(&shared, &wire, epoch)) {
                self.fail(epoch, &RedisError::Down(error.to_string()));
            }
        }
        for promise in waiting {
            promise.give(());
        }
    }
}

impl Kept for Shared {
    /// Tells overdue requests, ends a connection whose peer is dead or no master any more, begins
    /// the next one.
    fn look_after(self: Arc<Self>) {
        let now = Instant::now();
        let grace = self.limits.timeout * (DEAD_AFTER_TIMEOUTS - 1);
        let (overdue, dead) = self.state.with(|state| {
            let overdue = state.requests.expire(now);
            let is_dead = state.requests.oldest_deadline().is_some_and(|due| now > due + grace);
            let is_deposed = state.wire.as_ref().is_some_and(|wire| wire.is_deposed());
            let why = match (is_dead, is_deposed) {
                (true, _) => Some("the server does not answer"),
                (_, true) => Some("the sentinels name another master"),
                _ => None,
            };
            (overdue, why.map(|why| (state.epoch, why)))
        });
        for waiter in overdue {
            // Its bytes may leave at any moment, so nobody can promise that they did not.
            waiter.fail(RedisError::Timeout { sent: true });
        }
        if let Some((epoch, why)) = dead {
            self.fail(epoch, &RedisError::Lost(why.to_owned()));
        }
        self.connect_if_due();
    }
}
