//! A request of the test client, from its parts to its answer.

use std::sync::Arc;

use http::Method;
use serde::Serialize;

use super::client::TestClient;
use super::pipeline::answer;
use super::response::TestResponse;
use crate::app::Service;
use crate::context::RequestContext;
use crate::into_response::IntoResponse;
use crate::response::Response;
use crate::runtime::{run_to_end, with_context};

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
    pub(super) fn new(client: TestClient, method: Method, target: &str) -> Self {
        Self { client, method, target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

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
        self.answered_by(Service::handle)
    }

    /// Sends it with `handle` in the place of the app's middleware and handlers.
    pub(super) fn answered_by(
        self,
        handle: impl FnOnce(&Service, &RequestContext) -> Response + Send + 'static,
    ) -> TestResponse {
        let head = self.head();
        let Self { client, body, .. } = self;
        let (service, limits) = (Arc::clone(&client.service), Arc::clone(&client.limits));
        let answer = move || answer(&service, &limits, (head.as_bytes(), body), handle);
        // A test may send it in the middle of another request, which keeps its own context.
        let answer = run_to_end(|| with_context(None, answer))
            .unwrap_or_else(|error| TestResponse::of(error.into_response(), Vec::new(), true));
        client.jar.with(|jar| jar.take_from(answer.headers()));
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
