//! An application: routes, middleware, state and sessions, put together and checked at start.
//! It knows no socket; [`server`](crate::Server) and the test client drive it.

mod build;
mod error_page;
mod failures;
mod ranges;
mod routes;
mod service;
mod settings;
mod stores;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::Method;

pub(crate) use build::{Built, build_manager};
pub use routes::{Group, Route};
pub(crate) use service::Service;
pub(crate) use stores::{Figures, Opened, Upkeep, open_store};

use crate::clock::Clock;
use crate::config::{Config, Section};
use crate::context::{RequestContext, TypeMap};
use crate::error::{Error, ErrorKind, Result};
use crate::into_response::IntoResponse;
use crate::live::Topics;
use crate::middleware::{Endpoint, Next};
use crate::server::{Server, stop_signals};
use crate::session::SessionStore;
use crate::testing::TestClient;

/// An application under construction.
///
/// ```no_run
/// use maypole::prelude::*;
///
/// fn main() -> maypole::Result<()> {
///     let mut app = App::new()?;
///     app.get("/", |ctx| Ok(format!("visits: {}", ctx.session.increment("visits", 1)?)));
///     app.run()
/// }
/// ```
pub struct App {
    config: Box<Config>,
    root: Group,
    fallback: Option<Arc<Endpoint<'static>>>,
    state: TypeMap,
    stores: BTreeMap<String, StoreFactory>,
    clock: Clock,
    topics: Topics,
}

type StoreFactory = Box<dyn FnOnce(&Section) -> Result<Arc<dyn SessionStore>>>;

impl App {
    /// An app with the settings of this process: config.ini in the current directory (or the file
    /// named by `MAYPOLE_CONFIG`), then `MAYPOLE_SECTION_KEY` from the environment. Without a
    /// file every setting has its default.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for the first mistake, with file, line, key and a suggestion.
    #[expect(clippy::large_stack_frames, reason = "at start, on the main thread")]
    pub fn new() -> Result<Self> {
        Ok(Self::with_config(Config::load()?))
    }

    /// An app with the defaults of every setting; neither file nor environment is read.
    #[must_use]
    pub fn with_defaults() -> Self {
        Self::with_config(Config::default())
    }

    /// An app with these settings.
    #[must_use]
    pub fn with_config(config: Config) -> Self {
        Self {
            config: Box::new(config),
            root: Group::new(""),
            fallback: None,
            state: TypeMap::default(),
            stores: BTreeMap::new(),
            clock: Clock::system(),
            topics: Topics::default(),
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The settings, to be changed before the start; for tests.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Answers `method` requests for `pattern`.
    ///
    /// `{name}` matches one segment, `{*name}` all the rest; read them with
    /// [`RequestContext::param`]. Two routes that cannot be told apart are an error at start.
    #[track_caller]
    pub fn route<F, R>(&mut self, method: Method, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.root.route(method, pattern, handler)
    }

    /// Answers `GET` (and with it `HEAD`) for `pattern`.
    #[track_caller]
    pub fn get<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.root.route(Method::GET, pattern, handler)
    }

    /// Answers `POST` for `pattern`.
    #[track_caller]
    pub fn post<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.root.route(Method::POST, pattern, handler)
    }

    /// Answers `PUT` for `pattern`.
    #[track_caller]
    pub fn put<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.root.route(Method::PUT, pattern, handler)
    }

    /// Answers `PATCH` for `pattern`.
    #[track_caller]
    pub fn patch<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.root.route(Method::PATCH, pattern, handler)
    }

    /// Answers `DELETE` for `pattern`.
    #[track_caller]
    pub fn delete<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.root.route(Method::DELETE, pattern, handler)
    }

    /// Routes that begin with `prefix` and share middleware.
    ///
    /// ```
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.group("/admin", |g| {
    ///     g.with(|ctx, next| match ctx.header("x-admin") {
    ///         Some(_) => next.run(ctx),
    ///         None => StatusCode::FORBIDDEN.into_response(),
    ///     });
    ///     g.get("/users", |_ctx| "all of them");
    /// });
    /// let client = app.test_client()?;
    /// assert_eq!(client.get("/admin/users").send().status(), 403);
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn group(&mut self, prefix: &str, routes: impl FnOnce(&mut Group)) {
        self.root.group(prefix, routes);
    }

    /// Runs `middleware` around every request, also those no route answers. The one registered
    /// first is outermost.
    ///
    /// ```
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.with(|ctx, next| {
    ///     ctx.session.require_user()?; // or 403; `?` works as in a handler
    ///     Ok(next.run(ctx))
    /// });
    /// app.get("/", |_ctx| "for users");
    /// # let dir = std::env::temp_dir().join(format!("maypole-with-{}", std::process::id()));
    /// # app.config_mut().session_file.path = dir.clone();
    /// let visitor = app.test_client()?;
    /// assert_eq!(visitor.get("/").send().status(), 403);
    /// assert_eq!(visitor.acting_as("ada")?.get("/").send().text(), "for users");
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn with<F, R>(&mut self, middleware: F)
    where
        F: Fn(&RequestContext, Next<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.root.with(middleware);
    }

    /// Answers requests whose path no route knows, instead of the plain 404.
    pub fn fallback<F, R>(&mut self, handler: F)
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.fallback = Some(Arc::new(move |ctx: &RequestContext| handler(ctx).into_response()));
    }

    /// Stores a value all handlers share, read with [`RequestContext::state`]; one per type.
    pub fn state<T: Send + Sync + 'static>(&mut self, value: T) {
        self.state.insert(value);
    }

    /// Registers a session store, selected by `[session] backend = name`.
    ///
    /// `make` is called at start if it is selected, with the settings of `[session.name]`.
    ///
    /// ```
    /// use maypole::prelude::*;
    /// # use maypole::session::{Expected, Renewed, StoreError, StoreKey, Stored, Swap, Swept, Touch};
    /// # struct Mine;
    /// # impl maypole::session::SessionStore for Mine {
    /// #   fn load(&self, _: &StoreKey, _: std::time::SystemTime) -> std::result::Result<Option<Stored>, StoreError> { Ok(None) }
    /// #   fn swap(&self, _: &StoreKey, _: Expected, _: &Stored, _: std::time::SystemTime) -> std::result::Result<Swap, StoreError> { Ok(Swap::Done) }
    /// #   fn touch(&self, _: &StoreKey, _: u64, _: Renewed, _: std::time::SystemTime) -> std::result::Result<Touch, StoreError> { Ok(Touch::Stale) }
    /// #   fn remove(&self, _: &StoreKey) -> std::result::Result<bool, StoreError> { Ok(false) }
    /// #   fn sweep(&self, _: std::time::SystemTime, _: usize) -> std::result::Result<Swept, StoreError> { Ok(Swept::default()) }
    /// # }
    ///
    /// let config = Config::parse("[session]\nbackend = mine\n[session.mine]\nurl = x\n", "config.ini")?;
    /// let mut app = App::with_config(config);
    /// app.session_store("mine", |section| {
    ///     let _url = section.require("url")?;
    ///     Ok(Mine)
    /// });
    /// app.test_client()?;
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn session_store<S, F>(&mut self, name: &str, make: F)
    where
        S: SessionStore,
        F: FnOnce(&Section) -> Result<S> + 'static,
    {
        let make: StoreFactory = Box::new(move |section| Ok(Arc::new(make(section)?)));
        self.stores.insert(name.to_owned(), make);
    }

    /// The topics of this app, for code that is no handler: a thread that publishes prices, say.
    /// Handlers use [`RequestContext::topic`].
    #[must_use]
    pub fn topics(&self) -> Topics {
        self.topics.clone()
    }

    /// Lets sessions expire by this clock; for tests.
    pub fn clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Serves the app until SIGTERM or SIGINT, then ends in good order: no new connections, the
    /// requests in flight get `[server] shutdown_grace`. A second signal, half a second after the
    /// first or later, ends at once.
    ///
    /// # Errors
    /// [`ErrorKind::Route`] for a conflict of routes, [`ErrorKind::Start`] when the port is in use
    /// or the session store cannot be opened, [`ErrorKind::Config`] for an unknown backend.
    pub fn run(self) -> Result<()> {
        // Before anything else: a signal during the start is kept, not fatal half-way through.
        let signals = stop_signals()?;
        self.start()?.run_until(signals)
    }

    /// Starts serving in the background and returns; dropping the server stops it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn start(self) -> Result<Server> {
        Server::start(self)
    }

    /// A client that drives this app without a port: same pipeline, with a cookie jar. Sessions lie
    /// where the settings say, with [`with_defaults`](Self::with_defaults) in `var/sessions` of the
    /// working directory; `app.config_mut().session_file.path` puts them elsewhere.
    ///
    /// # Errors
    /// As [`run`](Self::run), without the port.
    pub fn test_client(self) -> Result<TestClient> {
        TestClient::new(self)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.config.app.name).finish_non_exhaustive()
    }
}

/// What a mistake in a route becomes at start.
fn route_error(error: &crate::routing::RouteError, route: &Route) -> Error {
    let place = route.registered_at;
    Error::new(ErrorKind::Route, format!("{}:{}: {error}", place.file(), place.line()))
}
