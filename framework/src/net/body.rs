//! A request's body as it comes off the socket: framed, bounded, within its time.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::read::Input;
use super::{Engine, Timeouts};
use crate::context::BodySource;
use crate::error::BodyError;
use crate::http::{BodyLength, CONTINUE, ChunkedDecoder, RequestHead};
use crate::runtime::sync::Mutex;
use crate::runtime::{Socket, here, ticks};

const FIRST_BUFFER_BYTES: usize = 8 * 1024;
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// The body of the request being answered; shared by the connection and the request's context.
pub(super) struct ConnectionBody {
    length: Option<u64>,
    max_unread_bytes: u64,
    /// The coroutine that may read. Two that wait for one socket would lose one of them for ever.
    owner: usize,
    reader: Mutex<Reader>,
}

/// How much of a body was read when its request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// All of it: the next byte belongs to the next request.
    Finished,
    /// Not all of it: the connection cannot go on.
    Unread,
}

struct Reader {
    /// `None` once the request is over: a child that outlives it must not keep the connection.
    socket: Option<Arc<Socket>>,
    timeouts: Timeouts,
    input: Input,
    coding: Coding,
    /// The client waits for `100 Continue` before it sends anything.
    continue_due: bool,
    /// Content delivered so far.
    delivered: u64,
    started_ms: u64,
    received: u64,
    failure: Option<BodyError>,
}

enum Coding {
    Exact(u64),
    Chunked(Box<ChunkedDecoder>),
    Finished,
}

impl ConnectionBody {
    pub(super) fn new(
        engine: &Engine,
        socket: &Arc<Socket>,
        input: Input,
        head: &RequestHead,
    ) -> Self {
        let (length, coding) = match head.body_length() {
            BodyLength::None => (Some(0), Coding::Finished),
            BodyLength::Exact(length) => (Some(length), Coding::Exact(length)),
            BodyLength::Chunked => {
                (None, Coding::Chunked(Box::new(ChunkedDecoder::new(&engine.limits))))
            }
        };
        let reader = Reader {
            socket: Some(Arc::clone(socket)),
            timeouts: engine.timeouts.clone(),
            continue_due: head.expects_continue() && input.unread().is_empty(),
            input,
            coding,
            delivered: 0,
            started_ms: 0,
            received: 0,
            failure: None,
        };
        let max_unread_bytes = engine.limits.max_unread_body_bytes;
        Self { length, max_unread_bytes, owner: here(), reader: Mutex::new(reader) }
    }

    /// Whether what is left is worth reading to keep the connection: it is short enough, and the
    /// client does send it. Where that cannot be known the answer says `Connection: close`.
    pub(super) fn can_be_discarded(&self) -> bool {
        let reader = self.reader.lock();
        if reader.failure.is_some() {
            return false;
        }
        match reader.coding {
            Coding::Finished => true,
            Coding::Exact(left) => !reader.continue_due && left <= self.max_unread_bytes,
            Coding::Chunked(_) => !reader.continue_due,
        }
    }

    /// The final head leaves. A client that still waits for `100 Continue` has its answer and sends
    /// no body; asking for it now would put an interim response into the final one.
    pub(super) fn final_head_leaves(&self) {
        let mut reader = self.reader.lock();
        if reader.continue_due {
            reader.failure.get_or_insert(BodyError::Closed);
        }
    }

    /// Asks for the body, if the client waits for that; a failure shows itself at the next read.
    pub(super) fn invite(&self) {
        let mut reader = self.reader.lock();
        if let Err(failure) = reader.invite() {
            reader.failure.get_or_insert(failure);
        }
    }

    /// Reads and throws away the rest, within the bound.
    pub(super) fn discard(&self) -> BodyEnd {
        let mut reader = self.reader.lock();
        let limit = reader.delivered.saturating_add(self.max_unread_bytes);
        let mut buffer = vec![0; 8 * 1024];
        loop {
            if matches!(reader.coding, Coding::Finished) {
                return BodyEnd::Finished;
            }
            if reader.continue_due || reader.read(&mut buffer, limit).is_err() {
                return BodyEnd::Unread;
            }
        }
    }

    /// Takes the buffer for the next request; later reads (by a child that outlived the request)
    /// fail.
    pub(super) fn take_input(&self) -> Input {
        let mut reader = self.reader.lock();
        reader.failure = Some(BodyError::Closed);
        reader.socket = None;
        std::mem::take(&mut reader.input)
    }
}

impl BodySource for ConnectionBody {
    fn read(&self, buffer: &mut [u8], limit: u64) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if here() != self.owner {
            return Err(BodyError::Elsewhere.into_io());
        }
        self.reader.lock().read(buffer, limit).map_err(BodyError::into_io)
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

impl fmt::Debug for ConnectionBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionBody").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Reader {
    fn read(&mut self, buffer: &mut [u8], limit: u64) -> Result<usize, BodyError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let outcome = self.read_within(buffer, limit);
        if let Err(failure) = outcome {
            self.failure = Some(failure);
        }
        outcome
    }

    fn read_within(&mut self, buffer: &mut [u8], limit: u64) -> Result<usize, BodyError> {
        if let Coding::Exact(left) = self.coding {
            // Refused by its head already, before a byte is asked for.
            if self.delivered.saturating_add(left) > limit {
                return Err(BodyError::TooLarge);
            }
        }
        loop {
            let count = match &mut self.coding {
                Coding::Finished => return Ok(0),
                Coding::Exact(left) => {
                    let count = take_exact(&mut self.input, buffer, left);
                    if *left == 0 {
                        self.coding = Coding::Finished;
                    }
                    count
                }
                Coding::Chunked(decoder) => {
                    let progress = decoder
                        .decode(self.input.unread(), buffer)
                        .map_err(|refusal| BodyError::Malformed(refusal.status, refusal.reason))?;
                    self.input.start += progress.consumed;
                    if progress.finished {
                        self.coding = Coding::Finished;
                    }
                    progress.produced
                }
            };
            self.delivered += count as u64;
            if self.delivered > limit {
                return Err(BodyError::TooLarge);
            }
            if count > 0 || matches!(self.coding, Coding::Finished) {
                return Ok(count);
            }
            self.receive()?;
        }
    }

    fn invite(&mut self) -> Result<(), BodyError> {
        let Some(socket) = &self.socket else { return Err(BodyError::Closed) };
        if std::mem::take(&mut self.continue_due) {
            let asked = socket.write_all(CONTINUE, self.timeouts.write);
            asked.map_err(|_| BodyError::Cut)?;
        }
        Ok(())
    }

    /// Waits for more bytes; asks for them first, if the client waits to be asked.
    fn receive(&mut self) -> Result<(), BodyError> {
        self.invite()?;
        let Some(socket) = &self.socket else { return Err(BodyError::Closed) };
        if self.started_ms == 0 {
            self.started_ms = ticks::now_ms();
        }
        // Each second's worth of bytes at the least rate buys another second.
        let earned_ms = self.received.saturating_mul(1000) / self.timeouts.body_min_rate.max(1);
        let allowed_ms = ticks::millis(self.timeouts.body).saturating_add(earned_ms);
        socket.set_deadline_at(self.started_ms.saturating_add(allowed_ms));
        let received = socket.read(self.input.space(FIRST_BUFFER_BYTES, MAX_BUFFER_BYTES));
        socket.clear_deadline();
        match received {
            Ok(0) => Err(BodyError::Cut),
            Ok(count) => {
                self.input.end += count;
                self.received += count as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(BodyError::TooSlow),
            Err(_) => Err(BodyError::Cut),
        }
    }
}

/// Moves as much of the body as is there and fits.
fn take_exact(input: &mut Input, buffer: &mut [u8], left: &mut u64) -> usize {
    let bound = usize::try_from(*left).unwrap_or(usize::MAX);
    let count = input.unread().len().min(buffer.len()).min(bound);
    let (to, from) = (buffer.get_mut(..count), input.unread().get(..count));
    if let (Some(to), Some(from)) = (to, from) {
        to.copy_from_slice(from);
    }
    input.start += count;
    *left -= count as u64;
    count
}
