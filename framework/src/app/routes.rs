//! Registering routes: what `app.get(..)` and a group's `g.get(..)` do.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use http::Method;

use crate::context::RequestContext;
use crate::into_response::IntoResponse;
use crate::middleware::{Endpoint, Middleware, Next};

/// A registered route, for its options.
///
/// ```
/// use maypole::prelude::*;
///
/// let mut app = App::with_defaults();
/// app.post("/upload", |ctx| Ok(format!("{} bytes", ctx.body_bytes()?.len())))
///     .body_limit(20 * 1024 * 1024);
/// # drop(app);
/// ```
pub struct Route {
    pub(super) method: Method,
    pub(super) pattern: String,
    pub(super) endpoint: Arc<Endpoint<'static>>,
    pub(super) middleware: Vec<Arc<Middleware>>,
    pub(super) max_body_bytes: Option<u64>,
    pub(super) registered_at: &'static Location<'static>,
}

impl Route {
    /// Runs `middleware` around this route alone, inside that of its groups and of the app.
    pub fn with<F, R>(&mut self, middleware: F) -> &mut Self
    where
        F: Fn(&RequestContext, Next<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.middleware.push(erased(middleware));
        self
    }

    /// The longest body this route takes, in bytes, instead of `[limits] body`. A longer one is
    /// answered with 413 when the handler reads it.
    pub fn body_limit(&mut self, max_bytes: u64) -> &mut Self {
        self.max_body_bytes = Some(max_bytes);
        self
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} {})", self.method, self.pattern)
    }
}

fn erased<F, R>(middleware: F) -> Arc<Middleware>
where
    F: Fn(&RequestContext, Next<'_>) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    Arc::new(move |ctx: &RequestContext, next: Next<'_>| middleware(ctx, next).into_response())
}

/// Routes with a common beginning and common middleware; see [`App::group`](crate::App::group).
pub struct Group {
    prefix: String,
    routes: Vec<Route>,
    middleware: Vec<Arc<Middleware>>,
}

impl Group {
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
        Self { prefix, routes: Vec::new(), middleware: Vec::new() }
    }

    /// Answers `method` requests for `pattern` below the group's prefix.
    ///
    /// `{name}` matches one segment, `{*name}` all the rest; read them with
    /// [`RequestContext::param`]. A pattern of `""` is the prefix itself.
    #[track_caller]
    pub fn route<F, R>(&mut self, method: Method, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        let route = Route {
            method,
            pattern: format!("{}{pattern}", self.prefix),
            endpoint: Arc::new(move |ctx: &RequestContext| handler(ctx).into_response()),
            middleware: Vec::new(),
            max_body_bytes: None,
            registered_at: Location::caller(),
        };
        let index = self.routes.len();
        self.routes.push(route);
        &mut self.routes[index]
    }

    /// Answers `GET` (and with it `HEAD`).
    #[track_caller]
    pub fn get<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::GET, pattern, handler)
    }

    /// Answers `POST`.
    #[track_caller]
    pub fn post<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::POST, pattern, handler)
    }

    /// Answers `PUT`.
    #[track_caller]
    pub fn put<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::PUT, pattern, handler)
    }

    /// Answers `PATCH`.
    #[track_caller]
    pub fn patch<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::PATCH, pattern, handler)
    }

    /// Answers `DELETE`.
    #[track_caller]
    pub fn delete<F, R>(&mut self, pattern: &str, handler: F) -> &mut Route
    where
        F: Fn(&RequestContext) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::DELETE, pattern, handler)
    }

    /// A group within this group.
    pub fn group(&mut self, prefix: &str, routes: impl FnOnce(&mut Self)) {
        let mut group = Self::new(&format!("{}{prefix}", self.prefix));
        routes(&mut group);
        self.routes.append(&mut group.into_routes());
    }

    /// Runs `middleware` around every route of this group, also those registered before.
    pub fn with<F, R>(&mut self, middleware: F) -> &mut Self
    where
        F: Fn(&RequestContext, Next<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.middleware.push(erased(middleware));
        self
    }

    /// The routes, each with the group's middleware before its own.
    pub(super) fn into_routes(self) -> Vec<Route> {
        let mut routes = self.routes;
        for route in &mut routes {
            route.middleware.splice(0..0, self.middleware.iter().cloned());
        }
        routes
    }

    /// The routes and, apart, the middleware: the app's own also runs where no route matches.
    pub(super) fn into_parts(self) -> (Vec<Route>, Vec<Arc<Middleware>>) {
        (self.routes, self.middleware)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
