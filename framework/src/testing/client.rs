//! A client that drives an app without a port: the same parser, pipeline and session handling as
//! a connection, and a cookie jar.

#[cfg(test)]
mod tests;

use std::fmt;
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
