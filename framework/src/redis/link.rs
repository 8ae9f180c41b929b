//! One connection that everybody shares: commands go out in one stream, answers come back in
//! the same order.
//!
//! Whoever submits first yields once and then writes everybody's bytes. A coroutine of the
//! connection reads answers and gives them to the oldest request. Requests whose time is over are
//! told so, but keep their place, so that their late answers reach nobody else.

mod connect;

use std::borrow::Borrow;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::error::{Answer, RedisError, sorted};
use super::gather::Call;
use super::outage::Outage;
use super::requests::{Done, Outcome, Requests};
use super::transport::Transport;
use crate::runtime::sync::ShortLock;
use crate::runtime::{self, Kept, Promise, give_way, spawn_alone};

/// A replica is left for the new master at most so often.
const MIN_LIFE: Duration = Duration::from_secs(1);
/// Who writes for everybody lets the others go first so often, while they have something to add.
const MAX_ROUNDS: usize = 3;
/// A spare buffer is not kept beyond this size.
const MAX_SPARE_BYTES: usize = 256 * 1024;

/// How a link connects; called on a thread of its own.
pub(super) type Dial = dyn Fn() -> Result<Transport, RedisError> + Send + Sync;

/// The bounds of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkLimits {
    pub(super) queue: usize,
    pub(super) timeout: Duration,
    pub(super) reconnect_max: Duration,
}

/// A shared connection that comes back by itself; dropping it closes it.
pub(super) struct Link {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    dial: Box<Dial>,
    limits: LinkLimits,
    outage: Arc<Outage>,
    state: ShortLock<State>,
}

#[derive(Default)]
struct State {
    wire: Option<Arc<Transport>>,
    /// Which connection this is, counted from 1: what belongs to an earlier one is ignored.
    epoch: u64,
    since: Option<Instant>,
    requests: Requests,
    outgoing: Vec<u8>,
    spare: Vec<u8>,
    is_flushing: bool,
    /// No new requests; the connection ends with the last answer.
    is_retiring: bool,
    is_closed: bool,
    attempt: Attempt,
}

/// The way to the next connection.
#[derive(Default)]
struct Attempt {
    is_running: bool,
    pause: Duration,
    next: Option<Instant>,
    failure: Option<RedisError>,
    /// It was this connection that told the log.
    has_told: bool,
    /// Who came before the first attempt was over.
    waiting: Vec<Arc<Promise<()>>>,
}

/// What an admission to the stream came to.
enum Admission<T> {
    In(Ticket<T>),
    /// There was no attempt to connect yet: wait for it.
    Wait(Arc<Promise<()>>),
    Out(RedisError),
}

/// Something submitted that comes to a `T`.
pub(super) struct Ticket<T> {
    promise: Arc<Promise<T>>,
    /// The submitter has to write what is there.
    flush: Option<u64>,
}

/// Whether a link works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Nobody asked for it yet.
    Unused,
    /// Connected since then.
    Up(Instant),
    /// Not connected since then, and why.
    Down(Instant, RedisError),
}

impl LinkState {
    /// That of several connections: up while one is.
    pub(super) fn best(states: impl Iterator<Item = Self>) -> Self {
        let rank = |state: &Self| match state {
            Self::Up(_) => 0,
            Self::Down(..) => 1,
            Self::Unused => 2,
        };
        states.min_by_key(rank).unwrap_or(Self::Unused)
    }
}

impl Link {
    /// A link that connects when it is first used.
    pub(super) fn new(limits: LinkLimits, outage: Arc<Outage>, dial: Box<Dial>) -> Self {
        let shared = Arc::new(Shared { dial, limits, outage, state: ShortLock::default() });
        let kept = Arc::downgrade(&shared) as Weak<dyn Kept>;
        if !runtime::keep(kept) {
            log::error!("no thread looks after the connections to redis: nothing will time out");
        }
        Self { shared }
    }

    /// Sends `commands` in one piece and waits for all their answers.
    pub(super) fn send(&self, commands: &[Cmd]) -> Result<Vec<Answer>, RedisError> {
        let ticket = self.submit(commands)?;
        self.flush_soon(&ticket);
        ticket.wait()
    }

    /// Makes one call, which may travel with others, and waits for its answer.
    pub(super) fn call(&self, call: Call<'_>) -> Answer {
        let ticket = self.gather(call)?;
        self.flush_soon(&ticket);
        ticket.wait()
    }

    /// As [`call`](Self::call), for several at the same time.
    pub(super) fn calls<'a>(&self, calls: impl Iterator<Item = Call<'a>>) -> Vec<Answer> {
        let tickets = calls.map(|call| self.gather(call)).collect::<Vec<_>>();
        tickets.iter().flatten().for_each(|ticket| self.flush_soon(ticket));
        tickets.into_iter().map(|ticket| ticket?.wait()).collect()
    }

    /// Whether there is a connection that takes requests.
    pub(super) fn is_ready(&self) -> bool {
        self.shared.state.with(|state| state.wire.is_some() && !state.is_retiring)
    }

    /// Has the first attempt to connect made soon, if there was none yet.
    pub(super) fn begin(&self) {
        self.shared.state.with(|state| {
            state.attempt.next.get_or_insert_with(Instant::now);
        });
    }

    /// Waits until the first attempt to connect is over. Who submits to several links has to do
    /// this before: what he has submitted to one of them others wait for.
    pub(super) fn wait_for_first_attempt(&self) {
        if let Some(first) = self.shared.state.with(State::first_attempt) {
            self.shared.connect_if_due();
            first.wait();
        }
    }

    /// Puts `commands` into the stream. Somebody must call [`flush_soon`](Self::flush_soon) then.
    pub(super) fn submit<C: Borrow<Cmd>>(
        &self,
        commands: &[C],
    ) -> Result<Ticket<Outcome>, RedisError> {
        if commands.is_empty() {
            let promise = Promise::new();
            promise.give(Ok(Vec::new()));
            return Ok(Ticket { promise, flush: None });
        }
        self.enter(commands.len(), |state, promise, deadline| {
            for command in commands {
                command.borrow().write_packed_command(&mut state.outgoing);
            }
            state.requests.push(promise, commands.len(), deadline);
        })
    }

    /// As [`submit`](Self::submit), for a call.
    pub(super) fn gather(&self, call: Call<'_>) -> Result<Ticket<Answer>, RedisError> {
        self.enter(1, |state, promise, deadline| state.requests.gather(promise, call, deadline))
    }

    /// Waits for the first connection if there was none yet, then has `put` put a request of so
    /// many commands into the stream.
    fn enter<T>(
        &self,
        commands: usize,
        put: impl Fn(&mut State, Arc<Promise<T>>, Instant),
    ) -> Result<Ticket<T>, RedisError> {
        let mut has_waited = false;
        loop {
            match Shared::admit(&self.shared, commands, has_waited, &put) {
                Admission::In(ticket) => return Ok(ticket),
                Admission::Out(error) => return Err(error),
                Admission::Wait(promise) => promise.wait(),
            }
            has_waited = true;
        }
    }

    /// Writes what waits, if this ticket was the first of a batch.
    pub(super) fn flush_soon<T>(&self, ticket: &Ticket<T>) {
        let Some(epoch) = ticket.flush else { return };
        // The others of this round get into the same write, and those whom they woke.
        let admitted = || self.shared.state.with(|state| state.requests.admitted());
        let mut before = admitted();
        for _ in 0..MAX_ROUNDS {
            give_way();
            let now = admitted();
            if now == std::mem::replace(&mut before, now) {
                break;
            }
        }
        Shared::flush(&self.shared, epoch);
    }

    pub(super) fn state(&self) -> LinkState {
        self.shared.state.with(|state| match (&state.wire, state.since) {
            (Some(_), Some(since)) => LinkState::Up(since),
            (None, Some(since)) => LinkState::Down(since, state.why_down()),
            (_, None) => LinkState::Unused,
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let epoch = self.shared.state.with(|state| {
            state.is_closed = true;
            state.epoch
        });
        Shared::fail(&self.shared, epoch, &RedisError::Down("it was closed".to_owned()));
    }
}

impl<T> Ticket<T> {
    /// Waits for the answers, the end of the connection, or the time-out.
    pub(super) fn wait(self) -> T {
        self.promise.wait()
    }
}

impl State {
    /// The end of the first attempt to connect, if that is still to come.
    fn first_attempt(&mut self) -> Option<Arc<Promise<()>>> {
        if self.wire.is_some() || self.attempt.failure.is_some() || self.is_closed {
            return None;
        }
        let promise = Promise::new();
        self.attempt.waiting.push(Arc::clone(&promise));
        self.attempt.next.get_or_insert_with(Instant::now);
        Some(promise)
    }

    fn why_down(&self) -> RedisError {
        let never = || RedisError::Down("it was not connected yet".to_owned());
        self.attempt.failure.clone().unwrap_or_else(never).for_others()
    }
}

impl Shared {
    fn admit<T>(
        self: &Arc<Self>,
        commands: usize,
        has_waited: bool,
        put: impl Fn(&mut State, Arc<Promise<T>>, Instant),
    ) -> Admission<T> {
        let promise = Promise::new();
        let admission = self.state.with(|state| {
            if state.is_retiring {
                return Admission::Out(RedisError::ReadOnly);
            }
            if state.wire.is_none() {
                let first = if has_waited { None } else { state.first_attempt() };
                return match first {
                    Some(first) => Admission::Wait(first),
                    None => Admission::Out(state.why_down()),
                };
            }
            if state.requests.waiting() + commands > self.limits.queue {
                return Admission::Out(RedisError::Busy);
            }
            let deadline = Instant::now() + self.limits.timeout;
            put(state, Arc::clone(&promise), deadline);
            let is_first = !std::mem::replace(&mut state.is_flushing, true);
            Admission::In(Ticket { promise, flush: is_first.then_some(state.epoch) })
        });
        if matches!(admission, Admission::Wait(_)) {
            self.connect_if_due();
        }
        admission
    }

    /// Writes everything that waits, without waiting itself: what the kernel does not take is
    /// left to a coroutine that may wait.
    fn flush(self: &Arc<Self>, epoch: u64) {
        while let Some((wire, bytes)) = self.take_outgoing(epoch) {
            let sealed = match wire.seal(bytes) {
                Ok(sealed) => sealed,
                Err(error) => return self.fail(epoch, &RedisError::Lost(error.to_string())),
            };
            match wire.try_write(&sealed) {
                Ok(count) if count == sealed.len() => self.give_spare(sealed),
                Ok(count) => return self.flush_slowly(epoch, wire, sealed, count),
                Err(error) => return self.fail(epoch, &RedisError::Lost(error.to_string())),
            }
        }
    }

    fn take_outgoing(&self, epoch: u64) -> Option<(Arc<Transport>, Vec<u8>)> {
        self.state.with(|state| {
            if state.epoch != epoch {
                return None;
            }
            let wire = state.wire.as_ref()?;
            let has_bytes = !state.outgoing.is_empty() || state.requests.has_calls();
            if !has_bytes && !wire.wants_write() {
                state.is_flushing = false;
                return None;
            }
            state.requests.hand_out(&mut state.outgoing);
            let spare = std::mem::take(&mut state.spare);
            Some((Arc::clone(wire), std::mem::replace(&mut state.outgoing, spare)))
        })
    }

    fn give_spare(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= MAX_SPARE_BYTES {
            bytes.clear();
            self.state.with(|state| state.spare = bytes);
        }
    }

    fn flush_slowly(
        self: &Arc<Self>,
        epoch: u64,
        wire: Arc<Transport>,
        bytes: Vec<u8>,
        from: usize,
    ) {
        let shared = Arc::clone(self);
        let write = move || {
            // The reader waits on the first handle, and may lets only one coroutine wait on each.
            let rest = bytes.get(from..).unwrap_or_default();
            let written = wire.second_handle().and_then(|handle| handle.write_all(rest));
            match written {
                Ok(()) => Self::flush(&shared, epoch),
                Err(error) => shared.fail(epoch, &RedisError::Lost(error.to_string())),
            }
        };
        if let Err(error) = spawn_alone(write) {
            self.fail(epoch, &RedisError::Lost(error.to_string()));
        }
    }

    /// The encryption wants to say something that no request carries.
    pub(super) fn flush_own(self: &Arc<Self>, epoch: u64) {
        let is_mine = self
            .state
            .with(|state| state.epoch == epoch && !std::mem::replace(&mut state.is_flushing, true));
        if is_mine {
            self.flush(epoch);
        }
    }

    /// The next answer of the connection `epoch`. False when that connection is over.
    pub(super) fn receive(self: &Arc<Self>, epoch: u64, value: Value) -> bool {
        if matches!(value, Value::Push { .. }) {
            return true;
        }
        let answer = sorted(value);
        let is_read_only = answer == Err(RedisError::ReadOnly);
        let mut is_over = false;
        let mut is_unasked = false;
        let done = self.state.with(|state| {
            if state.epoch != epoch || state.wire.is_none() {
                is_over = true;
                return None;
            }
            is_unasked = state.requests.is_owed_nothing();
            let done = state.requests.answer(answer);
            let is_read_only = is_read_only || done.as_ref().is_some_and(Done::met_a_replica);
            let is_young = state.since.is_some_and(|since| since.elapsed() < MIN_LIFE);
            state.is_retiring |= is_read_only && !is_young;
            is_over = state.is_retiring && state.requests.is_empty();
            done
        });
        if let Some(done) = done {
            done.tell();
        }
        if is_unasked {
            let error = RedisError::Protocol("an answer that nobody asked for".to_owned());
            self.fail(epoch, &error);
        } else if is_over {
            self.fail(epoch, &RedisError::ReadOnly);
        }
        !is_over && !is_unasked
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("state", &self.state()).finish()
    }
}
