//! Change of id: the new record is placed as pending, the old one becomes a tombstone that names
//! it (the commit point), the new one is completed. A crash anywhere leaves the old or the new.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::commit::Changes;
use super::super::events::Event;
use super::super::id::{self, SessionId};
use super::super::record::{End, Entry, Record, Tombstone};
use super::super::state::{Base, CookieDue, Fate, Open};
use super::super::store::{Expected, StoreError, StoreKey, Swap};
use super::super::version::next_version;
use super::index;
use super::load::Found;
use super::race::Race;
use super::save::Saved;
use super::{Manager, store_error};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime;

/// A pending record that nobody completes is gone after this: time enough to come back with its id
/// after an answer in doubt. Less than any tombstone is kept, so that it never outlives the proof of
/// its right.
const PENDING: Duration = Duration::from_secs(50);

/// How often the last step is tried. The session is readable without it, and the next reader
/// repeats it.
const COMPLETIONS: usize = 3;

/// Waits between two questions whether the commit point was passed.
const PAUSES_MS: [u64; 6] = [5, 20, 80, 250, 600, 1000];

/// A change of id under way.
struct Change<'a> {
    open: &'a Open,
    changes: Changes<'a>,
    tombstone: Tombstone,
    placed: Arc<Base>,
    /// Some attempt to pass the commit point got no answer, and may come true yet.
    is_in_doubt: bool,
}

/// How the old record met its end.
enum Ended {
    /// By this commit.
    Here,
    /// By another; with what its tombstone leads to.
    Elsewhere(Found),
}

impl Manager {
    /// Stores the changes of `open` under a new id and ends the id of `base`.
    pub(super) fn succeed(&self, base: &Base, open: &mut Open, now: SystemTime) -> Result<Saved> {
        if open.doubt.is_some() {
            // The browser can be told one id more, not two.
            let what = "whether the session's id was changed is not known";
            return Err(Error::new(ErrorKind::StoreUnavailable, what));
        }
        let token = self.token();
        let (placed, end) = self.pending(base, open, token, now)?;
        let displaced = match (&open.login, &placed.record.user) {
            (Some(_), _) => self.enter(&index::Entry::login(&placed, Some(base.key)), now)?,
            (None, Some(_)) => self.enter(&index::Entry::renewal(&placed), now)?,
            (None, None) => Vec::new(),
        };
        let tombstone = Tombstone { at: now, token, end };
        // Before the first attempt, so that a panic within leaves it.
        open.doubt = Some(Arc::clone(&placed));
        let changes = open.changes(token);
        let mut change = Change { open, changes, tombstone, placed, is_in_doubt: false };
        let ended = self.queue.in_turn(&base.key, |turn| {
            self.swap_new(&change.placed, token, now)?;
            let ended = self.replace(base, &mut change, now);
            match &ended {
                Ok(Ended::Here) => drop(turn.left()),
                // It will never be readable: no attempt at the commit point was carried out or will
                // be, and nobody has heard of its id.
                Err(_) if !change.is_in_doubt => drop(self.store.remove(&change.placed.key)),
                Ok(Ended::Elsewhere(_)) | Err(_) => {}
            }
            ended
        });
        let Change { placed, is_in_doubt, .. } = change;
        if ended.is_ok() || !is_in_doubt {
            open.doubt = None;
        }
        match ended {
            Ok(Ended::Here) => {
                let (fate, login) = (open.fate, open.login.take());
                // First of all, so that the cookie goes out even if one of the next steps panics:
                // the old session has ended, this is the only one the client can have.
                open.settle(Some(Arc::clone(&placed)));
                open.cookie = CookieDue::Set;
                open.is_renewed = false;
                open.base = Some(self.complete(placed, now));
                let event = if fate == Fate::Rotate { Event::Rotated } else { Event::Regenerated };
                self.events.note(event, Some(&base.key));
                if self.settle(&base.key).is_err() {
                    self.events.note(Event::UnknownOutcome, Some(&base.key));
                }
                self.displace(login.as_ref(), &displaced, now);
                Ok(Saved::Done)
            }
            Ok(Ended::Elsewhere(found)) => {
                // It was never readable. If this fails its deadline removes it soon.
                self.store.remove(&placed.key).ok();
                self.leave_as(&placed, now);
                let Found::Live(winner) = found else {
                    return Ok(self.gone(open, Some(base)));
                };
                // Another request rotated the id: go on from its new one, which is the renewal
                // if no more was asked for.
                if open.fate == Fate::Rotate {
                    open.fate = Fate::Keep;
                }
                open.cookie = CookieDue::Set;
                open.base = Some(winner);
                open.reapply()?;
                self.save(open, None, false)
            }
            Err(error) => {
                // A session that may live stays listed.
                if !is_in_doubt {
                    self.leave_as(&placed, now);
                }
                Err(error)
            }
        }
    }

    /// The new record, which nobody can read before the old one is a tombstone with this end.
    fn pending(
        &self,
        base: &Base,
        open: &Open,
        token: u64,
        now: SystemTime,
    ) -> Result<(Arc<Base>, End)> {
        let (id, end) = self.new_id(base, open.fate)?;
        let (data, max_bytes) = (open.data().clone(), self.settings.max_session_bytes);
        let mut record = open.changes(token).merge_applied(&base.record, data, max_bytes)?;
        record.pending = Some(base.key);
        let placed = Arc::new(Base {
            key: self.keyring.session(&id),
            id,
            record,
            // Versions go on across a change of id: what watches the session must not see an older
            // state after a newer one. The key is fresh, so none can be repeated for it.
            version: next_version(base.version),
            deadline: now + PENDING.min(self.settings.tombstone),
            last_seen: now,
            evictable: false,
            is_new: false,
        });
        Ok((placed, end))
    }

    fn new_id(&self, base: &Base, fate: Fate) -> Result<(SessionId, End)> {
        if fate == Fate::Rotate {
            let nonce = id::random()?;
            let id = base.id.successor(&nonce)?;
            let by = self.keyring.session(&id);
            return Ok((id, End::Rotated { by, nonce }));
        }
        let id = SessionId::from_bytes(id::random()?);
        let by = self.keyring.session(&id);
        Ok((id, End::Replaced { by }))
    }

    /// The commit point: the old record becomes the tombstone. When another writer changed the old
    /// record first, its change is brought into the pending one before the next attempt.
    fn replace(&self, base: &Base, change: &mut Change<'_>, now: SystemTime) -> Result<Ended> {
        let mut race = Race::new(self, base.key);
        let mut version = base.version;
        loop {
            let stored = self.buried(&change.tombstone, version, now);
            let failure = match self.store.swap(&base.key, Expected::Version(version), &stored, now)
            {
                Ok(Swap::Done) => return Ok(Ended::Here),
                Ok(Swap::Missing) => return Ok(Ended::Elsewhere(Found::Absent)),
                Ok(Swap::Conflict) => race.lost().err(),
                Err(error) => {
                    let failure = race.failed(None, error).err();
                    change.is_in_doubt = race.is_in_doubt();
                    match failure {
                        // No attempt can have ended the old session: there is nothing to look for.
                        Some(failure) if !race.is_in_doubt() => return Err(failure),
                        failure => failure,
                    }
                }
            };
            // Before anything else, giving up included: an attempt that got through unheard has
            // ended the old session, and only the new cookie is worth anything then.
            if self.is_buried_by(change.tombstone.token, &base.key, now)? {
                return Ok(Ended::Here);
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            match self.find(&base.id, now)? {
                Found::Live(found) if found.key == base.key => {
                    if found.version != version {
                        version = found.version;
                        self.check_lease(change.open)?;
                        self.bring_in(&found, change, now)?;
                    }
                }
                other => return Ok(Ended::Elsewhere(other)),
            }
        }
    }

    /// Whether the tombstone with this token is under `key`. A store that does not say is asked
    /// again for about two seconds: without its answer nobody knows which session the client has.
    fn is_buried_by(&self, token: u64, key: &StoreKey, now: SystemTime) -> Result<bool> {
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let failure = match self.store.load(key, now) {
                Ok(found) => {
                    let entry = found.and_then(|found| self.read(key, found, now));
                    return Ok(matches!(entry, Some(Entry::Tombstone(it)) if it.token == token));
                }
                Err(error) => store_error(error),
            };
            let Some(pause) = pauses.next() else { return Err(failure) };
            runtime::sleep(Duration::from_millis(pause));
        }
    }

    fn bring_in(&self, current: &Base, change: &mut Change<'_>, now: SystemTime) -> Result<()> {
        let merged = change.changes.merge(&current.record, self.settings.max_session_bytes)?;
        let mut next = Base::clone(&change.placed);
        next.record = Record { pending: change.placed.record.pending, ..merged };
        next.version = next_version(next.version.max(current.version));
        let expected = Expected::Version(change.placed.version);
        match self.store.swap(&next.key, expected, &next.stored(), now) {
            Ok(Swap::Done) => {
                change.placed = Arc::new(next);
                Ok(())
            }
            Ok(Swap::Conflict | Swap::Missing) => {
                Err(store_error(StoreError::unavailable("the pending session was lost")))
            }
            // Not retried: the commit point is not passed, the old session is as it was.
            Err(error) => Err(store_error(error)),
        }
    }

    fn complete(&self, placed: Arc<Base>, now: SystemTime) -> Arc<Base> {
        if placed.record.pending.is_none() {
            return placed;
        }
        let completed = placed.completed(now);
        let mut expected = Expected::Version(placed.version);
        for _ in 0..COMPLETIONS {
            match self.store.swap(&placed.key, expected, &completed.stored(), now) {
                Ok(Swap::Done) => return completed,
                // Somebody who followed a rotation completed it, or an earlier try of ours did.
                Ok(Swap::Conflict) => break,
                // The commit took longer than a pending record is kept. The id was minted here, so
                // this commit may create it; had anybody ended it, its tombstone would be there.
                Ok(Swap::Missing) => expected = Expected::Absent,
                Err(StoreError::Unavailable(_)) => {
                    self.events.note(Event::UnknownOutcome, Some(&placed.key));
                }
                Err(_) => {}
            }
        }
        match self.find(&placed.id, now) {
            Ok(Found::Live(found)) => found,
            _ => placed,
        }
    }
}
