//! What one request knows and wants of its session, between first access and commit.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;

use super::commit::{Changes, Login, Timeouts, too_large};
use super::cookie::Presented;
use super::data::{Data, Key};
use super::id::SessionId;
use super::manager::Lease;
use super::operations::Operation;
use super::record::Record;
use super::store::{StoreKey, Stored};
use super::version::next_version;
use super::watch::{Follower, Watching};
use crate::error::Result;

/// The interior of a [`Session`](super::Session), behind its lock.
pub(super) struct State {
    pub(super) presented: Presented,
    pub(super) addr: Option<IpAddr>,
    /// `None` until first access, and again if the load failed. In a block of its own: most requests
    /// never touch their session.
    pub(super) open: Option<Box<Open>>,
    /// Set when the response head has gone: no cookie can follow.
    pub(super) head_sent: bool,
    /// The next verb loads the stored state again.
    pub(super) is_stale: bool,
    /// The socket that wants to know of the session's end.
    pub(super) socket: Option<Arc<dyn Follower>>,
}

/// A session after its load.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The stored session this request works on; `None` while there is none.
    pub(super) base: Option<Arc<Base>>,
    pub(super) fate: Fate,
    /// The id that came was changed already, and led to the base.
    pub(super) is_renewed: bool,
    pub(super) gone: Gone,
    /// The id that came had ended: nobody has to have been told that it did.
    pub(super) ended: Option<StoreKey>,
    /// When the session was last looked up and found.
    pub(super) looked_up: Option<SystemTime>,
    pub(super) login: Option<Login>,
    pub(super) timeouts: Option<Timeouts>,
    /// The lock of the session, while this request holds it.
    pub(super) lease: Option<Lease>,
    /// One, as a rule.
    pub(super) operations: SmallVec<[Operation; 1]>,
    /// Base and operations together; `None` while there are no operations.
    view: Option<Data>,
    pub(super) cookie: CookieDue,
    /// The record placed for a change of id of which nobody knows whether it took place.
    pub(super) doubt: Option<Arc<Base>>,
    /// The request's socket is told, and rotations are followed for it.
    pub(super) watching: Option<Watching>,
}

/// A session as the store holds it.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) id: SessionId,
    pub(super) key: StoreKey,
    pub(super) record: Record,
    pub(super) version: u64,
    pub(super) deadline: SystemTime,
    pub(super) last_seen: SystemTime,
    pub(super) evictable: bool,
    /// Created by this very request: it has been seen once.
    pub(super) is_new: bool,
}

impl Base {
    /// A pending record with its proper deadline, no longer pending.
    pub(super) fn completed(&self, now: SystemTime) -> Arc<Self> {
        let record = Record { pending: None, ..self.record.clone() };
        Arc::new(Self {
            id: self.id.clone(),
            key: self.key,
            version: next_version(self.version),
            deadline: record.deadline(now),
            last_seen: now,
            evictable: self.evictable,
            is_new: self.is_new,
            record,
        })
    }

    /// The bytes and times to swap in.
    pub(super) fn stored(&self) -> Stored {
        Stored {
            bytes: self.record.encode(),
            version: self.version,
            deadline: self.deadline,
            last_seen: self.last_seen,
            evictable: self.evictable,
        }
    }
}

/// Whether the id has ended: nothing this request writes may be stored then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Gone {
    #[default]
    No,
    /// Before the request came, which has no right to the session that took its place, under this
    /// key.
    Before(StoreKey),
    /// Since it was loaded under this key: the request may still end what took its place.
    Meanwhile(StoreKey),
}

/// What the commit does with the id that was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fate {
    #[default]
    Keep,
    /// A fresh id, the old one without alias.
    Regenerate,
    /// A renewed id, which holders of the old one can find for the grace time.
    Rotate,
    /// A tombstone; what is written afterwards goes to a new session.
    End,
}

/// What the response has to tell the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum CookieDue {
    #[default]
    None,
    Set,
    Delete,
}

static EMPTY: Data = Data::EMPTY;

impl Open {
    /// The stored session verbs read from.
    pub(super) fn visible_base(&self) -> Option<&Base> {
        self.base.as_deref().filter(|_| self.fate != Fate::End)
    }

    /// The same, to be kept.
    pub(super) fn stored_base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref().filter(|_| self.fate != Fate::End)
    }

    /// What the handler sees: the stored data with its own changes.
    pub(super) fn data(&self) -> &Data {
        match (&self.view, self.visible_base()) {
            (Some(view), _) => view,
            (None, Some(base)) => &base.record.data,
            (None, None) => &EMPTY,
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&[u8]> {
        self.data().get(key)
    }

    /// Applies `operation` to the view and records it; on an error neither.
    pub(super) fn write(&mut self, operation: Operation, max_bytes: usize) -> Result<()> {
        let data = self.data();
        let effect = operation.effect(data)?;
        let (len, before) = (effect.len_after(data, max_bytes), data.encoded_len());
        if len > max_bytes && len > before {
            let key = operation.key().map_or("", |key| &key.name);
            return Err(too_large(key, len, max_bytes));
        }
        let mut view = match self.view.take() {
            Some(view) => view,
            None => self.data().clone(),
        };
        effect.apply(&mut view);
        self.view = Some(view);
        self.operations.push(operation);
        Ok(())
    }

    /// Whether a commit has anything to store.
    pub(super) fn is_changed(&self) -> bool {
        self.fate != Fate::Keep
            || self.login.is_some()
            || self.timeouts.is_some()
            || !self.operations.is_empty()
    }

    /// The recorded changes, as a commit with this token makes them.
    pub(super) fn changes(&self, token: u64) -> Changes<'_> {
        let (operations, login) = (&self.operations, self.login.as_ref());
        Changes { operations, login, timeouts: self.timeouts, token }
    }

    /// The user the session is bound to, or will be by this request's commit.
    pub(super) fn user(&self) -> Option<&str> {
        let stored = self.visible_base().and_then(|base| base.record.user.as_deref());
        self.login.as_ref().map(|login| &*login.user).or(stored)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone != Gone::No
    }

    /// Notes that the stored session this request works on has ended.
    pub(super) fn lose(&mut self) {
        if let Some(base) = self.base.take() {
            self.gone = Gone::Meanwhile(base.key);
        }
    }

    /// Marks the session as ended; what was written so far is void.
    pub(super) fn end(&mut self) {
        if self.base.is_some() || matches!(self.gone, Gone::Meanwhile(_)) {
            self.fate = Fate::End;
        }
        self.forget();
    }

    /// Marks the id for a change. A destroyed session is not revived by it, and a regeneration is
    /// not weakened to a renewal.
    pub(super) fn change_id(&mut self, fate: Fate) {
        let is_stronger = match self.fate {
            Fate::Keep | Fate::Rotate => true,
            Fate::Regenerate | Fate::End => false,
        };
        if self.base.is_some() && is_stronger {
            self.fate = fate;
        }
    }

    /// Drops recorded changes (not the fate).
    pub(super) fn forget(&mut self) {
        self.operations.clear();
        self.login = None;
        self.timeouts = None;
        self.view = None;
    }

    /// The view again, after the base or the operations changed.
    pub(super) fn reapply(&mut self) -> Result<()> {
        self.view = None;
        if !self.operations.is_empty() {
            let mut view = self.data().clone();
            super::operations::apply(&self.operations, &mut view)?;
            self.view = Some(view);
        }
        Ok(())
    }

    /// After a commit: `base` is what is stored, nothing is left to do.
    pub(super) fn settle(&mut self, base: Option<Arc<Base>>) {
        self.forget();
        self.fate = Fate::Keep;
        self.base = base;
    }
}
