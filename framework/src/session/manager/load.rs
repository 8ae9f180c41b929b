//! From the cookies of a request to the session it works on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::super::cookie::Presented;
use super::super::events::Event;
use super::super::id::SessionId;
use super::super::record::{End, Entry, Record, Tombstone, Undecodable};
use super::super::state::{Base, CookieDue, Gone, Open, State};
use super::super::store::{Expected, StoreKey, Stored, Swap};
use super::{Manager, store_error};
use crate::error::Result;

/// Rotations followed from one id. An application may rotate at every request, and a long one sees
/// all that happen within the grace time; each costs a lookup, so there is an end.
pub(super) const MAX_HOPS: usize = 256;

/// What an id leads to.
pub(super) enum Found {
    Live(Arc<Base>),
    /// A tombstone that leads nowhere (any more).
    Dead(Tombstone),
    Absent,
}

impl Manager {
    /// The state with its session loaded; loads it at the first call.
    pub(in super::super) fn loaded<'a>(&self, state: &'a mut State) -> Result<&'a mut Open> {
        match &mut state.open {
            Some(open) => Ok(open),
            open @ None => {
                let mut loaded = Box::<Open>::default();
                self.load(&state.presented, &mut loaded)?;
                // After the response head nothing would give the lock back.
                if self.settings.locks_requests && !state.head_sent {
                    self.lock(&mut loaded)?;
                }
                Ok(open.insert(loaded))
            }
        }
    }

    /// The store's present state under this session, with the request's own changes on top.
    pub(in super::super) fn reload(&self, open: &mut Open) -> Result<()> {
        let Some(base) = open.visible_base() else {
            return Ok(());
        };
        self.store.forget(&base.key);
        let now = self.clock.now();
        match self.find(&base.id, now)? {
            Found::Live(found) => {
                open.base = Some(found);
                open.looked_up = Some(now);
            }
            Found::Dead(_) | Found::Absent => open.lose(),
        }
        open.reapply()
    }

    /// [`reload`](Self::reload) for a socket, which may have slept through the grace time of a
    /// rotation: whoever watches knows what led from id to id.
    pub(in super::super) fn reload_present(&self, state: &mut State) -> Result<()> {
        let Some(open) = &mut state.open else { return Ok(()) };
        if let (Some(watching), Some(base)) = (&open.watching, &mut open.base)
            && let Some(id) = watching.present_id(&base.id, &base.key)?
        {
            let base = Arc::make_mut(base);
            base.key = self.keyring.session(&id);
            base.id = id;
        }
        self.reload(open)
    }

    fn load(&self, presented: &Presented, open: &mut Open) -> Result<()> {
        let now = self.clock.now();
        open.looked_up = Some(now);
        let (ids, malformed) = presented.parse();
        (0..malformed).for_each(|_| self.events.note(Event::UnknownId, None));
        for id in ids {
            match self.find(&id, now)? {
                Found::Live(base) if open.base.is_none() => {
                    // Whoever came by a rotated id learns the new one.
                    if base.id != id {
                        open.cookie = CookieDue::Set;
                        open.is_renewed = true;
                    }
                    open.base = Some(base);
                }
                Found::Live(base) => {
                    // Which of the two is the visitor's cannot be told; one may be planted.
                    self.events.note(Event::Ambiguous, Some(&base.key));
                    *open = Open::default();
                    return Ok(());
                }
                // The browser holds, or soon will hold, the cookie of the successor.
                Found::Dead(tombstone) => {
                    open.gone = tombstone.successor().map_or(open.gone, |by| Gone::Before(*by));
                    open.ended = Some(self.keyring.session(&id));
                }
                Found::Absent => {
                    self.events.note(Event::UnknownId, Some(&self.keyring.session(&id)));
                }
            }
        }
        if open.base.is_none() {
            self.load_successor(presented, open, now)?;
        }
        if open.base.is_some() {
            open.gone = Gone::No;
        }
        Ok(())
    }

    /// The visitor's session may live under the id that an answer in doubt gave out beside the old
    /// one. It is asked for only where the old one opens nothing, so it never hides a live session.
    fn load_successor(
        &self,
        presented: &Presented,
        open: &mut Open,
        now: SystemTime,
    ) -> Result<()> {
        let Some(id) = presented.successor() else { return Ok(()) };
        match self.find(&id, now)? {
            Found::Live(base) => {
                open.cookie = CookieDue::Set;
                open.is_renewed = true;
                open.base = Some(base);
            }
            // As for an id of the session's own cookie: another answer brings what replaced it.
            Found::Dead(tombstone) => {
                open.gone = tombstone.successor().map_or(open.gone, |by| Gone::Before(*by));
                open.ended = Some(self.keyring.session(&id));
            }
            Found::Absent => {
                self.events.note(Event::UnknownId, Some(&self.keyring.session(&id)));
            }
        }
        Ok(())
    }

    /// Whether there is a session under `key`, or under the key that took its place. An end that is
    /// found instead is settled: whoever made it may have been told that nobody knows.
    pub(in super::super) fn lives(&self, mut key: StoreKey) -> Result<bool> {
        let now = self.clock.now();
        for _ in 0..MAX_HOPS {
            let found = self.store.load(&key, now).map_err(store_error)?;
            match found.and_then(|found| self.read(&key, found, now)) {
                Some(Entry::Session(record)) => {
                    let is_revoked = self.is_revoked(&record, now)?;
                    if is_revoked {
                        self.settle_epochs(&record)?;
                    }
                    return Ok(!is_revoked);
                }
                Some(Entry::Tombstone(Tombstone { end: End::Ended, .. })) => {
                    return self.settle(&key).map(|()| false);
                }
                None => return Ok(false),
                Some(Entry::Tombstone(Tombstone {
                    end: End::Replaced { by } | End::Rotated { by, .. },
                    ..
                })) => key = by,
            }
        }
        Ok(true)
    }

    /// Follows `id` to a live session that nobody revoked.
    pub(super) fn find(&self, id: &SessionId, now: SystemTime) -> Result<Found> {
        match self.find_unchecked(id, now)? {
            Found::Live(base) if self.is_revoked(&base.record, now)? => {
                self.events.note(Event::Revoked, Some(&base.key));
                Ok(Found::Dead(Tombstone { at: now, token: 0, end: End::Ended }))
            }
            found => Ok(found),
        }
    }

    /// Follows `id` to a live session, over rotations within their grace time. Epochs are not
    /// asked.
    pub(super) fn find_unchecked(&self, id: &SessionId, now: SystemTime) -> Result<Found> {
        let mut id = id.clone();
        for _ in 0..MAX_HOPS {
            let key = self.keyring.session(&id);
            let Some(stored) = self.store.load(&key, now).map_err(store_error)? else {
                return Ok(Found::Absent);
            };
            let times = Times::of(&stored);
            let tombstone = match self.read(&key, stored, now) {
                None => return Ok(Found::Absent),
                Some(Entry::Session(record)) => {
                    return self.readable(times.base(id, key, record), now);
                }
                Some(Entry::Tombstone(tombstone)) => tombstone,
            };
            match &tombstone.end {
                End::Rotated { by, nonce } if self.is_in_grace(&tombstone, now) => {
                    id = id.successor(nonce)?;
                    if self.keyring.session(&id) != *by {
                        return Ok(Found::Dead(tombstone));
                    }
                }
                End::Rotated { .. } => {
                    self.events.note(Event::LateReuse, Some(&key));
                    return Ok(Found::Dead(tombstone));
                }
                End::Ended | End::Replaced { .. } => return Ok(Found::Dead(tombstone)),
            }
        }
        Ok(Found::Absent)
    }

    /// Decodes what a store gave, and enforces its end once more.
    #[inline]
    pub(super) fn read(&self, key: &StoreKey, stored: Stored, now: SystemTime) -> Option<Entry> {
        let deadline = stored.deadline;
        let is_expired = |entry: &Entry| {
            deadline <= now || matches!(entry, Entry::Session(record) if record.absolute <= now)
        };
        match Entry::decode(stored.bytes) {
            Ok(entry) if is_expired(&entry) => {
                self.events.note(Event::Expired, Some(key));
                None
            }
            Ok(entry) => Some(entry),
            Err(why) => {
                self.tell_undecodable(key, why);
                None
            }
        }
    }

    /// A pending record is readable only if the commit point of its change of id was passed: its
    /// old key holds a tombstone that names it. Such a record is then completed here.
    fn readable(&self, base: Arc<Base>, now: SystemTime) -> Result<Found> {
        let Some(old_key) = base.record.pending else { return Ok(Found::Live(base)) };
        let old = self.store.load(&old_key, now).map_err(store_error)?;
        match old.and_then(|old| self.read(&old_key, old, now)) {
            Some(Entry::Tombstone(old)) if old.successor() == Some(&base.key) => {}
            _ => return Ok(Found::Absent),
        }
        let completed = base.completed(now);
        let swap = Expected::Version(base.version);
        Ok(Found::Live(match self.store.swap(&base.key, swap, &completed.stored(), now) {
            Ok(Swap::Done) => completed,
            // Somebody else did it, or the next reader will.
            Ok(Swap::Conflict | Swap::Missing) | Err(_) => base,
        }))
    }

    fn is_in_grace(&self, tombstone: &Tombstone, now: SystemTime) -> bool {
        now.duration_since(tombstone.at).is_ok_and(|since| since < self.settings.rotate_grace)
            || now < tombstone.at
    }

    fn tell_undecodable(&self, key: &StoreKey, why: Undecodable) {
        self.events.note(Event::Undecodable, Some(key));
        if !self.warned_undecodable.swap(true, Ordering::Relaxed) {
            let why = match why {
                Undecodable::Format(format) => format!("its format is {format}"),
                Undecodable::Damaged => "it is damaged".to_owned(),
            };
            log::warn!(
                target: "maypole::session", session = key.short().as_str();
                "a session record cannot be read: {why}; the session is empty (said once)"
            );
        }
    }
}

/// What a store keeps beside the bytes, and a request knows of them.
pub(super) struct Times {
    pub(super) version: u64,
    pub(super) deadline: SystemTime,
    pub(super) last_seen: SystemTime,
    pub(super) evictable: bool,
    pub(super) is_new: bool,
}

impl Times {
    pub(super) fn of(stored: &Stored) -> Self {
        let Stored { version, deadline, last_seen, evictable, .. } = *stored;
        Self { version, deadline, last_seen, evictable, is_new: false }
    }

    /// The bytes and times to swap in.
    pub(super) fn stored(&self, record: &Record) -> Stored {
        let Self { version, deadline, last_seen, evictable, .. } = *self;
        Stored { bytes: record.encode(), version, deadline, last_seen, evictable }
    }

    #[inline]
    pub(super) fn base(self, id: SessionId, key: StoreKey, record: Record) -> Arc<Base> {
        let Self { version, deadline, last_seen, evictable, is_new } = self;
        Arc::new(Base { id, key, record, version, deadline, last_seen, evictable, is_new })
    }
}
