//! One request as its handler sees it: what was asked, the visitor's session, and what the answer
//! shall carry. It knows no socket; a body comes from whatever the room above hands in.

mod beneath;
mod body;
mod environment;
mod file;
mod parts;
mod validators;

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

pub(crate) use body::BodySource;
pub use body::RequestBody;
pub(crate) use environment::{Environment, TypeMap};
pub(crate) use parts::{Incoming, Parts};

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, RequestHead};
use crate::into_response::Redirect;
use crate::response::Response;
use crate::runtime::sync::ShortLock;
use crate::runtime::{Context, current_context};
use crate::session::{Session, is_session_cookie};

/// The request a handler answers. `ctx` is always a shared reference to it; children made with
/// [`spawn`](crate::spawn) and [`scope`](crate::scope) reach the same one by [`request()`].
pub struct RequestContext {
    /// The visitor's session: loaded at the first use, saved before the answer leaves.
    pub session: Session,
    head: RequestHead,
    body: Option<Arc<dyn BodySource>>,
    /// The body as it was read as a whole: middleware and handler may both want it.
    whole_body: OnceLock<Box<[u8]>>,
    peer: SocketAddr,
    client: OnceLock<Client>,
    id: u64,
    route: OnceLock<Matched>,
    environment: Arc<Environment>,
    /// Made by the first header or cookie: most answers get none here.
    parts: ShortLock<Option<Box<Parts>>>,
    extensions: ShortLock<TypeMap>,
}

/// What routing found out.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    pub(crate) pattern: Arc<str>,
    pub(crate) params: Vec<(String, String)>,
    /// The route's own body limit, where it has one.
    pub(crate) max_body_bytes: Option<u64>,
}

impl RequestContext {
    pub(crate) fn new(incoming: Incoming, session: Session, environment: Arc<Environment>) -> Self {
        Self {
            session,
            head: incoming.head,
            body: incoming.body,
            whole_body: OnceLock::new(),
            peer: incoming.peer,
            client: OnceLock::new(),
            id: environment.next_request_id(),
            route: OnceLock::new(),
            environment,
            parts: ShortLock::new(None),
            extensions: ShortLock::new(TypeMap::default()),
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// The path that was routed: percent-decoded, dot segments resolved, always with a leading `/`
    /// (or `*`). `%2F` stays as it is, so that no visitor can add a segment.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// The query as it was sent, without the question mark; empty if there is none.
    #[must_use]
    pub fn query_string(&self) -> &str {
        self.head.query()
    }

    /// The whole head of the request.
    #[must_use]
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// The first value of the header `name` (any case); `None` if absent or not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The value of the request's cookie `name`, as it was sent; the first if there are several.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All cookies of the request, as they were sent.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.cookies()
    }

    /// The host (with its port, if given) the request is for; empty in HTTP/1.0 without `Host`.
    #[must_use]
    pub fn host(&self) -> &str {
        self.head.host().unwrap_or_default()
    }

    /// The address of the other end of the connection: the client, or the proxy before it.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The client's address: from `Forwarded` or `X-Forwarded-For` if the other end is one of
    /// `[server] trusted_proxies`, else the other end itself.
    #[must_use]
    pub fn client_addr(&self) -> IpAddr {
        self.client().addr
    }

    /// Whether the client used HTTPS, on this connection or, as a trusted proxy says, on its own.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.client().is_https
    }

    /// The host the client asked for: as a trusted proxy says, else as its `Host` header.
    pub(crate) fn public_host(&self) -> &str {
        self.client().host.as_deref().unwrap_or_else(|| self.host())
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| self.environment.client(&self.head, self.peer.ip()))
    }

    /// A name of this request for logs: 16 hex digits, different for every request.
    #[must_use]
    pub fn request_id(&self) -> String {
        format!("{:016x}", self.id)
    }

    /// The pattern of the route that answers, `/users/{id}` say; empty if there is none.
    #[must_use]
    pub fn route(&self) -> &str {
        self.route.get().map_or("", |matched| &matched.pattern)
    }

    /// The part of the path that the route's `{name}` matched, read as a `T`.
    ///
    /// # Errors
    /// [`ErrorKind::Request`] (400) when it cannot be read as a `T`; [`ErrorKind::Internal`] when
    /// the route has no such parameter.
    ///
    /// # Examples
    /// ```
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.get("/users/{id}", |ctx| {
    ///     let id: u64 = ctx.param("id")?;
    ///     Ok(format!("user {id}"))
    /// });
    /// let client = app.test_client()?;
    /// assert_eq!(client.get("/users/7").send().text(), "user 7");
    /// assert_eq!(client.get("/users/x").send().status(), 400);
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T> {
        let params = self.route.get().map(|matched| matched.params.as_slice()).unwrap_or_default();
        let Some((_, value)) = params.iter().find(|(found, _)| found == name) else {
            let message = format!("the route {:?} has no parameter {name:?}", self.route());
            return Err(Error::new(ErrorKind::Internal, message));
        };
        value.parse().map_err(|_| {
            let message = format!("the part {name:?} of the address is not valid");
            Error::request(StatusCode::BAD_REQUEST, message)
        })
    }

    /// The query read into a struct (or a map, or a list of pairs). Repeated names make a list.
    ///
    /// # Errors
    /// [`ErrorKind::Request`]: 400 when a field is missing or of another type, 413 when there are
    /// more than `[limits] form_fields` of them.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        body::read_form(self.query_string().as_bytes(), self.environment.max_form_fields, "query")
    }

    /// The request's body as a stream of bytes: a [`std::io::Read`], bounded by the route's body
    /// limit and by `[server] body_timeout`. Only the handler's own coroutine may read it; in
    /// children and on the blocking pool it fails. What was read is gone: nothing keeps it.
    #[must_use]
    pub fn body(&self) -> RequestBody<'_> {
        RequestBody::new(self.body.as_deref(), self.max_body_bytes())
    }

    /// The whole body. It is kept until the request ends: middleware and handler may both ask for
    /// it, by this, [`text`](Self::text), [`json`](Self::json) or [`form`](Self::form). Nothing is
    /// left for [`body`](Self::body) then.
    ///
    /// # Errors
    /// [`ErrorKind::Request`] with 413 when it is longer than the route's limit (`[limits] body`),
    /// 400 when its framing is broken, 408 when it came too slowly; [`ErrorKind::Disconnected`]
    /// when the client has gone.
    ///
    /// # Examples
    /// ```
    /// use maypole::prelude::*;
    /// use std::collections::BTreeMap;
    ///
    /// type Form = BTreeMap<String, String>;
    ///
    /// let mut app = App::with_defaults();
    /// app.with(|ctx, next| match ctx.form::<Form>() {
    ///     Ok(form) if form.contains_key("name") => next.run(ctx),
    ///     Ok(_) => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
    ///     Err(error) => error.into_response(),
    /// });
    /// app.post("/", |ctx| Ok(ctx.form::<Form>()?["name"].clone()));
    /// let client = app.test_client()?;
    /// assert_eq!(client.post("/").form(&[("name", "ada")]).send().text(), "ada");
    /// assert_eq!(client.post("/").form(&[("nick", "ada")]).send().status(), 422);
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn body_bytes(&self) -> Result<Vec<u8>> {
        self.whole_body().map(<[u8]>::to_vec)
    }

    fn whole_body(&self) -> Result<&[u8]> {
        if let Some(bytes) = self.whole_body.get() {
            return Ok(bytes);
        }
        let bytes = body::read_all(self.body())?;
        Ok(self.whole_body.get_or_init(|| bytes.into()))
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`body_bytes`](Self::body_bytes); 400 when it is not UTF-8.
    pub fn text(&self) -> Result<String> {
        String::from_utf8(self.body_bytes()?).map_err(|error| {
            Error::request(StatusCode::BAD_REQUEST, "the body is not UTF-8").caused_by(error)
        })
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// As [`body_bytes`](Self::body_bytes); 415 when `Content-Type` is not JSON, 400 when the text
    /// is no JSON or nested deeper than `[limits] json_depth`, 422 when it is not a `T`: the
    /// answer tells the client where.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        body::expect_type(self, body::is_json, "application/json")?;
        body::read_json(self.whole_body()?, self.environment.max_json_depth)
    }

    /// The body read as an HTML form (`application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// As [`body_bytes`](Self::body_bytes); 415 for another `Content-Type`; else as
    /// [`query`](Self::query).
    pub fn form<T: DeserializeOwned>(&self) -> Result<T> {
        body::expect_type(self, body::is_form, "application/x-www-form-urlencoded")?;
        body::read_form(self.whole_body()?, self.environment.max_form_fields, "form")
    }

    fn max_body_bytes(&self) -> u64 {
        let of_route = self.route.get().and_then(|matched| matched.max_body_bytes);
        of_route.unwrap_or(self.environment.max_body_bytes)
    }

    /// What [`App::state`](crate::App::state) stored under its type.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] naming the type when the app has no such state.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.environment.state.get::<T>().ok_or_else(|| {
            let name = std::any::type_name::<T>();
            Error::new(ErrorKind::Internal, format!("the app has no state of type {name}"))
        })
    }

    /// Attaches a value to this request, for middleware and handlers to share. One per type.
    pub fn set_extension<T: Clone + Send + Sync + 'static>(&self, value: T) {
        self.extensions.with(|map| map.insert(value));
    }

    /// The value of this type that was attached to this request.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.extensions.with(|map| map.get::<T>().cloned())
    }

    /// Sets a header of the answer, whichever answer the handler gives.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when name or value cannot be sent as a header, or the header is
    /// `Set-Cookie`: that is [`set_cookie`](Self::set_cookie)'s.
    pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let (name, value) = crate::response::header(name, value.as_ref())?;
        if name == http::header::SET_COOKIE {
            return Err(Error::new(ErrorKind::Internal, "cookies are set with set_cookie"));
        }
        self.parts.with(|parts| parts.get_or_insert_default().headers.insert(name, value));
        Ok(())
    }

    /// Sets a cookie of your own, whichever answer the handler gives. A second cookie of the same
    /// name replaces the first. The session's cookie is not set this way.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when name or value cannot be sent as a cookie, or the name is that
    /// of the session's cookie, or the same with `-next`.
    pub fn set_cookie(&self, cookie: &cookie::Cookie<'_>) -> Result<()> {
        if is_session_cookie(cookie.name(), &self.environment.session_cookie) {
            let message = "the session's cookie is set by the framework alone";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let (name, value) = parts::cookie_header(cookie)?;
        self.parts.with(|parts| parts.get_or_insert_default().set_cookie(name, value));
        Ok(())
    }

    /// Answers with a file: `Content-Type` by its name, `Last-Modified`, `ETag`, and `304 Not
    /// Modified` where the client's copy is fresh. It is read on the blocking pool, piece by piece.
    /// The conditions of a GET or HEAD are looked at (RFC 9110, 13). The tag is made of date and
    /// length, so servers with the same files and dates agree; it is weak for two seconds after a
    /// change. A file whose date is the first of January 1970, as some tools give to all, has
    /// neither.
    ///
    /// A GET with `Range` gets the part it asks for, so that downloads are resumed and videos
    /// wound: `206 Partial Content`, or 416 with the length if the part begins behind the end
    /// (RFC 9110, 14). `If-Range` is looked at. Ranges that overlap or adjoin are one part; for
    /// others, and for what is no range, the file is sent whole. That happens when all middleware
    /// has run, which sees the whole file and the status 200, and only to an answer that still has
    /// both. An answer with `Accept-Ranges: none` is never cut.
    ///
    /// The path is yours to check. For one that a client sent there is
    /// [`file_in`](Self::file_in): joining it to a directory does not keep it there (an absolute
    /// path in a `{*path}` replaces what it is joined to).
    ///
    /// # Errors
    /// 404 when there is no such regular file, 403 when it may not be read, 412 when it is not as a
    /// condition of the request wants it.
    pub fn file(&self, path: impl Into<PathBuf>) -> Result<Response> {
        file::answer(self, path.into())
    }

    /// Answers with a file beneath `directory`, as [`file`](Self::file) does: for paths that
    /// clients choose, so that nothing outside of the directory is ever sent.
    ///
    /// `path` is what a route's parameter holds, decoded already. It has names between single
    /// slashes; `..`, an absolute path, a drive, a backslash and NUL are a 404. So is a name that
    /// begins with a dot (`.env`, `.git`), at any depth: what such a directory holds is served by
    /// naming it in `directory` (`ctx.file_in("static/.well-known", path)`). A symbolic link is
    /// followed if it leads to a place beneath the directory, whatever names are there, and is a
    /// 404 if it leads out. A relative `directory` is one of the directory in which the program
    /// runs, and may itself be a link. Directories are not listed, and no `index.html` is looked
    /// for.
    ///
    /// # Errors
    /// 404 when there is no such regular file, or it may not be read: never 403, which would tell
    /// what exists. A directory that is missing is a 404 too, with a warning in the log, once a
    /// second at most. 412 as for [`file`](Self::file).
    ///
    /// # Examples
    /// ```
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.get("/static/{*path}", |ctx| ctx.file_in("docs", ctx.param::<String>("path")?));
    /// let browser = app.test_client()?;
    /// assert_eq!(browser.get("/static/security.md").send().status(), 200);
    /// assert_eq!(browser.get("/static//etc/hostname").send().status(), 404);
    /// let part = browser.get("/static/security.md").header("Range", "bytes=0-9").send();
    /// assert_eq!((part.status().as_u16(), part.bytes().len()), (206, 10));
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn file_in(
        &self,
        directory: impl Into<PathBuf>,
        path: impl Into<String>,
    ) -> Result<Response> {
        file::answer_beneath(self, directory.into(), path.into())
    }

    /// A redirect with `303 See Other`, what a form answers with.
    pub fn redirect(&self, location: impl Into<String>) -> Redirect {
        Redirect::to(location)
    }

    pub(crate) fn set_route(&self, matched: Matched) {
        self.route.set(matched).ok();
    }

    pub(crate) fn take_parts(&self) -> Option<Box<Parts>> {
        self.parts.with(Option::take)
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("method", self.method())
            .field("path", &self.path())
            .field("request_id", &self.request_id())
            .finish_non_exhaustive()
    }
}

/// The request the calling coroutine works for: in the handler and everything below it, in
/// children, and in jobs on the blocking pool. `None` elsewhere.
#[must_use]
pub fn request() -> Option<Arc<RequestContext>> {
    from_context(current_context()?)
}

fn from_context(context: Context) -> Option<Arc<RequestContext>> {
    let any: Arc<dyn Any + Send + Sync> = context;
    any.downcast().ok()
}

/// The session of the request the calling coroutine works for: the same object as `ctx.session`.
///
/// Outside a request this is a session whose every verb returns [`ErrorKind::NoRequest`].
///
/// # Examples
/// ```
/// use maypole::prelude::*;
///
/// fn add_to_cart(article: u64) -> Result<()> { // deep in a library, no `ctx` in sight
///     session().push("cart", article)?;
///     Ok(())
/// }
///
/// let mut app = App::with_defaults();
/// app.post("/cart/{article}", |ctx| {
///     add_to_cart(ctx.param("article")?)?;
///     Ok(ctx.redirect("/cart"))
/// });
/// assert!(session().get::<u64>("cart").is_err(), "there is no request here");
/// # Ok::<(), maypole::Error>(())
/// ```
#[must_use]
pub fn session() -> Session {
    request().map_or_else(Session::detached, |ctx| ctx.session.clone())
}
