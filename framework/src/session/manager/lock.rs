//! The lock of a session: a record under a reserved key, taken by swap, with a lease.
//!
//! A holder that overstays its lease, or dies, delays others by no more than that. Who takes over
//! from it first moves the session's version on (the fence), so that a holder that comes back late
//! meets a conflict at commit, looks, and finds the lock gone.

use std::time::{Duration, Instant, SystemTime};

use super::super::record::Record;
use super::super::reserved::{self, LockState};
use super::super::state::Open;
use super::super::store::{Expected, StoreKey, Stored, Swap};
use super::super::turns::Held;
use super::super::version::{first_version, next_version};
use super::race::Race;
use super::swap::Swapped;
use super::{Manager, later, store_error};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime;

/// A lock's record is kept so long after its lease, to tell a free lock from a deserted one.
const KEPT: Duration = Duration::from_secs(600);

/// Waits between two looks at a lock that another process holds.
const PAUSES_MS: [u64; 4] = [1, 2, 5, 10];
const MAX_PAUSE_MS: u64 = 20;

/// A lock that is held.
#[derive(Debug)]
pub(in super::super) struct Lease {
    key: StoreKey,
    mark: u64,
    version: u64,
    /// Given back after the record: the next in this process then finds it free.
    _turn: Held,
}

impl Manager {
    /// Takes the lock and loads the session again. Without a stored session there is nobody to
    /// exclude.
    pub(in super::super) fn lock(&self, open: &mut Open) -> Result<()> {
        let Some(base) = open.stored_base().filter(|_| open.lease.is_none()).cloned() else {
            return Ok(());
        };
        let key = self.keyring.reserved(&format!("lock of\0{}", base.record.handle));
        // Twice the lease: one that begins just now may be deserted, and the next one, too.
        let patience = self.settings.lock_lease * 2;
        let turn = self.turns.take(key, patience).ok_or_else(taken)?;
        let (mark, version, was_free) = self.take_lock(&key, patience)?;
        open.lease = Some(Lease { key, mark, version, _turn: turn });
        if was_free {
            return self.reload(open);
        }
        let (token, now) = (self.token(), self.clock.now());
        let fenced = self.swap_loop(&base, token, now, |current, _| {
            let mut record: Record = current.record.clone();
            record.tokens.push(token);
            Ok(Some(record))
        })?;
        match fenced {
            Swapped::Stored(next) | Swapped::Stopped(next) => {
                self.note_renewal(open, &base, &next);
                open.base = Some(next);
            }
            Swapped::Gone => open.lose(),
        }
        open.reapply()
    }

    /// Before a commit goes on from a state that another request made: whether that was one that
    /// does without the lock, or took it over.
    pub(super) fn check_lease(&self, open: &Open) -> Result<()> {
        let Some(lease) = &open.lease else { return Ok(()) };
        let now = self.clock.now();
        let found = self.store.load(&lease.key, now).map_err(store_error)?;
        let is_ours = found
            .as_ref()
            .map(reserved::lock)
            .is_some_and(|lock| matches!(lock, LockState::Held { mark, .. } if mark == lease.mark));
        if is_ours {
            return Ok(());
        }
        let what = "the lock of the session was lost: its lease ran out and another took it";
        Err(Error::new(ErrorKind::SessionConflict, what))
    }

    /// Gives the lock back, if it is held. Best effort: a lease that stays ends by itself.
    pub(super) fn unlock(&self, open: &mut Open) {
        let Some(lease) = open.lease.take() else { return };
        let now = self.clock.now();
        let free = lock_record(LockState::Free, next_version(lease.version), now);
        self.store.swap(&lease.key, Expected::Version(lease.version), &free, now).map(drop).ok();
    }

    /// The mark and version of the lock's record, and whether the last holder gave it back.
    fn take_lock(&self, key: &StoreKey, patience: Duration) -> Result<(u64, u64, bool)> {
        let (mark, begun) = (self.token(), Instant::now());
        let mut race = Race::new(self, *key);
        let mut pauses = PAUSES_MS.into_iter();
        let mut was_free = false;
        loop {
            let now = self.clock.now();
            let found = self.store.load(key, now).map_err(store_error)?;
            let (expected, version) = match &found {
                Some(found) => (Expected::Version(found.version), next_version(found.version)),
                None => (Expected::Absent, first_version()?),
            };
            match found.as_ref().map(|found| (reserved::lock(found), found.version)) {
                Some((LockState::Held { mark: holder, .. }, version)) if holder == mark => {
                    return Ok((mark, version, was_free));
                }
                Some((LockState::Held { until, .. }, _)) if until > now => {
                    if begun.elapsed() >= patience {
                        return Err(taken());
                    }
                    let pause = pauses.next().unwrap_or(MAX_PAUSE_MS);
                    runtime::sleep(Duration::from_millis(pause));
                    continue;
                }
                Some((LockState::Free, _)) => was_free = true,
                Some((LockState::Held { .. }, _)) | None => was_free = false,
            }
            let until = later(now, self.settings.lock_lease);
            let held = lock_record(LockState::Held { mark, until }, version, now);
            match self.store.swap(key, expected, &held, now) {
                Ok(Swap::Done) => return Ok((mark, version, was_free)),
                Ok(Swap::Conflict | Swap::Missing) => race.lost()?,
                Err(error) => race.failed(None, error)?,
            }
        }
    }
}

fn lock_record(lock: LockState, version: u64, now: SystemTime) -> Stored {
    let until = match lock {
        LockState::Held { until, .. } => until,
        LockState::Free => now,
    };
    Stored {
        bytes: reserved::encode_lock(lock),
        version,
        deadline: later(until, KEPT),
        last_seen: now,
        evictable: false,
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::SessionConflict, "another request holds the lock of the session")
}
