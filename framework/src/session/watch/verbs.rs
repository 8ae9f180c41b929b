//! The verbs about versions and watching.

use std::sync::Arc;

use super::super::manager::Manager;
use super::super::session::Session;
use super::super::state::{Open, State};
use super::{Follower, SessionEnd, Watching};
use crate::error::{Error, ErrorKind, Result};

impl Session {
    /// The version of the stored session that reads show now (with this request's own changes on
    /// top); `None` if none is stored. Every commit makes a higher one, on any node, and a change
    /// of id does not start it anew. It stays below 2^53, so a page can compare it as a number: one
    /// that shows only what has a higher version than what it shows is never set back by an answer
    /// that comes late.
    ///
    /// ```
    /// use maypole::prelude::*;
    ///
    /// fn click(ctx: &RequestContext) -> Result<String> {
    ///     let count = ctx.session.increment("count", 1)?;
    ///     ctx.session.save()?; // from here on reads are the committed state
    ///     Ok(format!("{count} at {}", ctx.session.version()?.unwrap_or_default()))
    /// }
    /// ```
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn version(&self) -> Result<Option<u64>> {
        self.with(|open, _| Ok(open.visible_base().map(|base| base.version)))
    }

    /// Tells `follower` of all that comes after the state that this request has read.
    ///
    /// # Errors
    /// `NoSession` if none is stored, `SessionGone` if it has ended.
    pub(crate) fn watch(&self, follower: &Arc<dyn Follower>) -> Result<Watching> {
        self.with_state(|state, manager| {
            let open = manager.loaded(state)?;
            watch(open, manager, follower)
        })
    }

    /// Tells `follower` of the end of the session, from the moment it is loaded until it closes:
    /// for a socket, which may outlive it. It also makes the session follow rotations beyond their
    /// grace time.
    pub(crate) fn watch_until_closed(&self, follower: Arc<dyn Follower>) {
        self.with_state(|state, manager| {
            state.socket = Some(follower);
            watch_for_socket(state, manager);
            Ok(())
        })
        .ok();
    }

    /// Ends [`watch_until_closed`](Self::watch_until_closed).
    pub(crate) fn watch_no_more(&self) {
        self.with_state(|state, _| {
            state.socket = None;
            if let Some(open) = &mut state.open {
                open.watching = None;
            }
            Ok(())
        })
        .ok();
    }
}

/// Begins to watch the session of a socket as soon as it is loaded.
pub(in super::super) fn watch_for_socket(state: &mut State, manager: &Manager) {
    let (Some(follower), Some(open)) = (&state.socket, &mut state.open) else { return };
    if open.watching.is_some() {
        return;
    }
    match watch(open, manager, follower) {
        Ok(watching) => open.watching = Some(watching),
        // Its id was replaced before the socket was opened.
        Err(error) if error.kind() == ErrorKind::SessionGone => {
            follower.ended(SessionEnd::Destroyed);
            state.socket = None;
        }
        // None is stored: there is nothing that could end.
        Err(_) => {}
    }
}

fn watch(open: &Open, manager: &Manager, follower: &Arc<dyn Follower>) -> Result<Watching> {
    if open.is_gone() {
        let what = "the session was ended: there is nothing to watch";
        return Err(Error::new(ErrorKind::SessionGone, what));
    }
    let Some(base) = open.visible_base() else {
        let what = "no session is stored whose changes could be told: write something to it in an \
                    earlier request, or call save() first";
        return Err(Error::new(ErrorKind::NoSession, what));
    };
    Ok(manager.watchers.join(base, follower))
}
