//! Opens a session for each request and commits it before the response head: the only bridge
//! between requests and the store.

mod create;
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

use load::Found;
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
use super::off_pool::OffPool;
use super::queue::Queue;
use super::session::Session;
use super::settings::SessionSettings;
use super::state::{CookieDue, Open, State};
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

/// What the response layer has to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) cookie: CookieChange,
    /// The handler used the session: the response is private (`Cache-Control: private, no-store`
    /// and `Vary: Cookie`, unless the handler set its own).
    pub(crate) touched: bool,
}

/// A `Set-Cookie` header to send, at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CookieChange {
    None,
    /// The value of `Set-Cookie` with the session's id.
    Set(String),
    /// The value of `Set-Cookie` that removes the cookie.
    Delete(String),
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

    /// The session of a request that sent these values under our cookie's name, in their order.
    /// Neither parses nor loads anything: that waits for the first access.
    pub(crate) fn open<'a>(
        self: &Arc<Self>,
        cookies: impl IntoIterator<Item = &'a str>,
        addr: Option<IpAddr>,
    ) -> Session {
        let presented = Presented::new(cookies, self.cookie.max_tried());
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

    /// The name of the cookie whose values [`open`](Self::open) takes.
    pub(crate) fn cookie_name(&self) -> &str {
        &self.cookie.name
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
    /// [that of earlier ones](Self::cookie_after_failure).
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
        let untouched = Ok(Committed { cookie: CookieChange::None, touched: false });
        session.close(|state| self.conclude(state, outcome)).unwrap_or(untouched)
    }

    /// The cookie that a [`commit`](Self::commit) which failed, or panicked, leaves due: the one of a
    /// change that was stored before, by the handler's `save` or by a first step of the commit. An id
    /// that has ended must not stay in the browser because a later change could not be stored.
    pub(crate) fn cookie_after_failure(&self, session: &Session) -> CookieChange {
        let due = session.close(|state| match &mut state.open {
            // A rotation that the request only followed: the browser is told next time.
            Some(open) if open.is_renewed && open.cookie == CookieDue::Set => CookieChange::None,
            Some(open) => self.cookie_change(open),
            None => CookieChange::None,
        });
        due.unwrap_or(CookieChange::None)
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
        let Some(open) = &mut state.open else {
            return Ok(Committed { cookie: CookieChange::None, touched: true });
        };
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
        Ok(Committed { cookie: self.cookie_change(open), touched: true })
    }

    /// Whether an id that was stored some time ago, or that this request only followed, still lives:
    /// another request may have ended or rotated it, whose cookie must not be replaced by one that
    /// is dead, or will be after the grace time.
    fn look_again(&self, open: &mut Open) {
        let Some(base) = open.base.as_ref().filter(|base| !base.is_new) else { return };
        match self.find_unchecked(&base.id, self.clock.now()) {
            Ok(Found::Live(found)) => open.base = Some(found),
            Ok(Found::Dead(_) | Found::Absent) => open.cookie = CookieDue::None,
            // Nothing better is known.
            Err(_) => {}
        }
    }

    fn cookie_change(&self, open: &Open) -> CookieChange {
        match (open.cookie, &open.base) {
            _ if !self.cookie.use_cookies => CookieChange::None,
            (CookieDue::Set, Some(base)) => {
                let lifetime = base.record.lifetime;
                let now = self.clock.now();
                CookieChange::Set(self.cookie.set(&base.id, lifetime, base.deadline, now))
            }
            (CookieDue::Delete, _) => CookieChange::Delete(self.cookie.delete()),
            (CookieDue::None | CookieDue::Set, _) => CookieChange::None,
        }
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
