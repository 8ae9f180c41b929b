//! Whole requests against a store in memory: open, verbs, commit, and what the store and the
//! browser have afterwards. Interleavings are written out step by step: two sessions of one cookie
//! are two requests in flight, a second manager on the same store is another node.

mod change_of_id;
mod concurrency;
mod cookies;
mod failures;
mod in_doubt;
mod life;
mod limits;
mod lock;
mod logout;
mod memory;
mod model;
mod never_neither;
mod on_files;
mod pipeline;
mod regressions;
mod serial;
mod stores;
mod tend;
mod time;
mod user_limits;
mod users;
mod verbs;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use memory::MemoryStore;

use super::{CookieChange, CookiePolicy, Manager, Outcome, Session, SessionSettings, StoreKey};
use crate::clock::ManualClock;
use crate::error::{ErrorKind, Result};

impl Manager {
    /// The session of a request that sent these values under our cookie's name, in their order.
    fn open<'a>(
        self: &Arc<Self>,
        values: impl IntoIterator<Item = &'a str>,
        addr: Option<IpAddr>,
    ) -> Session {
        let name = self.cookie_name();
        self.begin(values.into_iter().map(|value| (name, value)), addr)
    }
}

/// One node: a manager, its store, its clock.
struct Node {
    manager: Arc<Manager>,
    store: Arc<MemoryStore>,
    clock: ManualClock,
}

impl Node {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&mut SessionSettings, &mut CookiePolicy)) -> Self {
        let (mut settings, mut policy) = (SessionSettings::default(), CookiePolicy::default());
        change(&mut settings, &mut policy);
        let (store, clock) = (Arc::new(MemoryStore::default()), ManualClock::new());
        let manager = Manager::new("test", store.clone(), settings, policy, clock.clock()).unwrap();
        manager.set_user_agent(|| Some("A Browser/1.0".to_owned()));
        Self { manager: Arc::new(manager), store, clock }
    }

    /// Another process on the same store and clock.
    fn other(&self) -> Self {
        let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
        let settings = self.manager.settings.clone();
        let policy = self.manager.cookie.clone();
        let manager = Manager::new("test", store.clone(), settings, policy, clock.clock()).unwrap();
        manager.set_user_agent(|| Some("A Browser/1.0".to_owned()));
        Self { manager: Arc::new(manager), store, clock }
    }

    /// A request with this cookie begins.
    fn open(&self, cookie: &str) -> Session {
        let cookies: Vec<&str> = if cookie.is_empty() { Vec::new() } else { vec![cookie] };
        self.manager.open(cookies, Some([10, 0, 0, 1].into()))
    }

    fn commit(&self, session: &Session) -> CookieChange {
        self.manager.commit(session, Outcome::Keep).unwrap().cookie
    }

    /// A whole request; gives what the handler gave, and the cookie the browser has afterwards.
    fn request<T>(&self, cookie: &str, handler: impl FnOnce(&Session) -> Result<T>) -> (T, String) {
        let session = self.open(cookie);
        let answer = handler(&session).unwrap();
        let cookie = after(cookie, &self.commit(&session));
        (answer, cookie)
    }

    /// A new session with one value; its cookie.
    fn visitor(&self) -> String {
        self.request("", |session| session.set("who", "me")).1
    }

    fn get<T: serde::de::DeserializeOwned>(&self, cookie: &str, key: &str) -> Option<T> {
        self.request(cookie, |session| session.get(key)).0
    }

    /// The keys of all records that are there now.
    fn living(&self) -> Vec<StoreKey> {
        let now = self.clock.now();
        let records = self.store.records().into_iter();
        records.filter(|(_, stored)| stored.deadline > now).map(|(key, _)| key).collect()
    }

    fn count(&self, event: super::events::Event) -> u64 {
        self.manager.events().count(event)
    }

    fn pass(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }
}

/// What a browser that had `cookie` holds after this change.
fn after(cookie: &str, change: &CookieChange) -> String {
    match change {
        CookieChange::None => cookie.to_owned(),
        CookieChange::Delete(_) => String::new(),
        CookieChange::Set(line) => {
            line.split(';').next().unwrap().split_once('=').unwrap().1.to_owned()
        }
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}
