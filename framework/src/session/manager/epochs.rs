//! Ending any number of sessions at once, by raising the epoch they were bound under.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::record::{Epochs, Record};
use super::super::reserved;
use super::super::state::{Base, Open};
use super::super::store::{Expected, StoreError, StoreKey, Stored, Swap};
use super::super::version::{first_version, next_version};
use super::load::Found;
use super::race::Race;
use super::swap::Tried;
use super::{Manager, later, store_error};
use crate::error::{Error, ErrorKind, Result};

/// An epoch is kept longer than any session that was bound under an older one can live, whatever
/// config.ini said then.
const KEPT: Duration = Duration::from_secs(11 * 366 * 24 * 3600);

/// An epoch before and after it was raised.
struct Raised {
    before: u64,
    after: u64,
}

impl Manager {
    /// The epochs a session of `user` is bound under now.
    pub(in super::super) fn epochs(&self, user: &str, now: SystemTime) -> Result<Epochs> {
        let keys = [self.keyring.user_epoch(user), self.keyring.everybodys_epoch()];
        let found = self.store.load_many(&keys, now).map_err(store_error)?;
        let mut epochs = found.iter().map(|found| found.as_ref().map_or(0, reserved::epoch));
        let (Some(user), Some(everybody), None) = (epochs.next(), epochs.next(), epochs.next())
        else {
            let what = "the store gave another number of records than it was asked for";
            return Err(store_error(StoreError::unavailable(what)));
        };
        Ok(Epochs { user, everybody })
    }

    /// Whether all sessions of the record's user, or everybody's, were ended since it was bound.
    /// An anonymous session holds nobody's rights, and is not asked for.
    pub(super) fn is_revoked(&self, record: &Record, now: SystemTime) -> Result<bool> {
        let Some(user) = &record.user else { return Ok(false) };
        Ok(!record.epochs.are_good_under(self.epochs(user, now)?))
    }

    /// Waits until the epochs that ended the record's session are known everywhere.
    pub(super) fn settle_epochs(&self, record: &Record) -> Result<()> {
        let user = record.user.as_ref().map(|user| self.keyring.user_epoch(user));
        user.iter().try_for_each(|epoch| self.settle(epoch))?;
        self.settle(&self.keyring.everybodys_epoch())
    }

    /// Ends all sessions of `user`.
    pub(in super::super) fn revoke_all(&self, user: &str) -> Result<()> {
        match self.raise(&self.keyring.user_epoch(user)) {
            // No room for an epoch: what is listed ends one by one, which makes no record.
            Err(error) if error.kind() == ErrorKind::StoreFull => self.revoke_listed(user),
            raised => raised.map(drop),
        }
    }

    /// Ends the sessions of all users.
    pub(in super::super) fn revoke_everybody(&self) -> Result<()> {
        self.raise(&self.keyring.everybodys_epoch()).map(drop)
    }

    /// Ends all sessions of the user but the one that is open, which is bound again under the new
    /// epoch. Killed in between, that one has ended too.
    pub(in super::super) fn revoke_others(&self, open: &mut Open) -> Result<()> {
        let Some(user) = open.user().map(str::to_owned) else {
            let what = "the session is bound to no user";
            return Err(Error::new(ErrorKind::LoginRequired, what));
        };
        let epoch = self.keyring.user_epoch(&user);
        let raised = self.raise_stored(&epoch)?;
        let settled = self.settle(&epoch);
        if let Some(login) = &mut open.login {
            login.epochs.user = raised.after;
        }
        let is_bound = |base: &&Arc<Base>| base.record.user.as_deref() == Some(user.as_str());
        let Some(base) = open.stored_base().filter(is_bound).cloned() else { return settled };
        match self.bind_again(&base, &raised)? {
            Some(next) => {
                open.base = Some(next);
                open.reapply()?;
                // Last, since the session that asks must not end with the others.
                settled
            }
            None => {
                open.lose();
                let what = "the session was ended while this request ran";
                Err(Error::new(ErrorKind::SessionGone, what))
            }
        }
    }

    /// The session under the raised epoch; `None` if it had ended before.
    fn bind_again(&self, base: &Arc<Base>, raised: &Raised) -> Result<Option<Arc<Base>>> {
        let (now, token) = (self.clock.now(), self.token());
        self.queue.in_turn(&base.key, |turn| {
            drop(turn.left());
            let mut race = Race::new(self, base.key);
            let mut current = Arc::clone(base);
            loop {
                if current.record.user != base.record.user
                    || current.record.epochs.user < raised.before
                {
                    return Ok(None);
                }
                let mut record = current.record.clone();
                record.epochs.user = raised.after;
                record.tokens.push(token);
                match self.swap_next(&current, record, now) {
                    Ok(Tried::Done(next, _)) => return Ok(Some(next)),
                    Ok(Tried::Missing) => return Ok(None),
                    Ok(Tried::Conflict) => race.lost()?,
                    Err(error) => race.failed(None, error)?,
                }
                // Not checked against the epochs: it is about to be brought under the new one.
                match self.find_unchecked(&current.id, now)? {
                    Found::Live(found) if found.record.tokens.contains(token) => {
                        return Ok(Some(found));
                    }
                    Found::Live(found) => current = found,
                    Found::Dead(_) | Found::Absent => return Ok(None),
                }
            }
        })
    }

    fn raise(&self, key: &StoreKey) -> Result<Raised> {
        let raised = self.raise_stored(key)?;
        self.settle(key).map(|()| raised)
    }

    fn raise_stored(&self, key: &StoreKey) -> Result<Raised> {
        let now = self.clock.now();
        let mark = self.token();
        let mut race = Race::new(self, *key);
        let mut unknown: Option<Raised> = None;
        loop {
            let found = self.store.load(key, now).map_err(store_error)?;
            let before = found.as_ref().map_or(0, reserved::epoch);
            if let Some(raised) = unknown.take_if(|raised| raised.after == before) {
                return Ok(raised);
            }
            let raised = Raised { before, after: reserved::next_epoch(before, now, mark) };
            let (expected, version) = match &found {
                Some(found) => (Expected::Version(found.version), next_version(found.version)),
                None => (Expected::Absent, first_version()?),
            };
            let stored = Stored {
                bytes: reserved::encode_epoch(raised.after),
                version,
                deadline: later(now, KEPT),
                last_seen: now,
                evictable: false,
            };
            match self.store.swap(key, expected, &stored, now) {
                Ok(Swap::Done) => return Ok(raised),
                Ok(Swap::Conflict | Swap::Missing) => race.lost()?,
                Err(error) => {
                    race.failed(None, error)?;
                    unknown = Some(raised);
                }
            }
        }
    }
}
