//! How a request becomes a connection that stays.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

use super::event_stream::EventStream;
use super::frames::FrameLimits;
use super::handshake::{self, Accepted};
use super::inbox::{Inbox, SlowClient};
use super::options::WebSocketOptions;
use super::settings::Live;
use super::websocket::{Opening, WebSocket};
use crate::config::WebSocketSettings;
use crate::context::RequestContext;
use crate::error::{Error, ErrorKind, Result};
use crate::response::Response;
use crate::runtime::catch_panic;
use crate::upgrade::Duplex;

impl RequestContext {
    /// Opens a WebSocket: answers the handshake of RFC 6455 and runs `handler` on the request's own
    /// coroutine, until it returns or the socket ends. Return the response: middleware sees it as
    /// any other, login rules hold, and the session is saved before the `101`.
    ///
    /// A request that is no handshake gets 426, 400 or 405. One from a page of another origin gets
    /// 403, against cross-site WebSocket hijacking: browsers send cookies with WebSockets of any
    /// page. The origin must have the scheme, host and port of the request (as trusted proxies tell
    /// them) or be in `[websocket] origins`; clients that send none, which browsers never do, are
    /// let in unless `[websocket] require_origin` is set.
    ///
    /// ```
    /// use maypole::live::Event;
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.get("/echo", |ctx| {
    ///     ctx.websocket(|ws| {
    ///         while let Some(event) = ws.recv()? {
    ///             if let Event::Text(text) = event {
    ///                 ws.send(text)?;
    ///             }
    ///         }
    ///         Ok(())
    ///     })
    /// });
    /// assert_eq!(app.test_client()?.get("/echo").send().status(), 426);
    /// # Ok::<(), maypole::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] (503) when `[websocket] max_open` are open, or
    /// `max_open_per_address` of this client.
    pub fn websocket<F>(&self, handler: F) -> Result<Response>
    where
        F: FnOnce(&mut WebSocket) -> Result<()> + Send + 'static,
    {
        self.websocket_with(&WebSocketOptions::new(), handler)
    }

    /// As [`websocket`](Self::websocket), with choices of its own.
    ///
    /// # Errors
    /// As [`websocket`](Self::websocket).
    pub fn websocket_with<F>(&self, options: &WebSocketOptions, handler: F) -> Result<Response>
    where
        F: FnOnce(&mut WebSocket) -> Result<()> + Send + 'static,
    {
        let live = self.state::<Live>()?;
        let Accepted { accept, protocol } = match handshake::check(self, &live.websocket, options) {
            Ok(accepted) => accepted,
            Err(refusal) => return Ok(*refusal),
        };
        let place = live.open_websocket(self.client_addr())?;
        let settings = live.websocket.clone();
        let opening = Opening {
            inbox: Inbox::new(settings.queue, options.slow, live.settings.follows),
            session: self.session.clone(),
            protocol: protocol.clone(),
            limits: limits(&settings, options),
            session_end_close: live.settings.session_end_close,
        };
        let response = Response::upgrade("websocket", move |upgraded| {
            let _place = place;
            run(upgraded.into_duplex(), opening, &settings, handler)
        })?;
        let response = response.header("sec-websocket-accept", accept)?;
        match protocol {
            Some(protocol) => response.header("sec-websocket-protocol", protocol),
            None => Ok(response),
        }
    }

    /// Answers with server-sent events: runs `handler` on the request's own coroutine after the
    /// head, until it returns or the client leaves. The session is saved before the head.
    ///
    /// ```
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.get("/news", |ctx| {
    ///     ctx.sse(|out| {
    ///         out.send("hello")?;
    ///         while let Some(event) = out.recv()? {
    ///             out.send(format!("{event:?}"))?;
    ///         }
    ///         Ok(())
    ///     })
    /// });
    /// // The test client leaves as soon as the handler would wait.
    /// assert_eq!(app.test_client()?.get("/news").send().text(), "data: hello\n\n");
    /// # Ok::<(), maypole::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] (503) when `[sse] max_open` are open, or `[websocket]
    /// max_open_per_address` of this client.
    pub fn sse<F>(&self, handler: F) -> Result<Response>
    where
        F: FnOnce(&mut EventStream<'_>) -> Result<()> + Send + 'static,
    {
        self.sse_with(SlowClient::Close, handler)
    }

    /// As [`sse`](Self::sse), with a choice of what becomes of news the client does not take.
    ///
    /// # Errors
    /// As [`sse`](Self::sse).
    pub fn sse_with<F>(&self, slow: SlowClient, handler: F) -> Result<Response>
    where
        F: FnOnce(&mut EventStream<'_>) -> Result<()> + Send + 'static,
    {
        let live = self.state::<Live>()?;
        let place = live.open_stream(self.client_addr())?;
        let (settings, max_follows) = (live.sse.clone(), live.settings.follows);
        let session = self.session.clone();
        let mut response = Response::stream(move |out| {
            let _place = place;
            let inbox = Inbox::new(settings.queue, slow, max_follows);
            handler(&mut EventStream::new(out.sink(), inbox, session, &settings)?)
        });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx would gather the events otherwise.
        let buffering = HeaderName::from_static("x-accel-buffering");
        headers.insert(buffering, HeaderValue::from_static("no"));
        Ok(response)
    }

    /// The id of the last event the client has got, when it connects again; `None` at first. It is
    /// what the client says: check it as any input.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.header("last-event-id").filter(|id| !id.is_empty())
    }
}

fn limits(settings: &WebSocketSettings, options: &WebSocketOptions) -> FrameLimits {
    match options.max_message_bytes {
        Some(bytes) => FrameLimits { message_bytes: bytes, frame_bytes: bytes },
        None => FrameLimits { message_bytes: settings.message, frame_bytes: settings.frame },
    }
}

/// What a client is told whose handler failed. Programs that open a socket again by themselves do so
/// after 1011, which would be in vain where the client itself has to do something first.
fn close_for(error: &Error, session_end_close: u16) -> (u16, &'static str) {
    match error.kind() {
        ErrorKind::NoSession => (session_end_close, "no session"),
        ErrorKind::SessionGone => (session_end_close, "session ended"),
        ErrorKind::LoginRequired => (session_end_close, "login required"),
        _ if error.status().is_client_error() => (1008, ""),
        _ => (1011, ""),
    }
}

/// The upgrade's boundary: whatever becomes of the handler, the client is told.
fn run<F>(
    duplex: Box<dyn Duplex>,
    opening: Opening,
    settings: &WebSocketSettings,
    handler: F,
) -> Result<()>
where
    F: FnOnce(&mut WebSocket) -> Result<()>,
{
    let session_end_close = opening.session_end_close;
    let mut ws = WebSocket::new(duplex, opening, settings);
    match catch_panic(|| handler(&mut ws)) {
        Ok(Ok(())) => {
            ws.end(1000, "");
            Ok(())
        }
        Ok(Err(error)) => {
            let (code, reason) = close_for(&error, session_end_close);
            ws.end(code, reason);
            Err(error)
        }
        Err(panic) => {
            ws.end(1011, "");
            let message = format!("the handler of a WebSocket panicked: {panic}");
            Err(Error::new(ErrorKind::Internal, message))
        }
    }
}
