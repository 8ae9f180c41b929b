//! A running server: listener, connections, signals, and the end in good order.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::admin::AdminSocket;
use crate::app::{App, Built, Service};
use crate::config::{Config, CookieSecure};
use crate::error::{Error, ErrorKind, Result};
use crate::housekeeping::Housekeeping;
use crate::http::Limits;
use crate::logger;
use crate::net::{BufferPool, Engine, REFUSED_FULL, Timeouts, serve_connection};
use crate::runtime::{self, Acceptor, Hub, HubSettings, Listener, start_sweeper, ticks};

/// Descriptors kept back for files, the log and the runtime itself; at most a quarter of all.
const RESERVED_DESCRIPTORS: usize = 128;

/// A server that runs in the background, made by [`App::start`]. Dropping it stops it.
///
/// ```
/// use maypole::prelude::*;
///
/// let mut app = App::with_config(Config::parse("[server]\nlisten = 127.0.0.1:0\n", "test")?);
/// app.get("/", |_ctx| "hello");
/// let server = app.start()?;
/// assert_ne!(server.local_addr().port(), 0);
/// server.stop();
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct Server {
    hub: Arc<Hub>,
    acceptor: Option<Acceptor>,
    addr: SocketAddr,
    grace: Duration,
    sessions_in: String,
    housekeeping: Housekeeping,
    admin: Option<AdminSocket>,
    service: Arc<Service>,
}

impl Server {
    #[expect(clippy::large_stack_frames, reason = "at start, on the caller's own thread")]
    pub(crate) fn start(app: App) -> Result<Self> {
        logger::install(&app.config().log);
        runtime::start(runtime_settings(app.config()));
        let addr = app.config().server.listen;
        // The port first: the commonest mistake, and nothing else is touched by it.
        let listener = Listener::bind(addr, app.config().server.backlog).map_err(|error| {
            let place = app.config().place("server", "listen");
            let what = format!("{place}: cannot listen on {addr}{}", why_not(addr, error.kind()));
            Error::new(ErrorKind::Start, what).caused_by(error)
        })?;
        let addr = listener.local_addr()?;
        let Built { service, config, sessions_in, upkeep, figures } = app.build()?;
        warn_of_lost_cookies(&config);
        let housekeeping = Housekeeping::start(&service, upkeep, config.session.sweep_every)?;
        let admin = AdminSocket::start(&config, &service, figures, &sessions_in)?;
        let engine = Engine {
            service: Arc::clone(&service),
            limits: limits(&config),
            timeouts: timeouts(&config),
            max_requests: config.server.max_requests_per_connection,
            buffers: BufferPool::new(),
        };
        let hub = Hub::start(hub_settings(&config), move |socket, carry| {
            serve_connection(&engine, socket, carry)
        })?;
        start_sweeper(Arc::clone(&hub))?;
        let acceptor = Some(listener.accept_into(Arc::clone(&hub))?);
        let grace = config.server.shutdown_grace;
        Ok(Self { hub, acceptor, addr, grace, sessions_in, housekeeping, admin, service })
    }

    /// The address it listens on, with the port the system chose if the setting was 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Open connections, idle ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.hub.connections()
    }

    /// Connections that idle without a coroutine or a buffer.
    #[must_use]
    pub fn parked_connections(&self) -> usize {
        self.hub.parked()
    }

    /// How often what happened to sessions since the start, by the words of the log: `created`,
    /// `destroyed`, `unknown id` and so on.
    #[must_use]
    pub fn session_events(&self) -> Vec<(&'static str, u64)> {
        self.service.session_events()
    }

    /// Ends in good order: closes the port and idle connections, lets requests in flight finish
    /// within `[server] shutdown_grace`, then cuts what is left.
    pub fn stop(mut self) {
        self.shut_down();
    }

    pub(crate) fn run_until(self, mut signals: Signals) -> Result<()> {
        logger::announce(&format!(
            "maypole listens on http://{}, sessions lie in {}",
            self.addr, self.sessions_in
        ));
        signals.forever().next();
        logger::announce("maypole stops: no new connections, requests in flight finish");
        std::thread::Builder::new().name("maypole-signals".to_owned()).spawn(move || {
            runtime::sleep(SAME_WISH);
            // When each of them came is not known; on a machine that stood still it was long ago.
            signals.pending().for_each(drop);
            if signals.forever().next().is_some() {
                logger::announce("maypole ends at once");
                end_at_once();
            }
        })?;
        self.stop();
        Ok(())
    }

    fn shut_down(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.hub.drain();
        acceptor.stop();
        let deadline = Instant::now() + self.grace;
        self.wait_for_connections(deadline);
        if self.hub.connections() > 0 {
            log::warn!("{} connections are cut after shutdown_grace", self.hub.connections());
            self.hub.abort();
            self.wait_for_connections(Instant::now() + Duration::from_millis(500));
        }
        self.hub.close();
        // Before the store is closed, so that nobody is told that it failed.
        self.admin.take().into_iter().for_each(AdminSocket::stop);
        self.housekeeping.stop();
        logger::flush();
    }

    fn wait_for_connections(&self, deadline: Instant) {
        while self.hub.connections() > 0 && Instant::now() < deadline {
            runtime::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Signals this close together are one wish: `timeout` and some init processes signal the process and
/// then its whole group, this process again among it.
const SAME_WISH: Duration = Duration::from_millis(500);

/// The signals that ask for an end, from now on kept until they are read.
pub(crate) fn stop_signals() -> Result<Signals> {
    Ok(Signals::new([SIGTERM, SIGINT])?)
}

/// A second signal: whoever sent it does not want to wait.
#[expect(clippy::exit, reason = "asked for by a second signal")]
fn end_at_once() {
    logger::flush();
    std::process::exit(130);
}

pub(crate) fn runtime_settings(config: &Config) -> runtime::RuntimeSettings {
    runtime::RuntimeSettings {
        workers: config.runtime.workers.unwrap_or(0),
        stack_kib: config.runtime.stack / 1024,
        coroutine_pool: config.runtime.coroutine_pool,
        blocking_threads: config.runtime.blocking_threads,
        blocking_queue: config.runtime.blocking_queue,
    }
}

pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        max_head_bytes: config.limits.head,
        max_headers: config.limits.headers,
        max_uri_bytes: config.limits.uri,
        max_body_bytes: config.limits.body,
        max_chunk_line_bytes: config.limits.chunk_line,
        max_trailer_bytes: config.limits.trailers,
        max_unread_body_bytes: config.limits.unread_body,
        ..Limits::default()
    }
}

/// What to make of a port that cannot be had, in words for whoever starts the program.
fn why_not(addr: SocketAddr, kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    match kind {
        AddrInUse => ", where another program listens already",
        AddrNotAvailable => ", no address of this machine (0.0.0.0 is every one)",
        PermissionDenied if addr.port() < 1024 => {
            ": ports below 1024 are for root and for programs with the capability net_bind_service"
        }
        _ => "",
    }
}

fn timeouts(config: &Config) -> Timeouts {
    Timeouts {
        keep_alive: config.server.keep_alive,
        header: config.server.header_timeout,
        body: config.server.body_timeout,
        body_min_rate: config.server.body_min_rate,
        write: config.server.write_timeout,
    }
}

/// Who listens beyond the loopback address and puts no TLS in front gets visitors that seem to
/// forget everything, and nothing else would say why.
fn warn_of_lost_cookies(config: &Config) {
    let is_automatic = config.cookie.secure == CookieSecure::Auto && config.session.use_cookies;
    if is_automatic && config.cookie_secure() && config.server.trusted_proxies.is_empty() {
        log::warn!(
            "{}: beyond a loopback address cookies are Secure, and over plain HTTP browsers drop \
             them: each visit begins a new session; name the HTTPS proxy in trusted_proxies, or \
             write [cookie] secure = false",
            config.place("server", "listen")
        );
    }
}

fn hub_settings(config: &Config) -> HubSettings {
    let wanted = config.server.max_connections;
    let descriptors = runtime::raise_descriptor_limit();
    // The files kept open are never more than an eighth of all, and come on top: with few
    // descriptors they would otherwise take those the store needs to open one more.
    let kept_open = config.session_file.max_open_files.min(descriptors / 8);
    let reserved = RESERVED_DESCRIPTORS.min(descriptors / 4) + kept_open;
    let max_connections = wanted.min(descriptors.saturating_sub(reserved).max(1));
    if max_connections < wanted {
        log::info!(
            "max_connections is {max_connections}, not {wanted}: the system allows this process \
             {descriptors} descriptors"
        );
    }
    HubSettings {
        max_connections,
        linger_ms: ticks::millis(config.server.linger),
        first_byte_ms: ticks::millis(config.server.header_timeout),
        stall_warning_ms: config.server.stall_warning.map(ticks::millis),
        refusal: REFUSED_FULL,
    }
}
