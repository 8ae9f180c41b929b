//! A visitor with a cookie jar, over real sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Answer, Wire};

/// A visitor; a clone goes on with the same cookies.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    addr: SocketAddr,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, cookies: BTreeMap::new() }
    }

    /// The same visitor, after the server moved.
    pub(crate) fn at(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.cookies.get("session").map(String::as_str)
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    /// The head of a request with this visitor's cookies, without the final empty line.
    pub(crate) fn head(&self, method: &str, path: &str) -> String {
        let pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if pairs.is_empty() {
            String::new()
        } else {
            format!("Cookie: {}\r\n", pairs.join("; "))
        };
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{cookies}")
    }

    /// One request on a connection of its own.
    pub(crate) fn send(&mut self, method: &str, path: &str, more_headers: &str) -> Answer {
        let mut wire = Wire::connect(self.addr);
        self.send_on(&mut wire, method, path, more_headers)
    }

    /// One request on a connection that is open already.
    pub(crate) fn send_on(
        &mut self,
        wire: &mut Wire,
        method: &str,
        path: &str,
        more_headers: &str,
    ) -> Answer {
        wire.send(format!("{}{more_headers}\r\n", self.head(method, path)));
        let answer = wire.answer();
        self.keep_cookies(&answer);
        answer
    }

    pub(crate) fn keep_cookies(&mut self, answer: &Answer) {
        for cookie in answer.headers("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("name=value");
            if cookie.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
