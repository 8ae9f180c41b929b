//! What an answer has to tell the browser of its session.

use super::super::cookie::Presented;
use super::super::session::Session;
use super::super::state::{CookieDue, Open};
use super::Manager;
use super::doubt::look_after;
use super::load::Found;

/// What the response layer has to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) cookie: CookieChange,
    /// Of the cookie with the id that may have taken the place of the session's.
    pub(crate) successor: CookieChange,
    /// The handler used the session: the response is private (`Cache-Control: private, no-store`
    /// and `Vary: Cookie`, unless the handler set its own).
    pub(crate) touched: bool,
}

impl Committed {
    /// No cookie changes.
    pub(in super::super) fn nothing(touched: bool) -> Self {
        Self { cookie: CookieChange::None, successor: CookieChange::None, touched }
    }
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
    /// The cookies that a [`commit`](Self::commit) which failed, or panicked, leaves due: the one of a
    /// change that was stored before, by the handler's `save` or by a first step of the commit, since
    /// an id that has ended must not stay in the browser because a later change could not be stored;
    /// and, where nobody knows whether the id has changed, the new one beside the session's own.
    pub(crate) fn after_failure(&self, session: &Session) -> Committed {
        let due = session.close(|state| {
            look_after(session, state);
            match state.open.as_deref() {
                // A change of id that the request only followed: the browser is told next time. Unless
                // the cookie that led here is about to be replaced.
                Some(Open { is_renewed: true, cookie: CookieDue::Set, doubt: None, .. }) | None => {
                    Committed::nothing(true)
                }
                Some(open) => self.cookies(&state.presented, open),
            }
        });
        due.unwrap_or_else(|| Committed::nothing(true))
    }

    /// Whether an id that was stored some time ago, or that this request only followed, still lives:
    /// another request may have ended or rotated it, whose cookie must not be replaced by one that
    /// is dead, or will be after the grace time.
    pub(super) fn look_again(&self, open: &mut Open) {
        let Some(base) = open.base.as_ref().filter(|base| !base.is_new) else { return };
        match self.find_unchecked(&base.id, self.clock.now()) {
            Ok(Found::Live(found)) => open.base = Some(found),
            Ok(Found::Dead(_) | Found::Absent) => open.cookie = CookieDue::None,
            // Nothing better is known.
            Err(_) => {}
        }
    }

    pub(super) fn cookies(&self, presented: &Presented, open: &Open) -> Committed {
        let cookie = self.cookie_change(open);
        let successor = self.successor_change(presented, open, &cookie);
        Committed { cookie, successor, touched: true }
    }

    /// What the session's cookie says wins over its successor's, so that one is only in the way once
    /// the session's own is replaced or deleted: by then it is known what became of it. As long as the
    /// old session lives it stays, since a swap without an answer may come true late; until the record
    /// that was placed for it is gone, which is seen when the session's own cookie is renewed.
    fn successor_change(
        &self,
        presented: &Presented,
        open: &Open,
        cookie: &CookieChange,
    ) -> CookieChange {
        let is_settled = match (cookie, &open.base) {
            (CookieChange::Set(_), Some(base)) => {
                presented.is_settled_by(&base.id) || self.is_forgotten(presented)
            }
            (CookieChange::Delete(_), _) => presented.successor().is_some(),
            _ => false,
        };
        match &open.doubt {
            _ if !self.cookie.use_cookies => CookieChange::None,
            Some(placed) => {
                let (now, record) = (self.clock.now(), &placed.record);
                let until = record.deadline(now);
                let policy = self.cookie.successor();
                CookieChange::Set(policy.set(&placed.id, record.lifetime, until, now))
            }
            None if is_settled => CookieChange::Delete(self.cookie.successor().delete()),
            None => CookieChange::None,
        }
    }

    /// Whether nothing is left of what an answer in doubt gave out: the change did not take place, and
    /// one that comes true now leads nowhere.
    fn is_forgotten(&self, presented: &Presented) -> bool {
        let Some(id) = presented.successor() else { return false };
        let key = self.keyring.session(&id);
        matches!(self.store.load(&key, self.clock.now()), Ok(None))
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
}
