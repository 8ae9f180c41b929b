//! Opens a session for each request and commits it before the response head: the only bridge
//! between requests and the store.

mod answer;
mod create;
mod doubt;
mod end;
mod epochs;
mod index;
mod load;
mod lock;
mod race;
mod save;
mod successor;
mod swap;
mod take;
mod tend;
mod users;

pub(crate) use answer::{Committed, CookieChange};
use doubt::look_after;
pub(super) use lock::Lease;
pub(super) use save::Saved;
pub(crate) use tend::{Claim, TakenIn};

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::cookie::{CookiePolicy, Presented};
use super::events::{Event, Events};
use super::id::{self, Keyring};
use super::limit::CreationLimit;
use super::off_pool::{OffPool, OnPool};
use super::queue::Queue;
use super::session::Session;
use super::settings::SessionSettings;
use super::state::{CookieDue, State};
use super::store::{SessionStore, StoreError, Swept};
use super::turns::Turns;
use super::version::scrambled;
use super::watch::{Telling, Watchers};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// Everything sessions of one application share.
pub(crate) struct Manager {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) settings: SessionSettings,
    pub(super) cookie: CookiePolicy,
    pub(super) clock: Clock,
    pub(super) keyring: Keyring,
    pub(super) queue: Queue,
    pub(super) turns: Arc<Turns>,
    pub(super) events: Events,
    limit: CreationLimit,
    tokens: AtomicU64,
    warned_undecodable: AtomicBool,
    user_agent: OnceLock<fn() -> Option<String>>,
    /// Who watches which session, on this node.
    pub(super) watchers: Arc<Watchers>,
}

/// What became of the request whose session is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The response is complete: store its changes and close the session.
    Keep,
    /// The handler panicked or answers 5xx: drop what was not saved, and close the session.
    Discard,
    /// A stream or an upgrade begins: store the changes, leave the session open until
    /// [`Manager::finish`].
    KeepOpen,
}

impl Manager {
    /// `app` is `[app] name`; it separates applications that share a store.
    ///
    /// # Errors
    /// `Internal` if the operating system gives no random bytes.
    pub(crate) fn new(
        app: &str,
        store: Arc<dyn SessionStore>,
        settings: SessionSettings,
        cookie: CookiePolicy,
        clock: Clock,
    ) -> Result<Self> {
        let store: Arc<dyn SessionStore> = Arc::new(OffPool(store));
        let (keyring, poll) = (Keyring::new(app), settings.watch_poll);
        let watchers = Watchers::new(Arc::clone(&store), keyring.clone(), clock.clone(), poll);
        let store = Arc::new(Telling { store, watchers: Arc::clone(&watchers) });
        Ok(Self {
            limit: CreationLimit::new(settings.new_sessions_per_minute),
            tokens: AtomicU64::new(u64::from_be_bytes(id::random()?)),
            warned_undecodable: AtomicBool::new(false),
            user_agent: OnceLock::new(),
            keyring,
            queue: Queue::new(),
            turns: Arc::default(),
            events: Events::default(),
            store,
            watchers,
            settings,
            cookie,
            clock,
        })
    }

    /// Tells how to ask for the user agent of the running request. It is asked at login only, so
    /// that other requests pay nothing for it.
    pub(crate) fn set_user_agent(&self, ask: fn() -> Option<String>) {
        self.user_agent.set(ask).ok();
    }

    /// The user agent of the running request.
    pub(super) fn user_agent(&self) -> Option<String> {
        self.user_agent.get().and_then(|ask| ask())
    }

    /// The session of a request that sent cookies with these names and values, in their order.
    /// Neither parses nor loads anything: that waits for the first access.
    pub(crate) fn begin<'a>(
        self: &Arc<Self>,
        cookies: impl IntoIterator<Item = (&'a str, &'a str)>,
        addr: Option<IpAddr>,
    ) -> Session {
        let cookies = cookies.into_iter().filter(|_| self.cookie.use_cookies);
        let presented = Presented::new(cookies, &self.cookie.name, self.cookie.max_tried());
        Session::new(Arc::clone(self), presented, addr)
    }

    /// Lets the store delete expired sessions, looking at no more than `budget` of them.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn sweep(&self, budget: usize) -> Result<Swept, StoreError> {
        self.store.sweep(self.clock.now(), budget)
    }

    /// The store, for those who look after it.
    pub(crate) fn store(&self) -> &Arc<dyn SessionStore> {
        &self.store
    }

    /// The name of the session's cookie.
    pub(crate) fn cookie_name(&self) -> &str {
        &self.cookie.name
    }

    /// The name of the cookie with an id that may have taken the place of the session's.
    pub(crate) fn successor_name(&self) -> String {
        self.cookie.successor().name
    }

    /// Counts of what happened to sessions, for metrics.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Stores what the request changed, in one compare-and-swap. To be called before the final
    /// response head; its coroutine may yield.
    ///
    /// # Errors
    /// `StoreUnavailable`, `StoreFull`, `Overloaded`, `SessionConflict` (503), `SessionTooLarge`,
    /// `SessionValue` (500): nothing of the last changes is stored, no cookie may be sent but
    /// [what is due all the same](Self::after_failure).
    pub(crate) fn commit(&self, session: &Session, outcome: Outcome) -> Result<Committed> {
        if outcome == Outcome::KeepOpen {
            if !session.is_touched() {
                // A later verb must know that the head has gone.
                return session.mark_head_sent();
            }
            return session.with_state(|state, manager| {
                let committed = manager.conclude(state, outcome);
                state.head_sent = true;
                // The browser may be back before the next save, and its touch takes the mark off
                // without a new version: that save must not set it again.
                let base = state.open.as_mut().and_then(|open| open.base.as_mut());
                if let Some(base) = base.filter(|base| base.evictable) {
                    Arc::make_mut(base).evictable = false;
                }
                committed
            });
        }
        let untouched = Ok(Committed::nothing(false));
        let last = |state: &mut State| {
            let committed = self.conclude(state, outcome)?;
            look_after(session, state);
            Ok(committed)
        };
        session.close(last).unwrap_or(untouched)
    }

    /// Ends the session of a stream or an upgrade whose body is complete. Changes that nobody
    /// saved are lost: an event, and true for whoever can say which request that was.
    pub(crate) fn finish(&self, session: &Session) -> bool {
        let lost = session.close(|state| {
            state.socket = None;
            let Some(open) = &mut state.open else { return false };
            open.watching = None;
            if open.is_changed() {
                self.events.note(Event::UnsavedChanges, open.base.as_ref().map(|base| &base.key));
            }
            open.is_changed()
        });
        lost.unwrap_or(false)
    }

    fn conclude(&self, state: &mut State, outcome: Outcome) -> Result<Committed> {
        let Some(open) = &mut state.open else { return Ok(Committed::nothing(true)) };
        let stores = outcome != Outcome::Discard && open.is_changed();
        let is_old_news = open.cookie == CookieDue::Set && !stores;
        let saved = match outcome {
            Outcome::Discard => Ok(Saved::Done),
            Outcome::Keep | Outcome::KeepOpen => self.save(open, state.addr, state.head_sent),
        };
        // What could not be stored is void, and is not tried again behind the handler's back.
        let base = open.base.take();
        open.settle(base);
        self.unlock(open);
        saved?;
        if is_old_news {
            self.look_again(open);
        }
        Ok(self.cookies(&state.presented, open))
    }

    /// A mark no other commit has: a scrambled counter that starts at a random number.
    fn token(&self) -> u64 {
        scrambled(&self.tokens)
    }
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// How a store's failure looks to the handler and the client.
fn store_error(error: StoreError) -> Error {
    let (kind, what) = match &error {
        StoreError::Unavailable(_) => {
            (ErrorKind::StoreUnavailable, "the session store gave no answer")
        }
        StoreError::Refused(cause) if cause.is::<OnPool>() => {
            let what = "a verb that needs the session store was used on the blocking pool; use the \
                        session once before the job, so that it is loaded, and save after it";
            return Error::new(ErrorKind::SessionOnPool, what);
        }
        StoreError::Refused(_) => (ErrorKind::StoreUnavailable, "the session store refuses"),
        StoreError::Full => {
            let what = "no room for a new session ([session] max_sessions and max_total_bytes)";
            (ErrorKind::StoreFull, what)
        }
        StoreError::TooLarge => {
            (ErrorKind::SessionTooLarge, "the session is larger than its store takes")
        }
        StoreError::Unsupported => (ErrorKind::Internal, "the session store lacks a method"),
    };
    Error::new(kind, what).caused_by(error)
}

/// `now` plus a configured time. None is so long that the sum overflows.
fn later(now: SystemTime, by: Duration) -> SystemTime {
    const MAX: Duration = Duration::from_secs(1000 * 366 * 24 * 3600);
    now.checked_add(by.min(MAX)).unwrap_or(now)
}
