//! Looking after the sessions of a program from outside of it: what `maypole session` does.
//!
//! [`Admin`] asks a running server over its private socket, and opens the store itself only when
//! no server runs. Either way it works on the contract of stores, so what it does is written once,
//! and what it ends is ended as requests end it: by a tombstone or an epoch, never by deleting.

mod dump;
mod host;
mod place;
mod remote;
mod stats;
mod summed;
mod wire;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use dump::{Exported, Imported};
pub(crate) use host::AdminSocket;
pub use stats::Stats;

use crate::app::{Figures, Opened, Upkeep, build_manager, open_store};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{Handle, Inspected, Manager, SessionStore, StoreError, StoreKey, Swept};
use remote::Remote;

/// Records fetched from the store at once.
const PAGE: usize = 256;

/// Records looked at in one call of a sweep.
const SWEEP_STEP: usize = 1024;

/// The sessions of a program, for those who look after them.
///
/// Every call blocks: use it from a program of its own, such as the `maypole` command, and not from
/// a handler.
///
/// ```
/// use maypole::admin::Admin;
/// use maypole::prelude::*;
///
/// # let dir = std::env::temp_dir().join(format!("maypole-doc-admin-{}", std::process::id()));
/// let mut config = Config::parse("[server]\nlisten = 127.0.0.1:0\n", "config.ini")?;
/// # config.session_file.path = dir.clone();
/// let app = App::with_config(config.clone());
/// let server = app.start()?;
///
/// let admin = Admin::open(&config)?;
/// assert_eq!(admin.server(), Some(std::process::id()));
/// assert_eq!(admin.stats()?.sessions, 0);
/// admin.close()?;
/// server.stop();
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct Admin {
    store: Arc<dyn SessionStore>,
    manager: Arc<Manager>,
    app: String,
    max_sessions: u64,
    max_total_bytes: u64,
    via: Via,
}

/// How the store is reached.
enum Via {
    Server { remote: Arc<Remote>, others: Vec<Remote> },
    Store { location: String, upkeep: Option<Upkeep>, figures: Option<Figures> },
}

impl Admin {
    /// The sessions of the program with these settings: through a server that runs, or else by
    /// opening its store, which is created if there is none.
    ///
    /// # Errors
    /// `Start` if a server runs and cannot be asked, or none runs and the store cannot be opened:
    /// it is registered by the program and known only there, say, or belongs to another process.
    pub fn open(config: &Config) -> Result<Self> {
        let mut servers = running(config)?.into_iter();
        let (store, via): (Arc<dyn SessionStore>, _) = match servers.next() {
            Some(server) => {
                let remote = Arc::new(server);
                (remote.clone(), Via::Server { remote, others: servers.collect() })
            }
            None => {
                let opened = open_store(config, std::collections::BTreeMap::new());
                let Opened { store, location, upkeep, figures } =
                    opened.map_err(|error| explain(&error, config))?;
                (store, Via::Store { location, upkeep, figures })
            }
        };
        Ok(Self {
            manager: build_manager(config, Arc::clone(&store), Clock::system())?,
            store,
            app: config.app.name.clone(),
            max_sessions: config.session.max_sessions,
            max_total_bytes: config.session.max_total_bytes,
            via,
        })
    }

    /// Whether there is something to look after: a server runs, or the directory of the store is
    /// there. True for stores without a directory.
    #[must_use]
    pub fn is_there(config: &Config) -> bool {
        let dir = match config.session.backend.as_str() {
            "file" => &config.session_file.path,
            "table" => &config.session_table.path,
            _ => return true,
        };
        dir.exists() || running(config).is_ok_and(|servers| !servers.is_empty())
    }

    /// The process that is asked; `None` if no server runs.
    #[must_use]
    pub fn server(&self) -> Option<u32> {
        match &self.via {
            Via::Server { remote, .. } => Some(remote.welcome.pid),
            Via::Store { .. } => None,
        }
    }

    /// Where the sessions lie, in words.
    #[must_use]
    pub fn location(&self) -> &str {
        match &self.via {
            Via::Server { remote, .. } => &remote.welcome.location,
            Via::Store { location, .. } => location,
        }
    }

    /// The records behind `after` (from the start, with `None`) in the order of their keys, some
    /// hundreds at once. Empty at the end only.
    ///
    /// # Errors
    /// `StoreUnavailable`; `Internal` if the store cannot list its records.
    pub fn page(&self, after: Option<&StoreKey>) -> Result<Vec<Inspected>> {
        let page = self.store.list(after, PAGE, SystemTime::now()).map_err(failed)?;
        self.manager.inspect(page)
    }

    /// The records whose keys begin with `prefix`, in hex; no more than `limit`.
    ///
    /// # Errors
    /// As [`page`](Self::page). A whole key is found in every store.
    pub fn find(&self, prefix: &str, limit: usize) -> Result<Vec<Inspected>> {
        if let Some(key) = StoreKey::from_hex(prefix) {
            let found = self.store.load(&key, SystemTime::now()).map_err(failed)?;
            return self.manager.inspect(found.map(|found| (key, found)).into_iter().collect());
        }
        let mut found = Vec::new();
        let mut after = before(prefix);
        loop {
            let page = self.page(after.as_ref())?;
            let Some(last) = page.last().map(|last| last.key) else { return Ok(found) };
            for record in page {
                let key = record.key.to_string();
                if key.starts_with(prefix) {
                    found.push(record);
                } else if key.as_str() > prefix {
                    return Ok(found);
                }
                if found.len() >= limit {
                    return Ok(found);
                }
            }
            after = Some(last);
        }
    }

    /// The session with this public handle. Looks through the whole store.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub fn find_handle(&self, handle: Handle) -> Result<Option<Inspected>> {
        let mut after = None;
        loop {
            let page = self.page(after.as_ref())?;
            let Some(last) = page.last() else { return Ok(None) };
            after = Some(last.key);
            let is_it = |record: &Inspected| {
                record.session.as_ref().is_some_and(|session| session.handle == handle)
            };
            if let Some(found) = page.into_iter().find(is_it) {
                return Ok(Some(found));
            }
        }
    }

    /// Ends the session under `key`, also when it gets another id meanwhile: requests that come
    /// later find no session, those under way store nothing. False if there is none.
    ///
    /// # Errors
    /// `StoreUnavailable`, `SessionConflict`: whether it ended is not known.
    pub fn end(&self, key: &StoreKey) -> Result<bool> {
        self.manager.end_session(key)
    }

    /// Ends all sessions of `user`, as [`Session::revoke_all`](crate::Session::revoke_all) does;
    /// gives the number of those that were listed.
    ///
    /// # Errors
    /// `StoreUnavailable`, `SessionConflict`.
    pub fn end_user(&self, user: &str) -> Result<usize> {
        self.manager.end_user(user)
    }

    /// Ends the sessions of all users, as
    /// [`Session::revoke_everybody`](crate::Session::revoke_everybody) does; anonymous ones stay.
    ///
    /// # Errors
    /// `StoreUnavailable`, `StoreFull`, `SessionConflict`.
    pub fn end_everybody(&self) -> Result<()> {
        self.manager.end_everybody()
    }

    /// Deletes what has expired, through the whole store.
    ///
    /// # Errors
    /// `StoreUnavailable`; what was deleted before stays so.
    pub fn sweep(&self) -> Result<Swept> {
        // A server's own sweep may stand anywhere: its first pass may be but the rest of one.
        let passes = if self.server().is_some() { 2 } else { 1 };
        let mut total = Swept { finished: true, ..Swept::default() };
        for _ in 0..passes {
            total.examined = 0;
            loop {
                let step = self.store.sweep(SystemTime::now(), SWEEP_STEP).map_err(failed)?;
                total.examined += step.examined;
                total.removed += step.removed;
                if step.finished {
                    break;
                }
            }
        }
        Ok(total)
    }

    /// Ends the work; a store that was opened is closed, so that another process may have it.
    ///
    /// # Errors
    /// None at present.
    pub fn close(self) -> Result<()> {
        if let Via::Store { upkeep: Some(upkeep), .. } = &self.via {
            upkeep.end();
        }
        Ok(())
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("location", &self.location()).finish_non_exhaustive()
    }
}

/// The servers that use the store of these settings, those that answer.
fn running(config: &Config) -> Result<Vec<Remote>> {
    let Some(dir) = place::directory(config) else { return Ok(Vec::new()) };
    let cannot = |error: std::io::Error, path: &Path| {
        let what = format!("cannot ask the server behind {}", path.display());
        Error::new(ErrorKind::Start, what).caused_by(error)
    };
    let mut servers = Vec::new();
    for path in place::sockets(dir).map_err(|error| cannot(error, dir))? {
        match Remote::connect(&path) {
            Ok(server) => servers.push(server),
            // Left by a server that was killed, or removed by one that just stopped.
            Err(error) if is_left_over(&error) => {}
            Err(error) => return Err(cannot(error, &path)),
        }
    }
    Ok(servers)
}

fn is_left_over(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound)
}

/// Why the store could not be opened here, in the words of one who asked for a list.
fn explain(error: &Error, config: &Config) -> Error {
    let what = match config.session.backend.as_str() {
        "file" | "table" => "no server answers on its admin socket, and its store cannot be opened",
        "redis" | "tiered" => "the session store cannot be opened",
        _ => {
            "no server answers on an admin socket ([admin] path), and a store that a program \
             registers is known only there"
        }
    };
    Error::new(ErrorKind::Start, what).caused_by(error.chain())
}

/// A failure of the store, without a request.
fn failed(error: StoreError) -> Error {
    match error {
        StoreError::Unsupported => {
            Error::new(ErrorKind::Internal, "this session store cannot list its records")
        }
        StoreError::Refused(_) => {
            Error::new(ErrorKind::StoreUnavailable, "the session store refuses").caused_by(error)
        }
        error => Error::new(ErrorKind::StoreUnavailable, "the session store gave no answer")
            .caused_by(error),
    }
}

/// The last key before all that begin with `prefix`; `None` if there is none, or if it is no hex.
fn before(prefix: &str) -> Option<StoreKey> {
    let mut bytes = *StoreKey::from_hex(&format!("{prefix:0<64}"))?.as_bytes();
    for byte in bytes.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            return Some(StoreKey::from_bytes(bytes));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn the_key_before_a_prefix() {
        let key = |prefix| before(prefix).map(|key| key.to_string());
        assert_eq!(key(""), None);
        assert_eq!(key("00"), None);
        assert_eq!(key("zz"), None);
        assert_eq!(key("1"), Some("0f".to_owned() + &"f".repeat(62)));
        assert_eq!(key("a0"), Some("9f".to_owned() + &"f".repeat(62)));
        assert_eq!(key(&format!("{}1", "0".repeat(63))), Some("0".repeat(64)));
    }
}
