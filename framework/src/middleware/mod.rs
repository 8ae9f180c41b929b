//! Middleware: functions around a handler, run in the order they were registered.

use std::fmt;
use std::sync::Arc;

use crate::context::RequestContext;
use crate::response::Response;

/// A handler or a middleware after its types were erased at registration.
pub(crate) type Endpoint<'a> = dyn Fn(&RequestContext) -> Response + Send + Sync + 'a;
pub(crate) type Middleware = dyn Fn(&RequestContext, Next<'_>) -> Response + Send + Sync;

/// The rest of the way to the answer: the middleware registered later, then the handler.
///
/// ```
/// use maypole::prelude::*;
///
/// let mut app = App::with_defaults();
/// app.with(|ctx, next| {
///     if ctx.header("x-key") != Some("open") {
///         return StatusCode::FORBIDDEN.into_response();
///     }
///     next.run(ctx)
/// });
/// app.get("/", |_ctx| "welcome");
/// let client = app.test_client()?;
/// assert_eq!(client.get("/").send().status(), 403);
/// assert_eq!(client.get("/").header("X-Key", "open").send().text(), "welcome");
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct Next<'a> {
    chain: &'a [Arc<Middleware>],
    inner: &'a [Arc<Middleware>],
    endpoint: &'a Endpoint<'a>,
}

impl<'a> Next<'a> {
    /// First `outer`, then `inner`, then `endpoint`.
    pub(crate) fn new(
        outer: &'a [Arc<Middleware>],
        inner: &'a [Arc<Middleware>],
        endpoint: &'a Endpoint<'a>,
    ) -> Self {
        Self { chain: outer, inner, endpoint }
    }

    /// Runs the rest and gives its answer, for the middleware to return, changed or not. Not calling
    /// it ends the request here.
    ///
    /// A panic of the handler does not come back as an answer: it unwinds through this call, whose
    /// destructors run, and becomes a 500 outside of all middleware.
    pub fn run(mut self, ctx: &RequestContext) -> Response {
        if self.chain.is_empty() {
            self.chain = std::mem::take(&mut self.inner);
        }
        match self.chain {
            [first, rest @ ..] => first(ctx, Next { chain: rest, ..self }),
            [] => (self.endpoint)(ctx),
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("middleware", &(self.chain.len() + self.inner.len())).finish()
    }
}
