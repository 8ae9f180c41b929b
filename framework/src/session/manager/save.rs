//! Which of its steps a commit needs, and the commonest of them: changes to a stored session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::events::Event;
use super::super::record::Record;
use super::super::state::{Base, CookieDue, Fate, Gone, Open};
use super::super::store::{Expected, Renewed, Swap, Touch};
use super::Manager;
use super::index::Entry;
use super::load::Times;
use super::swap::Swapped;
use crate::error::Result;

/// What became of the changes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Saved {
    /// They are stored, or there were none.
    Done,
    /// The session was ended meanwhile; nothing is stored.
    Gone,
}

impl Manager {
    /// Stores the changes recorded in `open`. On an error they stay recorded and nothing (more)
    /// is stored.
    pub(in super::super) fn save(
        &self,
        open: &mut Open,
        addr: Option<IpAddr>,
        head_sent: bool,
    ) -> Result<Saved> {
        let now = self.clock.now();
        let saved = match (&open.base, open.fate) {
            (None, Fate::End) if let Gone::Meanwhile(key) = open.gone => {
                self.end_lost(&key, open, now)?;
                return self.create(open, addr, head_sent, now);
            }
            _ if open.is_gone() => self.gone(open, None),
            (None, _) => return self.create(open, addr, head_sent, now),
            (Some(_), Fate::Keep) if !open.is_changed() => {
                self.touch(open, now);
                Saved::Done
            }
            (Some(base), Fate::Keep) => self.update(&Arc::clone(base), open, now)?,
            (Some(base), Fate::Regenerate | Fate::Rotate) => {
                self.succeed(&Arc::clone(base), open, now)?
            }
            (Some(base), Fate::End) => {
                self.end(&Arc::clone(base), open, now)?;
                return self.create(open, addr, head_sent, now);
            }
        };
        Ok(saved)
    }

    fn update(&self, base: &Arc<Base>, open: &mut Open, now: SystemTime) -> Result<Saved> {
        let token = self.token();
        let changes = open.changes(token);
        let displaced = match Entry::change(open, base) {
            Some(entry) => self.enter(&entry, now)?,
            None => Vec::new(),
        };
        let max_bytes = self.settings.max_session_bytes;
        let swapped = self.swap_loop(base, token, now, |current, is_base| {
            if !is_base {
                self.check_lease(open)?;
            }
            let merged = if is_base {
                changes.merge_applied(&current.record, open.data().clone(), max_bytes)
            } else {
                changes.merge(&current.record, max_bytes)
            };
            merged.map(Some)
        })?;
        match swapped {
            Swapped::Stored(next) | Swapped::Stopped(next) => {
                self.note_renewal(open, base, &next);
                self.displace(open.login.as_ref(), &displaced, now);
                open.settle(Some(next));
                Ok(Saved::Done)
            }
            Swapped::Gone => Ok(self.gone(open, Some(base))),
        }
    }

    pub(super) fn note_renewal(&self, open: &mut Open, before: &Base, after: &Base) {
        let is_other = after.record.lifetime != before.record.lifetime;
        if after.id != before.id || after.deadline != before.deadline || is_other {
            open.cookie = CookieDue::Set;
        }
        if after.last_seen != before.last_seen {
            self.events.note(Event::Renewed, Some(&after.key));
        }
    }

    /// Renews the times of a session that was only read. A failure is no failure of the request:
    /// nothing it did depends on it.
    fn touch(&self, open: &mut Open, now: SystemTime) {
        let Some(base) = open.base.clone() else {
            return;
        };
        if !self.is_renewal_due(&base, now) {
            return;
        }
        // Only a pending record has other bytes now. That a session seen again may not be evicted any
        // more, a touch says as well.
        let swaps = base.record.pending.is_some();
        let record = Record { pending: None, ..base.record.clone() };
        let mut times = self.next(&base, &record, now);
        if !swaps {
            times.version = base.version;
        }
        let is_done = if swaps {
            let expected = Expected::Version(base.version);
            let stored = times.stored(&record);
            matches!(self.store.swap(&base.key, expected, &stored, now), Ok(Swap::Done))
        } else {
            let Times { deadline, evictable, .. } = times;
            let renewal = Renewed { deadline, last_seen: now, evictable };
            matches!(self.store.touch(&base.key, base.version, renewal, now), Ok(Touch::Done))
        };
        if is_done {
            let renewed = times.base(base.id.clone(), base.key, record);
            self.note_renewal(open, &base, &renewed);
            open.base = Some(renewed);
        }
    }

    /// Drops the changes of a request whose session was ended meanwhile.
    pub(super) fn gone(&self, open: &mut Open, base: Option<&Base>) -> Saved {
        let had_changes = open.is_changed();
        open.lose();
        open.settle(None);
        if !had_changes {
            return Saved::Done;
        }
        self.events.note(Event::GoneWrite, base.map(|base| &base.key));
        Saved::Gone
    }
}
