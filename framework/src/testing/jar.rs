//! The cookie jar of the test client: names and values of one host.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::SET_COOKIE;

/// The cookies a browser would send back.
#[derive(Debug, Default)]
pub(super) struct Jar {
    cookies: BTreeMap<String, String>,
}

impl Jar {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The `Cookie` header, if there is a cookie.
    pub(super) fn header(&self) -> Option<String> {
        let pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Keeps what a response sets and drops what it deletes (`Max-Age` of 0 or less).
    pub(super) fn take_from(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let Ok(cookie) = cookie::Cookie::parse(line.to_str().unwrap_or_default()) else {
                continue;
            };
            let is_deleted = cookie.max_age().is_some_and(|age| age.whole_seconds() <= 0);
            if is_deleted {
                self.cookies.remove(cookie.name());
            } else {
                self.set(cookie.name(), cookie.value());
            }
        }
    }
}
