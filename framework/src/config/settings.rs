//! The typed settings, one struct a section; fields are named as their keys are.
//!
//! What a value means, its unit and its limits are written in config.ini, beside the default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[app]`: what this program is called and where it runs.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSettings {
    /// Goes into every store key, so that two apps never accept each other's sessions.
    pub name: String,
    /// Development or production.
    pub env: Environment,
}

/// Where the program runs. Production refuses unsafe or unfinished settings at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// On a programmer's machine: error pages show causes, plain HTTP on loopback is accepted.
    Development,
    /// Where visitors come.
    Production,
}

/// `[server]`: the listening socket and its connections.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The address to listen on; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Connections open at once; more are answered 503 and closed.
    pub max_connections: usize,
    /// Requests after which a connection closes; `None` for no limit.
    pub max_requests_per_connection: Option<u32>,
    /// How long a connection may idle between two requests.
    pub keep_alive: Duration,
    /// Time for a whole request head to arrive.
    pub header_timeout: Duration,
    /// Time for a request body to arrive, extended by [`body_min_rate`](Self::body_min_rate).
    pub body_timeout: Duration,
    /// Bytes per second that extend the body's deadline.
    pub body_min_rate: u64,
    /// Time without progress after which a client that does not read is cut.
    pub write_timeout: Duration,
    /// How long an idle connection keeps its coroutine before it is parked.
    pub linger: Duration,
    /// Time that requests in flight get to finish when the server stops.
    pub shutdown_grace: Duration,
    /// How long a worker may serve nobody, because a handler blocks its thread, before a warning
    /// is logged; `None` for never.
    pub stall_warning: Option<Duration>,
    /// Connections the kernel queues before they are accepted.
    pub backlog: u32,
    /// Addresses and networks (checked, `10.0.0.0/8`) whose forwarding headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Which header those proxies write.
    pub forwarded_header: Forwarded,
}

/// How trusted proxies name the client. Only one header is read: a proxy passes the other on as
/// the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Standard,
}

/// `[runtime]`: threads and coroutines.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// Scheduler threads; `None` for one per core.
    pub workers: Option<usize>,
    /// Stack of a coroutine in bytes, a multiple of 4096.
    pub stack: usize,
    /// Threads of the blocking pool.
    pub blocking_threads: usize,
    /// Jobs that may wait for the blocking pool.
    pub blocking_queue: usize,
    /// Finished coroutines kept for reuse.
    pub coroutine_pool: usize,
}

/// `[limits]`: how much of everything a client may send. Bytes, unless said otherwise.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Request line and headers together.
    pub head: usize,
    /// Number of headers.
    pub headers: usize,
    /// The request target.
    pub uri: usize,
    /// A request body.
    pub body: u64,
    /// A chunk-size line with its extensions.
    pub chunk_line: usize,
    /// All trailers of a chunked body.
    pub trailers: usize,
    /// What is read and thrown away of a body the handler left unread.
    pub unread_body: u64,
    /// Nesting of a JSON body.
    pub json_depth: usize,
    /// Number of fields in a form.
    pub form_fields: usize,
}

/// `[session]`: lifetimes, quotas and the cookie's name.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// The store: a built-in one or a registered name.
    pub backend: String,
    /// The name as written; see [`Config::session_cookie_name`](super::Config::session_cookie_name).
    pub cookie_name: Option<String>,
    /// `Max-Age` of the cookie; `None` ends it with the browser.
    pub cookie_lifespan: Option<Duration>,
    /// A session unused for so long is gone.
    pub idle_timeout: Duration,
    /// A session this old is gone, used or not.
    pub absolute_timeout: Duration,
    /// Idle timeout of a session whose visitor wants to be remembered.
    pub remember_idle_timeout: Duration,
    /// Absolute timeout of such a session.
    pub remember_absolute_timeout: Duration,
    /// Idle timeout of a session until its second request; `None` for no difference.
    pub first_lifetime: Option<Duration>,
    /// How often at most a session that is only read has its idle deadline moved.
    pub touch_every: Duration,
    /// How long the old id of a rotated session still works.
    pub rotate_grace: Duration,
    /// Sessions one user may have at once.
    pub max_sessions_per_user: usize,
    /// What a login beyond them does.
    pub max_sessions_per_user_policy: UserPolicy,
    /// Sessions in the store.
    pub max_sessions: u64,
    /// Bytes in the store.
    pub max_total_bytes: u64,
    /// Bytes of one session.
    pub max_session_bytes: usize,
    /// New sessions a minute for one client address; `None` for no limit.
    pub new_sessions_per_minute: Option<u32>,
    /// What requests of one session do to each other.
    pub concurrency: Concurrency,
    /// How long the holder of a session's lock may keep others waiting.
    pub lock_lease: Duration,
    /// Whether the session id travels in a cookie at all.
    pub use_cookies: bool,
    /// The `[redis.NAME]` that holds the sessions of `backend = redis` and `tiered`.
    pub redis_connection_pool: String,
    /// How often expired sessions are swept out of the store.
    pub sweep_every: Duration,
}

/// What two requests of one session at once do to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// Nothing: both run, and their changes are joined at commit.
    Merge,
    /// The second waits at its first use of the session until the first has committed.
    Lock,
}

/// What happens when a user who has as many sessions as allowed logs in once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserPolicy {
    /// The session with the oldest login ends.
    EndOldest,
    /// The login is refused.
    Refuse,
}

/// `[session.file]`: the file store.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStoreSettings {
    /// Directory of the sessions, relative to the working directory.
    pub path: PathBuf,
    /// When saved sessions are forced to the disk.
    pub fsync: Fsync,
    /// The interval of [`Fsync::Interval`].
    pub fsync_interval: Duration,
    /// Session files kept open between requests.
    pub max_open_files: usize,
}

/// `[session.table]`: the table store.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStoreSettings {
    /// Directory of the journal, relative to the working directory.
    pub path: PathBuf,
    /// When saved sessions are forced to the disk.
    pub fsync: Fsync,
    /// The interval of [`Fsync::Interval`].
    pub fsync_interval: Duration,
    /// Bytes after which the journal begins another file.
    pub segment: u64,
    /// A write that took longer shows that the disk stalls; saves then go through a thread.
    pub stall_bound: Duration,
}

/// `[session.redis]`: the redis store, also under the tiered one. Where redis is, is said by the
/// `[redis.NAME]` that `[session] redis_connection_pool` names.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisStoreSettings {
    /// What all keys and channels begin with.
    pub prefix: String,
    /// Replicas that must have a save before it is acknowledged.
    pub wait_replicas: u32,
    /// How long to wait for replicas.
    pub wait_timeout: Duration,
}

/// `[session.tiered]`: the memory in front of the redis store.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TieredStoreSettings {
    /// How long memory may be used after the way on which changes are told was last seen to work.
    pub lease: Duration,
    /// Records kept in memory.
    pub max_records: usize,
    /// Memory for them.
    pub max_bytes: usize,
}

/// When writes are forced to the disk: what a power loss, not a crash, can take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// When the kernel likes.
    Never,
    /// In the background, every `fsync_interval`.
    Interval,
    /// Before a save is acknowledged.
    Always,
}

/// `[cookie]`: attributes of the cookies maypole sets.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSettings {
    /// `Path`.
    pub path: String,
    /// `Domain`; `None` keeps the cookie to the host that set it.
    pub domain: Option<String>,
    /// `Secure` as written; see [`Config::cookie_secure`](super::Config::cookie_secure).
    pub secure: CookieSecure,
    /// `HttpOnly`: scripts cannot read the cookie, so injected ones cannot steal it.
    pub http_only: bool,
    /// `SameSite`: whether other sites' requests carry the cookie, against CSRF.
    pub same_site: SameSite,
    /// `Partitioned`: a separate cookie jar under each embedding site.
    pub partitioned: bool,
}

/// `[cookie] secure` as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieSecure {
    /// Not secure in development on a loopback address, secure otherwise.
    Auto,
    /// Always secure.
    Always,
    /// Never secure: cookies, and with them sessions, cross the network readable.
    Never,
}

/// The `SameSite` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Sent when a visitor follows a link from another site, not with its posts or frames.
    Lax,
    /// Never sent with requests from another site.
    Strict,
    /// Always sent; needs `Secure`.
    None,
}

/// `[websocket]`: connections that were upgraded to a WebSocket.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// WebSockets open at once; more are answered 503.
    pub max_open: usize,
    /// WebSockets and event streams together that one client address may have open, a /64 counting
    /// as one; more are answered 503. 0 for no bound.
    pub max_open_per_address: usize,
    /// Bytes of one message from a client.
    pub message: usize,
    /// Bytes of one frame from a client.
    pub frame: usize,
    /// How long a client may take to send one message, from its first byte to its last.
    pub message_timeout: Duration,
    /// News that may wait for one socket.
    pub queue: usize,
    /// After how long a silence the client is asked whether it is still there; `None` for never.
    pub ping_every: Option<Duration>,
    /// How long it may take to answer that.
    pub pong_timeout: Duration,
    /// How long a client may take to agree to a close.
    pub close_timeout: Duration,
    /// Origins (checked, `https://example.org`) whose pages may connect besides the app's own;
    /// `*` for all.
    pub origins: Vec<String>,
    /// Whether clients that name no origin are refused.
    pub require_origin: bool,
}

/// `[live]`: what WebSockets and event streams are told, and when they end.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// The code with which WebSockets are closed when their session ends, or when their handler
    /// fails for want of one.
    pub session_end_close: u16,
    /// How often watched sessions are looked at if the store does not tell what other processes
    /// change; `None` for never.
    pub session_poll: Option<Duration>,
    /// The `[redis.NAME]` that connects topics with those of other servers; `None` for the one of
    /// the sessions, if they are kept in redis.
    pub redis_connection_pool: Option<String>,
    /// Sources (changes of sessions, topics) that one WebSocket or event stream may follow.
    pub follows: usize,
    /// Subscribers that one topic may have on this node.
    pub topic_subscribers: usize,
    /// Bytes of one message of a topic.
    pub topic_message: usize,
    /// Messages that may wait for a subscriber that is no WebSocket and no event stream.
    pub topic_queue: usize,
}

/// `[sse]`: streams of server-sent events.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseSettings {
    /// Streams open at once; more are answered 503.
    pub max_open: usize,
    /// News that may wait for one stream.
    pub queue: usize,
    /// After how long a silence a comment is sent; `None` for never.
    pub heartbeat: Option<Duration>,
    /// How long browsers are told to wait before they connect again; `None` leaves it to them.
    pub retry: Option<Duration>,
}

/// `[admin]`: the private socket by which `maypole session` talks to a running server.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Whether a server opens the socket.
    pub enabled: bool,
    /// The directory of the socket; `None` for the one of the file or table store.
    pub path: Option<PathBuf>,
}

/// `[log]`: what is logged and how.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The least severe level that is logged.
    pub level: log::LevelFilter,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// Whether every request leaves a line.
    pub access: bool,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line.
    Text,
    /// One JSON object a line.
    Json,
}
