//! A real browser without a window: Chromium, driven through the W3C WebDriver protocol.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::process::{Process, wait_until};
use super::{PATIENCE, TempDir};

/// A Chromium with a profile of its own; it ends when it is dropped.
pub(crate) struct Chromium {
    session: String,
    agent: ureq::Agent,
    // Fields are dropped in this order: the driver ends its browser, then the profile can go.
    _driver: Process,
    _profile: TempDir,
}

/// One tab of a [`Chromium`].
pub(crate) struct Tab<'a> {
    chromium: &'a Chromium,
    handle: Value,
}

impl Chromium {
    /// `None` where it is not installed, which is no excuse where tests are run for others.
    pub(crate) fn start() -> Option<Self> {
        if !["chromedriver", "chromium"].into_iter().all(super::is_installed) {
            return None;
        }
        let profile = TempDir::new();
        let mut driver = driver(profile.path());
        let line = driver.line_with("started successfully on port");
        let port: u16 = line
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE * 2))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut chromium =
            Self { session: String::new(), agent, _driver: driver, _profile: profile };
        let root = format!("http://127.0.0.1:{port}/session");
        let answer = chromium.post(&root, &capabilities(chromium._profile.path()));
        let id = answer["sessionId"].as_str().expect("a session of the driver");
        chromium.session = format!("{root}/{id}");
        Some(chromium)
    }

    /// Opens `url` in one more tab.
    pub(crate) fn open(&self, url: &str) -> Tab<'_> {
        let answer = self.post(&format!("{}/window/new", self.session), &json!({"type": "tab"}));
        let tab = Tab { chromium: self, handle: answer["handle"].clone() };
        tab.command("url", &json!({"url": url}));
        tab
    }

    #[track_caller]
    fn post(&self, url: &str, body: &Value) -> Value {
        let mut answer = self.agent.post(url).send_json(body).expect("an answer of the driver");
        let text = answer.body_mut().read_to_string().expect("a text");
        assert!(answer.status().is_success(), "{url} {body}: {text}");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["value"].take()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Without this the browser would outlive its driver.
        self.agent.delete(&self.session).call().ok();
    }
}

impl Tab<'_> {
    #[track_caller]
    fn command(&self, what: &str, body: &Value) -> Value {
        let session = &self.chromium.session;
        self.chromium.post(&format!("{session}/window"), &json!({"handle": self.handle}));
        self.chromium.post(&format!("{session}/{what}"), body)
    }

    /// Runs the body of a function in the page and gives what it returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of the first element that the selector finds; empty without one.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return (document.querySelector({selector:?}) || {{}}).textContent");
        self.run(&script).as_str().unwrap_or_default().trim().to_owned()
    }

    /// Clicks the first element that the selector finds.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.run(&format!("document.querySelector({selector:?}).click()"));
    }

    #[track_caller]
    pub(crate) fn reload(&self) {
        self.command("refresh", &json!({}));
    }

    /// Waits until the first element that the selector finds has this text.
    #[track_caller]
    pub(crate) fn wait_for(&self, selector: &str, text: &str) {
        let mut seen = String::new();
        let what = format!("{selector} is {text:?}");
        wait_until(&what, PATIENCE, || {
            let now = self.text(selector);
            if now != seen {
                eprintln!("{selector} is {now:?}");
                seen.clone_from(&now);
            }
            now == text
        });
    }
}

fn driver(directory: &Path) -> Process {
    // The port is the system's choice, and the driver says which on its standard output.
    Process::start(
        Command::new("/bin/sh")
            .args(["-c", "exec chromedriver --port=0 >&2"])
            .env("HOME", directory),
    )
}

fn capabilities(profile: &Path) -> Value {
    let arguments = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        // Tabs in the background keep their pace.
        "--disable-background-timer-throttling".to_owned(),
        "--disable-renderer-backgrounding".to_owned(),
        "--disable-backgrounding-occluded-windows".to_owned(),
        format!("--user-data-dir={}", profile.join("profile").display()),
    ];
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": {"args": arguments},
    }}})
}
