//! The reading half of a connection: request heads within their bounds, parking, closing.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::Engine;
use super::body::{BodyEnd, ConnectionBody};
use super::buffers::{Buffers, READ_BYTES};
use super::write::Sent;
use crate::context::BodySource;
use crate::http::{BodyLength, Refusal, RequestHead, parse_head_from};
use crate::runtime::{Carry, Ending, Farewell, IdleWait, Socket, ticks};

const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// How long the peer gets to read a last answer before the socket is closed under its request.
const LINGERING_CLOSE: Duration = Duration::from_secs(2);

/// One connection and what is buffered of it.
pub(super) struct Connection<'a> {
    pub(super) engine: &'a Engine,
    pub(super) socket: &'a Arc<Socket>,
    pub(super) input: Input,
    pub(super) output: Vec<u8>,
    pub(super) body: Option<Arc<ConnectionBody>>,
    pub(super) date: (u64, [u8; 29]),
    /// A body that ends with the connection broke off: its end must not look like a good one.
    pub(super) is_cut_short: bool,
    /// The client takes nothing any more: no last answer has to arrive.
    pub(super) is_gone: bool,
    requests: u32,
    head_deadline_ms: u64,
}

/// Bytes received and not yet used: `bytes[start..end]`.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) bytes: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Input {
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Free space behind the unread bytes; there is always some, up to the buffer's bound.
    pub(super) fn space(&mut self, first: usize, max: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let length = (self.bytes.len() * 2).clamp(first, max.max(first));
            self.bytes.resize(length, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }
}

/// What waiting for bytes came to.
enum Received {
    More,
    Idle,
    Ended,
}

/// What waiting for a request came to.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one; it is moved once")]
pub(super) enum ReadHead {
    Head(RequestHead),
    /// Answer this and close.
    Refused(Refusal),
    /// Nothing came for the linger time.
    Idle,
    /// The client has closed, or nothing can be said to it any more.
    Ended,
}

impl<'a> Connection<'a> {
    pub(super) fn new(engine: &'a Engine, socket: &'a Arc<Socket>, carry: Carry) -> Self {
        let end = carry.bytes.len();
        Self {
            engine,
            socket,
            input: Input { bytes: carry.bytes, start: 0, end },
            output: Vec::new(),
            body: None,
            date: (0, [0; 29]),
            is_cut_short: false,
            is_gone: false,
            requests: carry.requests,
            head_deadline_ms: carry.head_deadline_ms,
        }
    }

    /// Waits for a whole request head: bounded bytes, bounded time.
    pub(super) fn read_head(&mut self) -> ReadHead {
        let mut seen = 0;
        loop {
            let unread = self.input.unread();
            if unread.len() > seen {
                match parse_head_from(unread, seen, &self.engine.limits) {
                    Ok(Some((head, length))) => return self.begin_request(head, length),
                    Ok(None) => seen = unread.len(),
                    Err(refusal) => return ReadHead::Refused(refusal),
                }
                self.start_head_deadline();
            }
            self.socket.set_deadline_at(self.head_deadline_ms);
            match self.receive() {
                Ok(Received::More) => {}
                Ok(Received::Idle) => return ReadHead::Idle,
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    let reason = "the request head came too slowly";
                    return ReadHead::Refused(Refusal::new(StatusCode::REQUEST_TIMEOUT, reason));
                }
                Ok(Received::Ended) | Err(_) => return ReadHead::Ended,
            }
        }
    }

    /// Waits for bytes without holding a buffer, then reads them into one.
    fn receive(&mut self) -> io::Result<Received> {
        if self.input.unread().is_empty() {
            self.give_buffers_back();
        }
        loop {
            if self.socket.wait_idle()? == IdleWait::Idle {
                return Ok(Received::Idle);
            }
            if self.input.bytes.is_empty() {
                self.take_buffers();
            }
            // A little more than the limit, so that a head that is too long shows itself.
            let max = (self.engine.limits.max_head_bytes + 4).min(MAX_BUFFER_BYTES);
            match self.socket.try_read(self.input.space(READ_BYTES, max))? {
                None => {}
                Some(0) => return Ok(Received::Ended),
                Some(count) => {
                    self.input.end += count;
                    return Ok(Received::More);
                }
            }
        }
    }

    fn take_buffers(&mut self) {
        let Buffers { read, write } = self.engine.buffers.take();
        self.input = Input { bytes: read, start: 0, end: 0 };
        self.output = write;
    }

    fn give_buffers_back(&mut self) {
        let read = std::mem::take(&mut self.input).bytes;
        let write = std::mem::take(&mut self.output);
        self.engine.buffers.put(Buffers { read, write });
    }

    /// Lets others have the read buffer, if nothing is in it.
    pub(super) fn give_empty_input_back(&mut self) {
        if self.input.unread().is_empty() {
            let read = std::mem::take(&mut self.input).bytes;
            self.engine.buffers.put(Buffers { read, write: Vec::new() });
        }
    }

    fn begin_request(&mut self, head: RequestHead, length: usize) -> ReadHead {
        self.input.start += length;
        self.head_deadline_ms = 0;
        self.requests = self.requests.saturating_add(1);
        self.socket.clear_deadline();
        ReadHead::Head(head)
    }

    /// The whole head must arrive within `header_timeout` of its first byte, however it trickles.
    fn start_head_deadline(&mut self) {
        if self.head_deadline_ms == 0 {
            self.head_deadline_ms =
                ticks::now_ms().saturating_add(ticks::millis(self.engine.timeouts.header));
        }
    }

    /// Hands the buffered bytes over to the body, if the request has one.
    pub(super) fn begin_body(&mut self, head: &RequestHead) -> Option<Arc<dyn BodySource>> {
        if head.body_length() == BodyLength::None {
            return None;
        }
        let input = std::mem::take(&mut self.input);
        let body = Arc::new(ConnectionBody::new(self.engine, self.socket, input, head));
        self.body = Some(Arc::clone(&body));
        Some(body)
    }

    /// Ends the request and says whether another may follow.
    pub(super) fn end_request(&mut self, sent: &Sent) -> bool {
        self.end_body(sent.keep_alive) && sent.keep_alive
    }

    /// Takes the buffer back from the body, whose rest is read and thrown away on demand; says
    /// whether the buffer now begins behind the body.
    pub(super) fn end_body(&mut self, pass_over: bool) -> bool {
        let Some(body) = self.body.take() else { return true };
        let end = if pass_over { body.discard() } else { BodyEnd::Unread };
        self.input = body.take_input();
        end == BodyEnd::Finished
    }

    /// Whether this connection may serve another request after the present one.
    pub(super) fn may_go_on(&self) -> bool {
        let under_limit = self.engine.max_requests.is_none_or(|max| self.requests < max);
        under_limit
            && !self.socket.is_draining()
            && self.body.as_ref().is_none_or(|body| body.can_be_discarded())
    }

    /// Gives coroutine and buffers back until the next bytes come.
    pub(super) fn park(self) -> Ending {
        let bytes = self.input.unread().to_vec();
        let keep_alive_ms = ticks::millis(self.engine.timeouts.keep_alive);
        let (deadline_ms, farewell) = if bytes.is_empty() {
            (ticks::now_ms().saturating_add(keep_alive_ms), None)
        } else {
            (self.head_deadline_ms, Some(super::write::refused_slow as Farewell))
        };
        let carry =
            Carry { bytes, requests: self.requests, head_deadline_ms: self.head_deadline_ms };
        Ending::Park { carry, deadline_ms, farewell }
    }

    /// Ends the connection so that the last answer arrives: closing with unread input would reset
    /// it, and with it the answer under way (RFC 9112, 9.6).
    pub(super) fn close(self) -> Ending {
        if self.is_cut_short {
            self.socket.reset_when_closed();
            return Ending::Close;
        }
        // The upgraded connection was handed to a child, which goes on with it; it closes with the
        // child's handle. Two coroutines that wait for one socket would lose one of them.
        if Arc::strong_count(self.socket) > 1 || self.is_gone {
            return Ending::Close;
        }
        self.socket.shutdown_write();
        let end_ms = ticks::now_ms().saturating_add(ticks::millis(LINGERING_CLOSE));
        self.socket.set_deadline_at(end_ms);
        // Bounded by time alone: whoever looks for the answer only when all is sent would lose it
        // by a reset in the middle. A flood meets the deadline here and not in a wait.
        let mut buffer = vec![0; 8 * 1024];
        while ticks::now_ms() < end_ms {
            match self.socket.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Ending::Close
    }
}
