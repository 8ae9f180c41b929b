//! Who watches which session on this node, and how they hear of changes and of its end.
//!
//! News come on three ways. Commits of this process pass [`Telling`], the store as the manager sees
//! it, which tells what it has stored. Of commits elsewhere the store gives hints (a key, a
//! version), or, if it cannot, the records are looked at again every `poll`. A hint loads the
//! record once for the whole node, and what it changed is found by comparing it with what was seen
//! last. All else that may go wrong (a lost hint, a session that expires without anybody touching
//! it) is found by a ticker, which runs only while something is watched.
//!
//! Locks are taken in this order: table, one session, a follower's own. None is held across a wait.

mod change;
mod digest;
mod look;
mod sight;
mod table;
mod telling;
mod verbs;
mod watched;
mod watching;

use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

pub(crate) use change::Follower;
pub use change::{Change, SessionEnd};
pub(super) use telling::Telling;
pub(super) use verbs::watch_for_socket;
pub(crate) use watching::Watching;

use look::Due;
use sight::{Found, Known, Sight};
use table::Table;
use watched::{Then, Watched};
use watching::Ear;

use super::id::Keyring;
use super::state::Base;
use super::store::{SessionStore, StoreKey, Stored};
use crate::clock::Clock;
use crate::runtime::spawn;
use crate::runtime::sync::ShortLock;
use crate::runtime::with_context;

/// With more followers than this, a commit does not tell them itself but has it done beside it.
const MAX_TOLD_INLINE: usize = 32;

/// All watched sessions of one manager.
pub(crate) struct Watchers {
    /// Looked at before anything else: nobody watches, nothing to do.
    count: AtomicUsize,
    table: ShortLock<Table>,
    due: ShortLock<Due>,
    is_looking: AtomicBool,
    is_ticking: AtomicBool,
    round: AtomicU64,
    hasher: RandomState,
    store: Arc<dyn SessionStore>,
    keyring: Keyring,
    clock: Clock,
    /// Rounds of the ticker between two looks at everything; `None` if the store tells of changes.
    poll_rounds: Option<u64>,
    tick: Duration,
}

impl Watchers {
    /// Begins to listen to `store`. `poll` is how often watched sessions are looked at if the store
    /// does not tell what other processes change; `None` for never.
    pub(super) fn new(
        store: Arc<dyn SessionStore>,
        keyring: Keyring,
        clock: Clock,
        poll: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|watchers: &Weak<Self>| {
            let poll = poll.filter(|_| !store.watch(Arc::new(Ear(Weak::clone(watchers)))));
            let (tick, poll_rounds) = look::rounds(poll);
            Self {
                count: AtomicUsize::new(0),
                table: ShortLock::default(),
                due: ShortLock::default(),
                is_looking: AtomicBool::new(false),
                is_ticking: AtomicBool::new(false),
                round: AtomicU64::new(0),
                hasher: RandomState::new(),
                store,
                keyring,
                clock,
                poll_rounds,
                tick,
            }
        })
    }

    /// How many sessions are watched.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// From now on tells `follower` of everything that comes after `base`.
    pub(super) fn join(self: &Arc<Self>, base: &Base, follower: &Arc<dyn Follower>) -> Watching {
        let known = Known {
            key: base.key,
            version: base.version,
            deadline: base.deadline,
            record: &base.record,
            epoch_key: base.record.user.as_deref().map(|user| self.keyring.user_epoch(user)),
        };
        let round = self.round.load(Ordering::Relaxed);
        let (watched, id, then) = self.table.with(|table| {
            let id = table.fresh_id();
            let found = table.under(&base.key).find_map(|watched| {
                let then = watched.seen.with(|seen| self.join_found(seen, id, follower, &known))?;
                Some((Arc::clone(watched), then))
            });
            let (watched, then) = found.unwrap_or_else(|| {
                let watched = Arc::new(Watched::new(table.fresh_id(), &known, round));
                watched.seen.with(|seen| {
                    seen.add(id, Arc::clone(follower), &known, &self.hasher);
                });
                // The request may have read its state long ago.
                (watched, Then { index: true, look: true, look_later: false })
            });
            self.index_in(table, &watched);
            (watched, id, then)
        });
        self.start_ticker();
        self.go_on(&watched, Then { index: false, ..then });
        watched.deliver();
        Watching { watchers: Arc::clone(self), watched, id }
    }

    /// Joins a session that is watched already; `None` if this is another one, or has just ended.
    fn join_found(
        &self,
        seen: &mut watched::Seen,
        id: u64,
        follower: &Arc<dyn Follower>,
        known: &Known<'_>,
    ) -> Option<Then> {
        if seen.key != known.key || seen.has_ended {
            return None;
        }
        let (version, deadline) = (known.version, known.deadline);
        let sight = Sight::Session { version, deadline, record: known.record.clone() };
        let found = Found { key: &known.key, sight, epoch_key: known.epoch_key, epochs: None };
        let news = seen.see(found, &self.hasher, self.clock.now());
        let then = seen.add(id, Arc::clone(follower), known, &self.hasher);
        Some(Then { look: news.look || then.look, ..news })
    }

    /// Takes in that this process stored `stored` under `key`.
    pub(super) fn told(self: &Arc<Self>, key: &StoreKey, stored: &Stored) {
        if self.count() == 0 {
            return;
        }
        for watched in self.under(key) {
            if watched.seen.with(|seen| seen.key != *key) {
                // An epoch was raised, or another rotation was faster.
                self.look_at(watched);
                continue;
            }
            let then = self.see(&watched, key, Some(stored.clone()), None);
            self.go_on(&watched, then);
            Self::deliver(&watched);
        }
    }

    /// Something may have happened to `key`, and what is not known.
    pub(super) fn doubt(self: &Arc<Self>, key: &StoreKey) {
        if self.count() > 0 {
            self.under(key).into_iter().for_each(|watched| self.look_at(watched));
        }
    }

    fn under(&self, key: &StoreKey) -> Vec<Arc<Watched>> {
        self.table.with(|table| table.under(key).cloned().collect())
    }

    fn see(
        &self,
        watched: &Watched,
        key: &StoreKey,
        found: Option<Stored>,
        epochs: Option<super::record::Epochs>,
    ) -> Then {
        let now = self.clock.now();
        let sight = Sight::of(found, now);
        let user = match &sight {
            Sight::Session { record, .. } => record.user.as_deref(),
            Sight::Rotated(..) | Sight::Ended(_) | Sight::Missing => None,
        };
        let epoch_key = user.map(|user| self.keyring.user_epoch(user));
        let round = self.round.load(Ordering::Relaxed);
        watched.seen.with(|seen| {
            seen.round = round;
            seen.see(Found { key, sight, epoch_key, epochs }, &self.hasher, now)
        })
    }

    /// Does what has to be done after something was seen, but telling.
    fn go_on(self: &Arc<Self>, watched: &Arc<Watched>, then: Then) {
        if then.index {
            self.table.with(|table| self.index_in(table, watched));
        }
        if then.look {
            self.look_at(Arc::clone(watched));
        }
        if then.look_later {
            self.look_later(Arc::clone(watched));
        }
    }

    fn index_in(&self, table: &mut Table, watched: &Arc<Watched>) {
        let everybody = self.keyring.everybodys_epoch();
        watched.seen.with(|seen| table.index(watched, seen, everybody, &*self.store));
        self.count.store(table.len(), Ordering::SeqCst);
    }

    /// Tells the followers; a crowd of them not on the committing coroutine, whose client waits.
    fn deliver(watched: &Arc<Watched>) {
        let is_crowd = watched.seen.with(|seen| seen.follower_count() > MAX_TOLD_INLINE);
        if is_crowd {
            let crowd = Arc::clone(watched);
            if with_context(None, || spawn(move || crowd.deliver())).is_ok() {
                return;
            }
        }
        watched.deliver();
    }

    fn leave(&self, watched: &Arc<Watched>, id: u64) {
        self.table.with(|table| {
            watched.seen.with(|seen| seen.remove(id));
            self.index_in(table, watched);
        });
    }

    /// Followers of all sessions, and keys they are watched under; for tests of leaks.
    #[cfg(test)]
    pub(in super::super) fn sizes(&self) -> (usize, usize, usize) {
        self.table.with(|table| {
            let followers = table.all().map(|one| one.seen.with(|seen| seen.follower_count()));
            (table.len(), followers.sum(), table.key_count())
        })
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchers({})", self.count())
    }
}
