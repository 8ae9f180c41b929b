//! The requests of one connection in the order of their bytes, which is the order of the answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::error::{Answer, RedisError};
use super::gather::{Bytes, Call, Callers, Group};
use crate::runtime::Promise;

/// Groups' buffers kept for the next round.
const MAX_SPARE: usize = 2;

/// What commands that were submitted in one piece come to: an answer to each, or none at all.
pub(super) type Outcome = Result<Vec<Answer>, RedisError>;

/// Somebody who waits.
pub(super) enum Waiter {
    Sender(Arc<Promise<Outcome>>),
    Caller(Arc<Promise<Answer>>),
}

impl Waiter {
    pub(super) fn fail(self, error: RedisError) {
        match self {
            Self::Sender(promise) => promise.give(Err(error)),
            Self::Caller(promise) => promise.give(Err(error)),
        }
    }
}

/// Some commands, or one command of many callers.
struct Request {
    from: From,
    /// Answers that are still to come.
    missing: usize,
    deadline: Instant,
}

enum From {
    /// The promise is `None` when the sender was told that its time is over; the answers are thrown
    /// away then.
    Sender {
        promise: Option<Arc<Promise<Outcome>>>,
        answers: Vec<Answer>,
    },
    Callers(Callers),
}

impl From {
    /// Those who still wait, who do so no more.
    fn take(&mut self) -> Vec<Waiter> {
        match self {
            Self::Sender { promise, answers } => {
                answers.clear();
                promise.take().map(Waiter::Sender).into_iter().collect()
            }
            Self::Callers(callers) => take_callers(callers),
        }
    }
}

fn take_callers(callers: &mut Callers) -> Vec<Waiter> {
    callers.waiting.iter_mut().filter_map(Option::take).map(Waiter::Caller).collect()
}

/// A request that has its last answer.
pub(super) enum Done {
    Sender(Arc<Promise<Outcome>>, Outcome),
    Callers(Callers, Answer),
}

impl Done {
    /// Whether a script says in its answer that the server is a replica.
    pub(super) fn met_a_replica(&self) -> bool {
        matches!(self, Self::Callers(callers, answer) if callers.met_a_replica(answer))
    }

    /// Tells whoever waited.
    pub(super) fn tell(self) {
        match self {
            Self::Sender(promise, outcome) => promise.give(outcome),
            Self::Callers(callers, answer) => callers.give(answer),
        }
    }
}

/// All requests that wait for answers, the oldest first.
#[derive(Default)]
pub(super) struct Requests {
    queue: VecDeque<Request>,
    /// Calls that become commands when everything is handed out.
    groups: Vec<Group>,
    spare: Vec<Bytes>,
    waiting: usize,
    admitted: u64,
    /// How many of the newest requests are still in this process as a whole.
    unsent: usize,
}

impl Requests {
    /// How many commands and calls wait for an answer, also for one that nobody wants any more.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many requests there were so far.
    pub(super) fn admitted(&self) -> u64 {
        self.admitted
    }

    /// Whether nobody waits, and no late answer is to come.
    pub(super) fn is_empty(&self) -> bool {
        self.is_owed_nothing() && self.groups.is_empty()
    }

    /// Whether the server has answered everything.
    pub(super) fn is_owed_nothing(&self) -> bool {
        self.queue.is_empty()
    }

    /// Somebody waits for the answers to so many commands.
    pub(super) fn push(
        &mut self,
        promise: Arc<Promise<Outcome>>,
        commands: usize,
        deadline: Instant,
    ) {
        self.waiting += commands;
        self.admitted += 1;
        self.unsent += 1;
        let answers = Vec::with_capacity(commands.min(64));
        let from = From::Sender { promise: Some(promise), answers };
        self.queue.push_back(Request { from, missing: commands, deadline });
    }

    /// Somebody waits for the answer to a call.
    pub(super) fn gather(
        &mut self,
        promise: Arc<Promise<Answer>>,
        call: Call<'_>,
        deadline: Instant,
    ) {
        self.waiting += 1;
        self.admitted += 1;
        let mut young = self.groups.iter_mut().rev().take_while(|group| group.is_young(deadline));
        if let Some(group) = young.find(|group| group.fits(call)) {
            return group.push(call, promise);
        }
        let mut group = Group::new(call, self.spare.pop().unwrap_or_default(), deadline);
        group.push(call, promise);
        self.groups.push(group);
    }

    /// Whether there are calls that no command was made of yet.
    pub(super) fn has_calls(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The bytes of all requests are on their way to the kernel, behind those in `outgoing`.
    pub(super) fn hand_out(&mut self, outgoing: &mut Vec<u8>) {
        for group in self.groups.drain(..) {
            group.write(outgoing);
            let deadline = group.deadline;
            let (callers, bytes) = group.into_parts();
            if self.spare.len() < MAX_SPARE {
                self.spare.extend(bytes.cleared());
            }
            self.queue.push_back(Request { from: From::Callers(callers), missing: 1, deadline });
        }
        self.unsent = 0;
    }

    /// The next answer; gives the request if that was its last.
    pub(super) fn answer(&mut self, answer: Answer) -> Option<Done> {
        let head = self.queue.front_mut()?;
        head.missing = head.missing.saturating_sub(1);
        let is_done = head.missing == 0;
        match &mut head.from {
            From::Callers(callers) => {
                self.waiting = self.waiting.saturating_sub(callers.waiting.len());
                let callers = std::mem::take(callers);
                self.queue.pop_front();
                Some(Done::Callers(callers, answer))
            }
            From::Sender { promise, answers } => {
                self.waiting = self.waiting.saturating_sub(1);
                if promise.is_some() {
                    answers.push(answer);
                }
                if !is_done {
                    return None;
                }
                let done = promise.take().zip(Some(std::mem::take(answers)));
                self.queue.pop_front();
                done.map(|(promise, answers)| Done::Sender(promise, Ok(answers)))
            }
        }
    }

    /// The waiters whose time is over. Their requests keep their places.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Waiter> {
        // Not all in order: calls go behind commands that came after them in the same round.
        let overdue = self.queue.iter_mut().filter(|request| request.deadline <= now);
        let mut waiters: Vec<_> = overdue.flat_map(|request| request.from.take()).collect();
        let overdue = self.groups.iter_mut().filter(|group| group.deadline <= now);
        waiters.extend(overdue.flat_map(|group| take_callers(&mut group.callers)));
        waiters
    }

    /// That of the next answer; when none is to come, that of the calls which nobody hands out,
    /// if any: whoever had to is gone.
    pub(super) fn oldest_deadline(&self) -> Option<Instant> {
        let next = self.queue.front().map(|request| request.deadline);
        next.or_else(|| self.groups.first().map(|group| group.deadline))
    }

    /// All waiters of a connection that has ended, and whether their requests may have arrived.
    pub(super) fn abandon(self) -> Vec<(Waiter, bool)> {
        let sent = self.queue.len().saturating_sub(self.unsent);
        let mut waiters = Vec::new();
        for (place, mut request) in self.queue.into_iter().enumerate() {
            waiters.extend(request.from.take().into_iter().map(|waiter| (waiter, place < sent)));
        }
        for mut group in self.groups {
            waiters.extend(take_callers(&mut group.callers).into_iter().map(|one| (one, false)));
        }
        waiters
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Promise, Requests};
    use crate::redis::gather::Call;

    #[test]
    fn a_call_does_not_wait_for_the_commands_before_it() {
        let (mut requests, begun) = (Requests::default(), Instant::now());
        let at = |secs| begun + Duration::from_secs(secs);
        requests.gather(Promise::new(), Call::Get(b"k"), at(1));
        requests.push(Promise::new(), 1, at(2));
        let mut bytes = Vec::new();
        requests.hand_out(&mut bytes);
        assert_eq!(requests.expire(begun).len(), 0);
        assert_eq!(requests.expire(at(1)).len(), 1);
        assert_eq!(requests.expire(at(2)).len(), 1);
        assert_eq!(requests.waiting(), 2, "their answers are still to come");
    }
}
