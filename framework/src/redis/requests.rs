//! The requests of one connection in the order of their bytes, which is the order of the answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::error::{Answer, RedisError};
use crate::runtime::Promise;

/// What a request comes to: an answer to each of its commands, or none at all.
pub(super) type Outcome = Result<Vec<Answer>, RedisError>;

/// Some commands that were submitted in one piece.
pub(super) struct Request {
    /// `None` when the waiter was told that its time is over; the answers are thrown away then.
    promise: Option<Arc<Promise<Outcome>>>,
    commands: usize,
    answers: Vec<Answer>,
    received: usize,
    deadline: Instant,
}

impl Request {
    pub(super) fn new(promise: Arc<Promise<Outcome>>, commands: usize, deadline: Instant) -> Self {
        let answers = Vec::with_capacity(commands.min(64));
        Self { promise: Some(promise), commands, answers, received: 0, deadline }
    }
}

/// All requests that wait for answers, the oldest first.
#[derive(Default)]
pub(super) struct Requests {
    queue: VecDeque<Request>,
    commands: usize,
    /// How many of the newest requests are still in this process as a whole.
    unsent: usize,
}

impl Requests {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many commands wait for an answer, also for one that nobody wants any more.
    pub(super) fn commands(&self) -> usize {
        self.commands
    }

    pub(super) fn push(&mut self, request: Request) {
        self.commands += request.commands;
        self.unsent += 1;
        self.queue.push_back(request);
    }

    /// The bytes of all requests are on their way to the kernel.
    pub(super) fn hand_out(&mut self) {
        self.unsent = 0;
    }

    /// The next answer; gives the waiter and its outcome when it was the last of a request.
    pub(super) fn answer(&mut self, answer: Answer) -> Option<(Arc<Promise<Outcome>>, Outcome)> {
        let head = self.queue.front_mut()?;
        head.received += 1;
        self.commands = self.commands.saturating_sub(1);
        if head.promise.is_some() {
            head.answers.push(answer);
        }
        if head.received < head.commands {
            return None;
        }
        let done = self.queue.pop_front()?;
        done.promise.map(|promise| (promise, Ok(done.answers)))
    }

    /// The waiters whose time is over. Their requests keep their places.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Arc<Promise<Outcome>>> {
        // All have the same time-out, so that the deadlines are in order.
        let overdue = self.queue.iter_mut().take_while(|request| request.deadline <= now);
        overdue
            .filter_map(|request| {
                request.answers = Vec::new();
                request.promise.take()
            })
            .collect()
    }

    pub(super) fn oldest_deadline(&self) -> Option<Instant> {
        self.queue.front().map(|request| request.deadline)
    }

    /// All waiters of a connection that has ended, and whether their requests may have arrived.
    pub(super) fn abandon(self) -> Vec<(Arc<Promise<Outcome>>, bool)> {
        let sent = self.queue.len().saturating_sub(self.unsent);
        let all = self.queue.into_iter().enumerate();
        all.filter_map(|(place, request)| Some((request.promise?, place < sent))).collect()
    }
}
