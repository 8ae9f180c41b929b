//! The way of a request through an app with memory on both ends.

use std::io::{self, Read, Seek};
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, StatusCode};

use super::response::TestResponse;
use crate::app::Service;
use crate::context::{BodySource, Incoming, RequestContext};
use crate::error::{BodyError, Error};
use crate::http::{Limits, parse_head};
use crate::into_response::IntoResponse;
use crate::response::{Body, BodySink, BodyWriter, Response};
use crate::runtime::sync::ShortLock;
use crate::runtime::{catch_panic, here};
use crate::upgrade::Line;

/// The same straight line as a connection's, with memory on both ends. `handle` is the app's, or
/// stands in its place.
pub(super) fn answer(
    service: &Service,
    limits: &Limits,
    (head, body): (&[u8], Vec<u8>),
    handle: impl FnOnce(&Service, &RequestContext) -> Response,
) -> TestResponse {
    let head = match parse_head(head, limits) {
        Ok(Some((head, _))) => head,
        Ok(None) => return refused(StatusCode::BAD_REQUEST, "the request head is not whole"),
        Err(refusal) => return refused(refusal.status, refusal.reason),
    };
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let is_head = *head.method() == Method::HEAD;
    let source: Arc<dyn BodySource> = Arc::new(MemoryBody::new(body));
    let ctx = service.begin(Incoming { head, body: Some(source), peer });
    let mut response = handle(service, &ctx);
    service.commit_session(&ctx, &mut response);
    service.finish(&ctx, &mut response);
    let (bytes, is_whole) = collect(response.take_body());
    service.log_access(&ctx, response.status(), bytes.len() as u64);
    service.end(&ctx);
    TestResponse::of(response, if is_head { Vec::new() } else { bytes }, is_whole)
}

fn refused(status: StatusCode, reason: &'static str) -> TestResponse {
    let response = Error::request(status, reason).into_response();
    let body = response.body_bytes().unwrap_or_default().to_vec();
    TestResponse::of(response, body, true)
}

fn collect(body: Body) -> (Vec<u8>, bool) {
    match body {
        Body::Empty | Body::Upgrade(_) => (Vec::new(), true),
        Body::Bytes(bytes) => (bytes.into_owned(), true),
        Body::File { mut file, start, length } => {
            let mut bytes = Vec::new();
            let is_whole = file
                .seek(io::SeekFrom::Start(start))
                .and_then(|_| file.take(length).read_to_end(&mut bytes))
                .is_ok_and(|count| count as u64 == length);
            (bytes, is_whole)
        }
        Body::Stream(write) => {
            let mut sink = MemorySink(Vec::new());
            let written = catch_panic(|| write(&mut BodyWriter::new(&mut sink)));
            (sink.0, matches!(written, Ok(Ok(()))))
        }
    }
}

struct MemorySink(Vec<u8>);

impl BodySink for MemorySink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn line(&self) -> Option<&dyn Line> {
        None
    }
}

/// A request body that is all there already.
#[derive(Debug)]
struct MemoryBody {
    length: u64,
    /// The coroutine that may read it, as on a connection.
    owner: usize,
    rest: ShortLock<io::Cursor<Vec<u8>>>,
}

impl MemoryBody {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            length: bytes.len() as u64,
            owner: here(),
            rest: ShortLock::new(io::Cursor::new(bytes)),
        }
    }
}

impl BodySource for MemoryBody {
    fn read(&self, buffer: &mut [u8], limit: u64) -> io::Result<usize> {
        if here() != self.owner {
            return Err(BodyError::Elsewhere.into_io());
        }
        if self.length > limit {
            return Err(BodyError::TooLarge.into_io());
        }
        self.rest.with(|rest| rest.read(buffer))
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }
}
