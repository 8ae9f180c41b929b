//! The writing half of a connection: head and body of a response, in as few writes as possible.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::read::Connection;
use super::upgraded::UpgradedSocket;
use crate::context::RequestContext;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{
    BodyCoding, Refusal, ResponseHead, ResponseHeaders, ResponseLength, encode_head, imf_fixdate,
    push_chunk, push_last_chunk,
};
use crate::into_response::IntoResponse;
use crate::response::{Body, BodySink, BodyWriter, Response, StreamBody, UpgradeBody};
use crate::runtime::{Ending, Patience, Socket, catch_panic, offload, ticks};
use crate::upgrade::{Line, Upgraded};

/// Sent to a connection over the limit, before it is closed.
pub(crate) const REFUSED_FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";
/// How long a client that is refused gets to take the refusal.
pub(super) const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// Bodies up to this size are copied behind their head; larger ones are written from where they
/// are.
const COPY_BYTES: usize = 16 * 1024;
const PIECE_BYTES: usize = 64 * 1024;
const GATHER_BYTES: usize = 8 * 1024;

/// What really went out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) status: StatusCode,
    /// Bytes of content.
    pub(super) bytes: u64,
    pub(super) keep_alive: bool,
}

impl Connection<'_> {
    /// Writes head and body; from the first byte on the answer cannot be changed any more.
    pub(super) fn write_response(&mut self, ctx: &RequestContext, mut response: Response) -> Sent {
        // What follows an upgrade begins behind the request's body; where that does not end, there
        // is no place to begin.
        let upgrades = response.is_upgrade();
        if upgrades && let Some(body) = &self.body {
            body.invite();
        }
        if upgrades && !self.end_body(true) {
            let reason = "the body of a request for an upgrade did not end";
            response = Error::request(StatusCode::BAD_REQUEST, reason).into_response();
        }
        let body = response.take_body();
        let length = match &body {
            Body::Empty | Body::Upgrade(_) => ResponseLength::Exact(0),
            Body::Bytes(bytes) => ResponseLength::Exact(bytes.len() as u64),
            Body::File { length, .. } => ResponseLength::Exact(*length),
            Body::Stream(_) => ResponseLength::Unknown,
        };
        self.refresh_date();
        self.output.clear();
        let keep_alive = !upgrades && ctx.head().keep_alive() && self.may_go_on();
        if let Some(body) = &self.body {
            body.final_head_leaves();
        }
        let encoded = encode_head(
            &mut self.output,
            &ResponseHead {
                status: response.status(),
                headers: response.written_headers(),
                length,
                date: &self.date.1,
                is_http10: ctx.head().version() == http::Version::HTTP_10,
                is_head_request: ctx.method() == http::Method::HEAD,
                keep_alive,
            },
        );
        let written = match (body, encoded.body) {
            (Body::Upgrade(run), _) => self.write_upgrade(run),
            (_, BodyCoding::None) | (Body::Empty, _) => self.write_bytes(&[]),
            (Body::Bytes(bytes), _) => self.write_bytes(&bytes),
            (Body::File { file, start, length }, _) => self.write_file(file, start, length),
            (Body::Stream(write), coding) => self.write_stream(write, coding),
        };
        let (bytes, keep_alive) = match written {
            Ok(bytes) => (bytes, encoded.keep_alive),
            Err(error) => {
                self.engine.service.log_broken(ctx, &error);
                self.is_cut_short |= encoded.body == BodyCoding::UntilClose;
                self.is_gone = error.is_disconnected();
                (0, false)
            }
        };
        Sent { status: response.status(), bytes, keep_alive }
    }

    /// The date is rendered once a second and connection.
    fn refresh_date(&mut self) {
        let now = ticks::unix_secs();
        if self.date.0 != now {
            self.date = (now, imf_fixdate(now));
        }
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<u64> {
        let limit = self.engine.timeouts.write;
        let written = if bytes.len() <= COPY_BYTES {
            self.output.extend_from_slice(bytes);
            self.socket.write_all(&self.output, limit)
        } else {
            self.socket.write_all_vectored([&self.output, bytes], Patience::always(limit))
        };
        written.map_err(gone)?;
        Ok(bytes.len() as u64)
    }

    /// Reads on the blocking pool, writes from here; the file may have shrunk meanwhile.
    fn write_file(&mut self, file: File, start: u64, length: u64) -> Result<u64> {
        let limit = self.engine.timeouts.write;
        let piece_of = |left: u64| PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
        let mut state = (file, vec![0; piece_of(length)]);
        let mut left = length;
        self.socket.write_all(&self.output, limit).map_err(gone)?;
        while left > 0 {
            let at = start.saturating_add(length - left);
            let (count, back) = offload(move || {
                let (file, mut piece) = state;
                piece.truncate(piece_of(left));
                let count = file.read_at(&mut piece, at);
                (count, (file, piece))
            })?;
            state = back;
            let count = count?;
            if count == 0 {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a file became shorter while it was sent",
                ));
            }
            self.socket.write_all(state.1.get(..count).unwrap_or_default(), limit).map_err(gone)?;
            left -= count as u64;
        }
        Ok(length)
    }

    fn write_stream(&mut self, write: StreamBody, coding: BodyCoding) -> Result<u64> {
        let output = std::mem::take(&mut self.output);
        // It may take long, and until the next request nothing is read.
        self.give_empty_input_back();
        let mut sink = StreamSink {
            socket: self.socket,
            limit: self.engine.timeouts.write,
            pending: output,
            gathered: Vec::new(),
            is_chunked: coding == BodyCoding::Chunked,
            content_bytes: 0,
            is_broken: false,
        };
        // The head leaves at once: the handler may take its time for the first piece.
        sink.send_pending().map_err(gone)?;
        let outcome = catch_panic(|| write(&mut BodyWriter::new(&mut sink))).map_err(|panic| {
            Error::new(ErrorKind::Internal, format!("the response body panicked: {panic}"))
        })?;
        if sink.is_broken {
            // Whatever the handler made of it.
            return Err(gone(io::ErrorKind::BrokenPipe.into()));
        }
        outcome?;
        sink.end().map_err(gone)?;
        let content_bytes = sink.content_bytes;
        self.output = sink.pending;
        Ok(content_bytes)
    }

    fn write_upgrade(&mut self, run: UpgradeBody) -> Result<u64> {
        self.socket.write_all(&self.output, self.engine.timeouts.write).map_err(gone)?;
        self.give_empty_input_back();
        self.output = Vec::new();
        let is_broken = Arc::new(AtomicBool::new(false));
        let duplex = UpgradedSocket {
            socket: Arc::clone(self.socket),
            patience: Patience::always(self.engine.timeouts.write),
            first: std::mem::take(&mut self.input),
            is_broken: Arc::clone(&is_broken),
        };
        let outcome = catch_panic(|| run(Upgraded::new(Box::new(duplex)))).map_err(|panic| {
            Error::new(ErrorKind::Internal, format!("the upgrade panicked: {panic}"))
        })?;
        if is_broken.load(Ordering::Relaxed) {
            return Err(gone(io::ErrorKind::BrokenPipe.into()));
        }
        outcome.map(|()| 0)
    }

    /// Answers what was no acceptable request, and closes.
    pub(super) fn refuse(mut self, refusal: &Refusal) -> Ending {
        let peer = self.socket.peer().ip();
        self.engine.service.log_refusal(peer, refusal.status, refusal.reason);
        let is_head_request = asks_for_the_head(self.input.unread());
        let error = Error::request(refusal.status, refusal.reason);
        let response = error.into_response();
        self.refresh_date();
        self.output.clear();
        let body = response.body_bytes().unwrap_or_default();
        let encoded = encode_head(
            &mut self.output,
            &ResponseHead {
                status: response.status(),
                headers: response.written_headers(),
                length: ResponseLength::Exact(body.len() as u64),
                date: &self.date.1,
                is_http10: false,
                is_head_request,
                keep_alive: false,
            },
        );
        if encoded.body != BodyCoding::None {
            self.output.extend_from_slice(body);
        }
        self.socket.clear_deadline();
        if self.socket.write_all(&self.output, FAREWELL_TIMEOUT).is_err() {
            return Ending::Close;
        }
        self.close()
    }
}

/// Sent to a parked connection whose request head did not arrive in time.
pub(super) fn refused_slow(now: u64) -> Vec<u8> {
    let mut answer = Vec::new();
    let head = ResponseHead {
        status: StatusCode::REQUEST_TIMEOUT,
        headers: ResponseHeaders::Few { content_type: None, is_private: false },
        length: ResponseLength::Exact(0),
        date: &imf_fixdate(now),
        is_http10: false,
        is_head_request: false,
        keep_alive: false,
    };
    let _ = encode_head(&mut answer, &head);
    answer
}

/// Whether what was refused began as a HEAD request, whose answer has no content in any case.
fn asks_for_the_head(unread: &[u8]) -> bool {
    unread.strip_prefix(b"\r\n").unwrap_or(unread).starts_with(b"HEAD ")
}

fn gone(error: io::Error) -> Error {
    Error::new(ErrorKind::Disconnected, "the client did not take the answer").caused_by(error)
}

/// A streamed body on its way: gathered into pieces, framed as the head says.
struct StreamSink<'a> {
    socket: &'a Socket,
    limit: Duration,
    /// Framed bytes that wait for the next write.
    pending: Vec<u8>,
    /// Content not framed yet.
    gathered: Vec<u8>,
    is_chunked: bool,
    content_bytes: u64,
    /// A write failed, perhaps in the middle: nothing may be sent after it.
    is_broken: bool,
}

impl StreamSink<'_> {
    fn frame(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            // An empty chunk would end the body.
            return;
        }
        self.content_bytes += bytes.len() as u64;
        if self.is_chunked {
            push_chunk(&mut self.pending, bytes);
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }

    fn frame_gathered(&mut self) {
        let mut gathered = std::mem::take(&mut self.gathered);
        self.frame(&gathered);
        gathered.clear();
        self.gathered = gathered;
    }

    fn send_pending(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.pending.is_empty() {
            let sent = self.socket.write_all(&self.pending, self.limit);
            self.is_broken = sent.is_err();
            self.pending.clear();
            sent?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.frame_gathered();
        if self.is_chunked {
            push_last_chunk(&mut self.pending);
        }
        self.send_pending()
    }
}

impl BodySink for StreamSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.gathered.len() + bytes.len() <= GATHER_BYTES {
            self.gathered.extend_from_slice(bytes);
            return Ok(());
        }
        self.frame_gathered();
        for piece in bytes.chunks(PIECE_BYTES) {
            self.frame(piece);
            self.send_pending()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.frame_gathered();
        self.send_pending()
    }

    fn line(&self) -> Option<&dyn Line> {
        Some(self.socket)
    }
}
