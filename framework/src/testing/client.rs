//! A client that drives an app without a port: the same parser, pipeline and session handling as
//! a connection, and a cookie jar.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read, Seek};
use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;

use super::jar::Jar;
use super::request::TestRequest;
use crate::app::{App, Built, Service};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Limits;
use crate::into_response::IntoResponse;
use crate::runtime;
use crate::runtime::sync::ShortLock;
use crate::server::{limits, runtime_settings};

/// What logs call the request that logs a browser in; no route is asked.
const LOGIN_TARGET: &str = "/acting-as";

/// A browser without a window. A clone is another tab: it shares the cookie jar.
///
/// ```
/// use maypole::prelude::*;
///
/// let mut app = App::with_defaults();
/// app.get("/", |ctx| Ok(format!("visits: {}", ctx.session.increment("visits", 1)?)));
///
/// # let dir = std::env::temp_dir().join(format!("maypole-doc-{}", std::process::id()));
/// # app.config_mut().session_file.path = dir.clone();
/// let browser = app.test_client()?;
/// assert_eq!(browser.get("/").send().text(), "visits: 1");
/// assert_eq!(browser.get("/").send().text(), "visits: 2");
/// assert_eq!(browser.another_visitor().get("/").send().text(), "visits: 1");
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), maypole::Error>(())
/// ```
#[derive(Clone)]
pub struct TestClient {
    pub(super) service: Arc<Service>,
    pub(super) limits: Arc<Limits>,
    pub(super) jar: Arc<ShortLock<Jar>>,
}

impl TestClient {
    pub(crate) fn new(app: App) -> Result<Self> {
        runtime::start(runtime_settings(app.config()));
        let Built { service, config, .. } = app.build()?;
        let limits = Arc::new(limits(&config));
        Ok(Self { service, limits, jar: Arc::new(ShortLock::new(Jar::default())) })
    }

    /// Another browser at the same app: an empty cookie jar.
    #[must_use]
    pub fn another_visitor(&self) -> Self {
        Self { jar: Arc::new(ShortLock::new(Jar::default())), ..self.clone() }
    }

    /// Logs this browser in as `user` without the app's login form, and gives it back as another
    /// tab.
    ///
    /// It is a real [`login`](crate::Session::login), followed by a [`save`](crate::Session::save):
    /// in a request of its own, through the app's session handling and its store, with the cookies
    /// of the jar; only the app's middleware and handlers are left out. So the session gets a fresh
    /// id and the one before it ends, its data is kept, it is among
    /// [`sessions_of`](crate::Session::sessions_of) and can be revoked. All tabs share the jar and
    /// are logged in with it; what was in flight under the old id is not. A second call binds the
    /// session to another user, as a second login does; for two users at once there is
    /// [`another_visitor`](Self::another_visitor).
    ///
    /// What the app's own login stores beside the user, the test has to store by itself. Nothing
    /// tells whether `user` exists: that only the app knows.
    ///
    /// # Errors
    /// Those of [`login`](crate::Session::login), also the ones that come at commit:
    /// `StoreUnavailable`, `TooManySessions`, `SessionGone` where the jar's id was replaced
    /// elsewhere. `Config` with `[session] use_cookies = false`, since no cookie is sent then.
    ///
    /// # Examples
    /// ```
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// app.get("/orders", |ctx| Ok(format!("the orders of {}", ctx.session.require_user()?)));
    ///
    /// # let dir = std::env::temp_dir().join(format!("maypole-acting-{}", std::process::id()));
    /// # app.config_mut().session_file.path = dir.clone();
    /// let stranger = app.test_client()?;
    /// assert_eq!(stranger.get("/orders").send().status(), 403);
    /// let ada = stranger.another_visitor().acting_as("ada")?;
    /// assert_eq!(ada.get("/orders").send().text(), "the orders of ada");
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn acting_as(&self, user: impl fmt::Display) -> Result<Self> {
        let user = user.to_string();
        let answer = self.post(LOGIN_TARGET).answered_by(move |_, ctx| {
            // Without the save a session that another request ends meanwhile is only left alone.
            ctx.session.login(user).and_then(|()| ctx.session.save()).into_response()
        });
        let is_sent = answer.sets_cookie(self.service.sessions().cookie_name());
        match answer.into_error() {
            Some(error) => Err(error),
            None if is_sent => Ok(self.clone()),
            None => {
                let what = "the login's answer sets no session cookie ([session] use_cookies)";
                Err(Error::new(ErrorKind::Config, what))
            }
        }
    }

    /// A request to be filled in and [sent](TestRequest::send), with any method. `target` is path
    /// and query.
    pub fn request(&self, method: Method, target: &str) -> TestRequest {
        TestRequest::new(self.clone(), method, target)
    }

    /// A `GET` request.
    pub fn get(&self, target: &str) -> TestRequest {
        self.request(Method::GET, target)
    }

    /// A `POST` request.
    pub fn post(&self, target: &str) -> TestRequest {
        self.request(Method::POST, target)
    }

    /// A `PUT` request.
    pub fn put(&self, target: &str) -> TestRequest {
        self.request(Method::PUT, target)
    }

    /// A `PATCH` request.
    pub fn patch(&self, target: &str) -> TestRequest {
        self.request(Method::PATCH, target)
    }

    /// A `DELETE` request.
    pub fn delete(&self, target: &str) -> TestRequest {
        self.request(Method::DELETE, target)
    }

    /// A `HEAD` request. Its answer has the headers of a `GET`, and no body.
    pub fn head(&self, target: &str) -> TestRequest {
        self.request(Method::HEAD, target)
    }

    /// An `OPTIONS` request; the target may be `*`.
    pub fn options(&self, target: &str) -> TestRequest {
        self.request(Method::OPTIONS, target)
    }

    /// The value of a cookie in the jar.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.with(|jar| jar.get(name).map(str::to_owned))
    }

    /// Puts a cookie into the jar, or replaces it.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar.with(|jar| jar.set(name, value));
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestClient")
    }
}

/// A request of a [`TestClient`] before it is sent.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest {
    client: TestClient,
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl TestRequest {
    /// Adds a header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends these bytes as the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends `value` as a JSON body. A value that cannot be written as JSON is sent as `null`.
    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec());
        self.header("Content-Type", "application/json").body(body)
    }

    /// Sends `fields` as an HTML form does. Fields that cannot be written so are left out.
    pub fn form(self, fields: &impl Serialize) -> Self {
        let body = serde_html_form::to_string(fields).unwrap_or_default();
        self.header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sends the request through the app and keeps the cookies of the answer. Redirects are not
    /// followed. A request that no server would accept gets the refusal as its answer.
    #[must_use]
    pub fn send(self) -> TestResponse {
        let head = self.head();
        let Self { client, body, .. } = self;
        let (service, limits) = (Arc::clone(&client.service), Arc::clone(&client.limits));
        let answer = run_to_end(move || answer(&service, &limits, head.as_bytes(), body))
            .unwrap_or_else(|error| TestResponse::of(&error.into_response(), Vec::new(), true));
        client.jar.with(|jar| jar.take_from(&answer.headers));
        answer
    }

    /// The head as a connection would receive it.
    fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut add = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        let has = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if !has("host") {
            add("Host", "localhost");
        }
        if !self.body.is_empty() && !has("content-length") {
            add("Content-Length", &self.body.len().to_string());
        }
        if let Some(cookies) = self.client.jar.with(|jar| jar.header()) {
            add("Cookie", &cookies);
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        head.push_str("\r\n");
        head
    }
}

/// What an app answered to a [`TestRequest`].
#[derive(Debug)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    is_whole: bool,
}

impl TestResponse {
    fn of(response: &Response, body: Vec<u8>, is_whole: bool) -> Self {
        Self { status: response.status(), headers: response.headers().clone(), body, is_whole }
    }

    /// The status; compares with a number.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// When it is no JSON or not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// False when a streamed body failed or panicked before its end: a client would have seen the
    /// connection break.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// The same straight line as a connection's, with memory on both ends.
fn answer(service: &Service, limits: &Limits, head: &[u8], body: Vec<u8>) -> TestResponse {
    let head = match parse_head(head, limits) {
        Ok(Some((head, _))) => head,
        Ok(None) => return refused(StatusCode::BAD_REQUEST, "the request head is not whole"),
        Err(refusal) => return refused(refusal.status, refusal.reason),
    };
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let is_head = *head.method() == Method::HEAD;
    let source: Arc<dyn BodySource> = Arc::new(MemoryBody::new(body));
    let ctx = service.begin(Incoming { head, body: Some(source), peer });
    let mut response = service.handle(&ctx);
    service.commit_session(&ctx, &mut response);
    service.finish(&ctx, &mut response);
    let (bytes, is_whole) = collect(response.take_body());
    service.log_access(&ctx, response.status(), bytes.len() as u64);
    service.end(&ctx);
    TestResponse::of(&response, if is_head { Vec::new() } else { bytes }, is_whole)
}

fn refused(status: StatusCode, reason: &'static str) -> TestResponse {
    let response = Error::request(status, reason).into_response();
    let body = response.body_bytes().unwrap_or_default().to_vec();
    TestResponse::of(&response, body, true)
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
