//! The way of one request through an app, without a socket: begin, handle, commit, finish.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderName, HeaderValue, LAST_MODIFIED,
    SET_COOKIE, UPGRADE, VARY,
};
use http::{Method, StatusCode};

use super::error_page;
use super::failures::Failures;
use super::ranges;
use crate::context::{Environment, Incoming, Matched, RequestContext};
use crate::error::{Error, ErrorKind};
use crate::http::{PRIVATE_CACHE_CONTROL, PRIVATE_VARY, decode_param};
use crate::into_response::{IntoResponse, phrase};
use crate::middleware::{Endpoint, Middleware, Next};
use crate::response::Response;
use crate::routing::{Found, Router};
use crate::runtime::{Context, catch_panic, swap_context};
use crate::session::{CookieChange, Manager, Outcome, StoreError, Swept, is_session_cookie};

/// A built app: everything a request meets, read-only.
pub(crate) struct Service {
    pub(super) router: Router<Target>,
    pub(super) middleware: Vec<Arc<Middleware>>,
    pub(super) fallback: Option<Arc<Endpoint<'static>>>,
    pub(super) environment: Arc<Environment>,
    pub(super) sessions: Arc<Manager>,
    pub(super) logs_access: bool,
    pub(super) failures: Failures,
}

/// What a route leads to.
pub(super) struct Target {
    pub(super) endpoint: Arc<Endpoint<'static>>,
    pub(super) middleware: Vec<Arc<Middleware>>,
    pub(super) max_body_bytes: Option<u64>,
}

impl Service {
    /// Makes the context of a request and puts it in place for the coroutine. The session is not
    /// loaded.
    pub(crate) fn begin(&self, incoming: Incoming) -> Arc<RequestContext> {
        let addr = self.environment.client(&incoming.head, incoming.peer.ip()).addr;
        let session = self.sessions.begin(incoming.head.cookies(), Some(addr));
        let ctx = RequestContext::new(incoming, session, Arc::clone(&self.environment));
        let ctx = Arc::new(ctx);
        let context: Context = Arc::<RequestContext>::clone(&ctx);
        swap_context(Some(context));
        ctx
    }

    /// Middleware, route, handler: always a response. A panic below is a 500 that carries it.
    pub(crate) fn handle(&self, ctx: &RequestContext) -> Response {
        let response = catch_panic(|| self.answer(ctx)).unwrap_or_else(|panic| {
            Error::new(ErrorKind::Internal, format!("the handler panicked: {panic}"))
                .into_response()
        });
        ends_the_request(upgrade_only_if_asked(ctx, response))
    }

    fn answer(&self, ctx: &RequestContext) -> Response {
        let found = self.router.find(ctx.method(), ctx.path());
        let (inner, endpoint): (&[Arc<Middleware>], &Endpoint<'_>) = match found {
            Found::Route { target, pattern, params } => {
                let decoded = |(name, value): (&str, &str)| {
                    (name.to_owned(), decode_param(value).into_owned())
                };
                ctx.set_route(Matched {
                    pattern: Arc::clone(pattern),
                    params: params.into_iter().map(decoded).collect(),
                    max_body_bytes: target.max_body_bytes,
                });
                (&target.middleware, &*target.endpoint)
            }
            Found::WrongMethod { allow } => {
                let refuse = |ctx: &RequestContext| self.wrong_method(ctx, allow);
                return Next::new(&self.middleware, &[], &refuse).run(ctx);
            }
            Found::Nothing if ctx.path() == "*" => {
                return Next::new(&self.middleware, &[], &|_| phrase(StatusCode::NO_CONTENT))
                    .run(ctx);
            }
            Found::Nothing => match &self.fallback {
                Some(fallback) => (&[], &**fallback),
                None => (&[], &|_: &RequestContext| phrase(StatusCode::NOT_FOUND)),
            },
        };
        Next::new(&self.middleware, inner, endpoint).run(ctx)
    }

    /// The path is known, the method is not: `OPTIONS` is told what is, others 405 or, where no
    /// route of the app knows the method, 501 (RFC 9110, 9.1).
    fn wrong_method(&self, ctx: &RequestContext, allow: &str) -> Response {
        let mut response = match ctx.method() {
            &Method::OPTIONS => Response::empty(StatusCode::NO_CONTENT),
            method if self.knows(method) => phrase(StatusCode::METHOD_NOT_ALLOWED),
            _ => phrase(StatusCode::NOT_IMPLEMENTED),
        };
        if let Ok(allow) = HeaderValue::from_str(allow) {
            response.headers_mut().insert(ALLOW, allow);
        }
        response
    }

    fn knows(&self, method: &Method) -> bool {
        use std::slice::from_ref;
        let standard = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::CONNECT,
            Method::TRACE,
            Method::PATCH,
        ];
        standard.contains(method)
            || self.router.iter().any(|(own, _, _)| from_ref(own).contains(method))
    }

    /// Saves the session before the head leaves. A failure replaces the answer (503 or 500) and
    /// leaves the session's cookie alone, unless an earlier save in the request made one due.
    pub(crate) fn commit_session(&self, ctx: &RequestContext, response: &mut Response) {
        let outcome = match response.status().is_server_error() {
            true => Outcome::Discard,
            false if response.runs_on() => Outcome::KeepOpen,
            false => Outcome::Keep,
        };
        // The closures of `update` are the user's, and run again here.
        let committed =
            catch_panic(|| self.sessions.commit(&ctx.session, outcome)).unwrap_or_else(|panic| {
                let message = format!("saving the session panicked: {panic}");
                Err(Error::new(ErrorKind::Internal, message))
            });
        let committed = committed.unwrap_or_else(|error| {
            *response = error.into_response();
            self.sessions.after_failure(&ctx.session)
        });
        set_parts(ctx, response);
        if committed.touched || self.may_read_session_later(ctx, response) {
            forbid_caching(response);
        }
        change_cookie(response, self.sessions.cookie_name(), committed.cookie);
        if committed.successor != CookieChange::None {
            change_cookie(response, &self.sessions.successor_name(), committed.successor);
        }
    }

    /// A streamed body may read the visitor's session when no header can follow any more. A handler
    /// that knows better says so by a `Cache-Control` of its own.
    fn may_read_session_later(&self, ctx: &RequestContext, response: &Response) -> bool {
        let name = self.sessions.cookie_name();
        response.is_stream()
            && ctx.head().cookies().any(|(found, _)| is_session_cookie(found, name))
            && !response.headers().contains_key(CACHE_CONTROL)
    }

    /// The outer layer: what every answer gets, whatever it is by now.
    pub(crate) fn finish(&self, ctx: &RequestContext, response: &mut Response) {
        ranges::narrow(ctx, response);
        if response.error().is_some() {
            self.log_error(ctx, response);
            if self.environment.is_development && error_page::is_due(ctx, response) {
                error_page::dress(ctx, response);
            }
        }
    }

    /// Takes the context out of the coroutine once the last byte is sent.
    pub(crate) fn end(&self, ctx: &RequestContext) {
        if self.sessions.finish(&ctx.session) {
            self.failures.log_unsaved(ctx);
        }
        swap_context(None);
    }

    /// Deletes expired sessions among the next `budget` records of the store.
    pub(crate) fn sweep_sessions(&self, budget: usize) -> Result<Swept, StoreError> {
        self.sessions.sweep(budget)
    }

    /// The sessions of this service, for those who look after their store.
    pub(crate) fn sessions(&self) -> &Arc<Manager> {
        &self.sessions
    }

    /// How often what happened to sessions.
    pub(crate) fn session_events(&self) -> Vec<(&'static str, u64)> {
        self.sessions.events().counts().collect()
    }

    /// One line about a request that was none.
    pub(crate) fn log_refusal(&self, peer: IpAddr, status: StatusCode, reason: &str) {
        if self.logs_access {
            let status = status.as_u16();
            log::info!(target: "maypole::access", status; "{peer} refused: {status} {reason}");
        }
    }

    fn log_error(&self, ctx: &RequestContext, response: &Response) {
        let Some(error) = response.error() else { return };
        let is_ours = response.status().is_server_error() && !error.is_disconnected();
        self.failures.log(ctx, error, is_ours);
    }

    /// An answer that broke off after its head, or a socket whose handler failed. A mistake of the
    /// client is none of ours, though no status can tell it so any more.
    pub(crate) fn log_broken(&self, ctx: &RequestContext, error: &Error) {
        let is_ours = error.status().is_server_error() && !error.is_disconnected();
        self.failures.log(ctx, error, is_ours);
    }

    /// One line about what was really sent.
    pub(crate) fn log_access(&self, ctx: &RequestContext, status: StatusCode, sent_bytes: u64) {
        if !self.logs_access {
            return;
        }
        let addr: IpAddr = ctx.client_addr();
        log::info!(
            target: "maypole::access",
            request_id = ctx.request_id().as_str(), status = status.as_u16(), sent_bytes;
            "{addr} {} {} {} {sent_bytes}", ctx.method(), ctx.head().path_raw(), status.as_u16()
        );
    }
}

/// The headers and cookies the handler set on its context, over those of its answer. What it said
/// about its content is not true of an error's text, which may quote the request and must not
/// become HTML.
fn set_parts(ctx: &RequestContext, response: &mut Response) {
    let Some(parts) = ctx.take_parts() else { return };
    let is_error = response.error().is_some();
    for (name, value) in &parts.headers {
        if is_error && describes_content(name) {
            continue;
        }
        response.headers_mut().insert(name.clone(), value.clone());
    }
    for (_, cookie) in parts.cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

pub(super) fn describes_content(name: &HeaderName) -> bool {
    name.as_str().starts_with("content-") && name != CONTENT_SECURITY_POLICY
        || *name == ETAG
        || *name == LAST_MODIFIED
}

/// A protocol the client did not ask for is never switched to (RFC 9110, 7.8).
fn upgrade_only_if_asked(ctx: &RequestContext, response: Response) -> Response {
    if !response.is_upgrade() {
        return response;
    }
    let Some(protocol) = response.headers().get(UPGRADE) else { return response };
    if protocol.to_str().is_ok_and(|protocol| ctx.head().wants_upgrade_to(protocol)) {
        return response;
    }
    let mut refusal = phrase(StatusCode::UPGRADE_REQUIRED);
    refusal.headers_mut().insert(UPGRADE, protocol.clone());
    refusal
}

/// 1xx heads are interim ones: a client would wait for the final one and take the answer to its
/// next request for it. 101 belongs to an upgrade, and an upgrade to 101.
fn ends_the_request(response: Response) -> Response {
    let status = response.status();
    let is_final = match response.is_upgrade() {
        true => status == StatusCode::SWITCHING_PROTOCOLS,
        false => !status.is_informational(),
    };
    if is_final {
        return response;
    }
    let message = format!("the handler's answer cannot have the status {}", status.as_u16());
    Error::new(ErrorKind::Internal, message).into_response()
}

/// What a visitor's session had part in is for that visitor alone (OWASP session management).
fn forbid_caching(response: &mut Response) {
    if response.set_private() {
        return;
    }
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(PRIVATE_CACHE_CONTROL));
    let names_cookie = |value: &HeaderValue| {
        let names = value.to_str().unwrap_or_default();
        names.split(',').any(|name| matches!(name.trim(), "*" | "Cookie" | "cookie"))
    };
    if !headers.get_all(VARY).iter().any(names_cookie) {
        headers.append(VARY, HeaderValue::from_static(PRIVATE_VARY));
    }
}

fn change_cookie(response: &mut Response, name: &str, change: CookieChange) {
    match change {
        CookieChange::None => {}
        CookieChange::Set(line) | CookieChange::Delete(line) => {
            drop_cookie(response, name);
            add_cookie(response, &line);
        }
    }
}

fn add_cookie(response: &mut Response, line: &str) {
    // The policy was checked at start and the id is of base64url letters.
    match HeaderValue::from_str(line) {
        Ok(mut value) => {
            value.set_sensitive(true);
            response.headers_mut().append(SET_COOKIE, value);
        }
        Err(error) => log::error!("the session's cookie cannot be sent: {error}"),
    }
}

/// Takes out what the handler set under this name: of two cookies of one name in one answer a
/// browser keeps the one it likes (RFC 6265, 4.1.1: no more than one).
fn drop_cookie(response: &mut Response, name: &str) {
    let headers = response.headers_mut();
    let is_ours = |value: &HeaderValue| {
        let pair = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let found = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        found.trim_ascii() == name.as_bytes()
    };
    if headers.get_all(SET_COOKIE).iter().any(is_ours) {
        let others: Vec<_> =
            headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value)).cloned().collect();
        headers.remove(SET_COOKIE);
        for value in others {
            headers.append(SET_COOKIE, value);
        }
    }
}
