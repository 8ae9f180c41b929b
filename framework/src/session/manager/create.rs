//! New sessions.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::data::Data;
use super::super::events::Event;
use super::super::id::{self, Handle, SessionId};
use super::super::record::{Entry, Epochs, Lifetime, Record, Tokens};
use super::super::state::{Base, CookieDue, Open};
use super::super::store::{Expected, Renewed, StoreError, Swap, Touch};
use super::super::version::first_version;
use super::index;
use super::race::Race;
use super::save::Saved;
use super::{Manager, later, store_error};
use crate::error::{Error, ErrorKind, Result};

impl Manager {
    /// Makes the session real: a fresh id, a new record. Without data there is nothing to make.
    pub(super) fn create(
        &self,
        open: &mut Open,
        addr: Option<IpAddr>,
        head_sent: bool,
        now: SystemTime,
    ) -> Result<Saved> {
        if open.login.is_none() && open.data().is_empty() {
            open.settle(None);
            return Ok(Saved::Done);
        }
        if head_sent {
            let what = "the response head was sent: a new session cannot reach the browser";
            return Err(Error::new(ErrorKind::SessionClosed, what));
        }
        if !self.limit.admit(addr, now) {
            self.events.note(Event::CreationRefused, None);
            let what = format!(
                "too many new sessions from one address ([session] new_sessions_per_minute = {}; \
                 visitors behind one proxy share its address unless trusted_proxies names it)",
                self.settings.new_sessions_per_minute
            );
            return Err(Error::new(ErrorKind::Overloaded, what));
        }
        let created = self.place_new(open, now)?;
        self.events.note(Event::Created, Some(&created.key));
        open.settle(Some(created));
        open.cookie = CookieDue::Set;
        Ok(Saved::Done)
    }

    fn place_new(&self, open: &Open, now: SystemTime) -> Result<Arc<Base>> {
        let token = self.token();
        let base = self.new_base(open, token, now)?;
        let Some(login) = &open.login else {
            self.swap_new(&base, token, now)?;
            return Ok(base);
        };
        let displaced = self.enter(&index::Entry::login(&base, None), now)?;
        if let Err(error) = self.place_bound(&base, token, now) {
            self.leave(&login.user, &base.key, now);
            return Err(error);
        }
        self.displace(Some(login), &displaced, now);
        Ok(base)
    }

    /// Creates a bound session as what it is to the store, a newcomer, which a full one refuses; only
    /// then it is one that is never evicted.
    fn place_bound(&self, base: &Base, token: u64, now: SystemTime) -> Result<()> {
        self.swap_new(&Base { evictable: true, ..base.clone() }, token, now)?;
        let renewal = Renewed { deadline: base.deadline, last_seen: now, evictable: false };
        let refusal = match self.store.touch(&base.key, base.version, renewal, now) {
            Ok(Touch::Done) => return Ok(()),
            Ok(Touch::Stale) => StoreError::unavailable("the new session was lost"),
            Err(error) => error,
        };
        // Nobody will ever be told its id.
        self.store.remove(&base.key).ok();
        Err(store_error(refusal))
    }

    fn new_base(&self, open: &Open, token: u64, now: SystemTime) -> Result<Arc<Base>> {
        let blank = self.blank(now)?;
        let max_bytes = self.settings.max_session_bytes;
        let record = open.changes(token).merge_applied(&blank, open.data().clone(), max_bytes)?;
        let id = SessionId::from_bytes(id::random()?);
        let evictable = record.user.is_none();
        let deadline = record.deadline(now);
        let deadline = match self.settings.first_lifetime {
            Some(first) if evictable && record.lifetime == Lifetime::Configured => {
                deadline.min(later(now, first))
            }
            _ => deadline,
        };
        Ok(Arc::new(Base {
            key: self.keyring.session(&id),
            id,
            record,
            version: first_version()?,
            deadline,
            last_seen: now,
            evictable,
            is_new: true,
        }))
    }

    /// Creates `base` under its fresh key.
    pub(super) fn swap_new(&self, base: &Base, token: u64, now: SystemTime) -> Result<()> {
        let stored = base.stored();
        let mut race = Race::new(self, base.key);
        loop {
            match self.store.swap(&base.key, Expected::Absent, &stored, now) {
                Ok(Swap::Done) => return Ok(()),
                Err(error) => race.failed(None, error)?,
                // Nobody else can know the key: it is our own swap, whose answer was lost.
                Ok(Swap::Conflict | Swap::Missing) => {}
            }
            let found = self.store.load(&base.key, now).map_err(store_error)?;
            match found.and_then(|found| self.read(&base.key, found, now)) {
                Some(Entry::Session(record)) if record.tokens.contains(token) => {
                    return self.settle(&base.key);
                }
                _ => race.lost()?,
            }
        }
    }

    fn blank(&self, now: SystemTime) -> Result<Record> {
        Ok(Record {
            created: now,
            idle: self.settings.idle_timeout,
            absolute: later(now, self.settings.absolute_timeout),
            handle: Handle::from_bytes(id::random()?),
            pending: None,
            lifetime: Lifetime::Configured,
            user: None,
            epochs: Epochs::default(),
            last_auth: None,
            tokens: Tokens::default(),
            data: Data::default(),
        })
    }
}
