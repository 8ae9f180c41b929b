//! A client that drives an app without a port: the same parser, pipeline and session handling as
//! a connection, and a cookie jar.

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::jar::Jar;
use super::request::TestRequest;
use crate::app::{App, Built, Service};
use crate::error::Result;
use crate::http::Limits;
use crate::runtime;
use crate::runtime::sync::ShortLock;
use crate::server::{limits, runtime_settings};

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

    /// A request to be filled in and [sent](TestRequest::send). `target` is path and query.
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
