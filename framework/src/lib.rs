//! maypole: a web framework with plain synchronous handlers on stackful coroutines, and sessions
//! that never lose an update.
//!
//! ```no_run
//! use maypole::prelude::*;
//!
//! fn main() -> maypole::Result<()> {
//!     let mut app = App::new()?; // config.ini, then MAYPOLE_SECTION_KEY from the environment
//!     app.get("/", |ctx| Ok(format!("visits: {}", ctx.session.increment("visits", 1)?)));
//!     app.run()
//! }
//! ```
//!
//! Each request runs on its own coroutine: a handler may wait for whatever it likes, and others go
//! on. `ctx.session` is the visitor's session, loaded at its first use and saved before the answer
//! leaves.

pub mod admin;
mod app;
mod clock;
pub mod config;
mod context;
mod error;
mod housekeeping;
mod http;
mod into_response;
pub mod live;
mod logger;
mod middleware;
mod net;
mod redis;
mod response;
mod routing;
mod runtime;
mod server;
pub mod session;
pub mod testing;
mod upgrade;

pub use ::cookie::Cookie;
pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use crate::http::{BodyLength, Limits, RequestHead};
pub use app::{App, Group, Route};
pub use clock::Clock;
pub use config::Config;
pub use context::{RequestBody, RequestContext, request, session};
pub use error::{Error, ErrorKind, Result};
pub use into_response::{Html, IntoResponse, Json, Redirect};
pub use middleware::Next;
pub use response::{BodyWriter, Response};
pub use routing::RouteError;
pub use runtime::{JoinHandle, Scope, blocking, scope, sleep, spawn, sync};
pub use server::Server;
pub use session::Session;
pub use upgrade::Upgraded;

/// What most programs use, for one `use maypole::prelude::*`.
pub mod prelude {
    pub use crate::{
        App, Config, Cookie, Error, ErrorKind, Html, IntoResponse, Json, Method, Next, Redirect,
        RequestContext, Response, Result, Session, StatusCode, blocking, request, scope, session,
        sleep, spawn,
    };
}

/// The programs of the README are compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
