//! The visitor's session, as handlers and the commit hold it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cookie::Presented;
use super::in_use;
use super::manager::{Committed, Manager};
use super::state::{Open, State};
use super::watch::watch_for_socket;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::is_on_pool;
use crate::runtime::sync::Mutex;

/// The visitor's data, loaded on first access and committed before the response head leaves.
///
/// ```
/// use maypole::prelude::*;
///
/// fn add(ctx: &RequestContext) -> maypole::Result<String> {
///     let articles = ctx.session.push("cart", "tea")?; // no other tab's article is lost
///     ctx.session.flash("notice", "In your cart.")?;
///     let name: Option<String> = ctx.session.user()?;
///     Ok(format!("{articles} articles for {}", name.unwrap_or_default()))
/// }
/// ```
///
/// A clone is another handle of the same session; both see each other's changes, also in child
/// coroutines. Every verb returns an error instead of panicking:
///
/// - `NoRequest` outside a request,
/// - `SessionClosed` after the final commit began,
/// - `StoreUnavailable` when the session cannot be loaded,
/// - `SessionInUse` in the closure of an [`update`](Self::update),
/// - `SessionOnPool` in a job of [`blocking`](crate::blocking()) that would have to ask the store: to
///   load the session, if it was not used before, to save it, and the like,
/// - `SessionValue` when a value has another type than the one asked for.
#[derive(Clone)]
pub struct Session {
    pub(super) inner: Option<Arc<Inner>>,
}

pub(super) struct Inner {
    pub(super) manager: Arc<Manager>,
    is_touched: AtomicBool,
    is_closed: AtomicBool,
    state: Mutex<State>,
}

impl Session {
    /// A session of no request: every verb fails with `NoRequest`.
    pub(crate) const fn detached() -> Self {
        Self { inner: None }
    }

    pub(super) fn new(manager: Arc<Manager>, presented: Presented, addr: Option<IpAddr>) -> Self {
        let state = Mutex::new(State {
            presented,
            addr,
            open: None,
            head_sent: false,
            is_stale: false,
            socket: None,
        });
        let (is_touched, is_closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { inner: Some(Arc::new(Inner { manager, is_touched, is_closed, state })) }
    }

    /// Runs a verb on the loaded session. Other verbs of this session wait meanwhile.
    pub(super) fn with<T>(&self, verb: impl FnOnce(&mut Open, &Manager) -> Result<T>) -> Result<T> {
        self.with_state(|state, manager| {
            if state.is_stale {
                manager.reload_present(state)?;
                state.is_stale = false;
            }
            manager.loaded(state)?;
            watch_for_socket(state, manager);
            verb(manager.loaded(state)?, manager)
        })
    }

    /// The next verb starts from what is stored then, with the changes nobody saved on top: for
    /// connections that stay, where time passes between two uses. Costs nothing if none follows.
    pub(crate) fn look_again(&self) {
        if self.is_touched() {
            self.with_state(|state, _| {
                state.is_stale = state.open.is_some();
                Ok(())
            })
            .ok();
        }
    }

    pub(super) fn with_state<T>(
        &self,
        verb: impl FnOnce(&mut State, &Manager) -> Result<T>,
    ) -> Result<T> {
        let Some(inner) = &self.inner else {
            let what = "there is no session outside a request; work that needs it is started with \
                        spawn, scope or blocking of maypole, not as a thread";
            return Err(Error::new(ErrorKind::NoRequest, what));
        };
        // Before `is_closed` is read, as `close` writes that before it reads this: one sees the other.
        inner.is_touched.store(true, Ordering::SeqCst);
        let mut state = match inner.state.try_lock() {
            Some(state) => state,
            // The lock is held for the very closure that calls: it would wait for itself.
            None if in_use::is_running() => {
                let what = "the closure of an update uses the session";
                return Err(Error::new(ErrorKind::SessionInUse, what));
            }
            // Whoever holds it may be waiting for a thread of the pool.
            None if is_on_pool() => {
                let what = "the session is used by its request while a job on the pool wants it";
                return Err(Error::new(ErrorKind::SessionInUse, what));
            }
            None => inner.state.lock(),
        };
        if inner.is_closed.load(Ordering::SeqCst) {
            let what = "the session is closed, its request has been answered; join a child that uses \
                        it, or start the child with scope";
            return Err(Error::new(ErrorKind::SessionClosed, what));
        }
        verb(&mut state, &inner.manager)
    }

    /// Tells later verbs that the response head has gone, though none was used before.
    pub(super) fn mark_head_sent(&self) -> Result<Committed> {
        self.with_state(|state, _| {
            state.head_sent = true;
            Ok(Committed::nothing(false))
        })
    }

    /// Whether any verb has been used.
    pub(crate) fn is_touched(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.is_touched.load(Ordering::SeqCst))
    }

    /// Closes the session, then runs `last` on it if it was ever used. Verbs that began before are
    /// waited for, later ones fail.
    pub(super) fn close<T>(&self, last: impl FnOnce(&mut State) -> T) -> Option<T> {
        let inner = self.inner.as_ref()?;
        inner.is_closed.store(true, Ordering::SeqCst);
        inner.is_touched.load(Ordering::SeqCst).then(|| last(&mut inner.state.lock()))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.inner.is_some() { "Session" } else { "Session(no request)" })
    }
}
