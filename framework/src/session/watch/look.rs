//! Looking at watched sessions: which of them, and when. One coroutine looks for the whole node, in
//! batches, while something is due; it is started when that begins.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::record::Epochs;
use super::super::reserved;
use super::super::store::{StoreKey, Stored};
use super::Watchers;
use super::watched::{SECOND_LOOK, Watched};
use crate::runtime::{sleep, spawn, with_context};

/// How often the ticker looks for sessions whose time is over: a socket lives on after its session
/// at most this much longer.
const TICK: Duration = Duration::from_secs(1);

/// Every watched session is looked at after so long, on every store: should a hint ever be lost,
/// or a record be deleted behind our back, that is found.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Records loaded at a time.
const BATCH: usize = 128;

/// How long a look waits for the next try while the store gives no answer.
const RETRY: Duration = Duration::from_millis(500);

/// What is to be looked at.
#[derive(Default)]
pub(super) struct Due {
    /// Keys that were hinted at, each with its highest version.
    hints: HashMap<StoreKey, u64>,
    has_missed: bool,
    watched: VecDeque<Arc<Watched>>,
}

/// The interval of the ticker, and how many of its rounds make a poll.
pub(super) fn rounds(poll: Option<Duration>) -> (Duration, Option<u64>) {
    let Some(poll) = poll else { return (TICK, None) };
    let tick = TICK.min(poll).max(Duration::from_millis(10));
    let rounds = poll.as_millis().div_ceil(tick.as_millis());
    (tick, Some(u64::try_from(rounds).unwrap_or(u64::MAX).max(1)))
}

impl Watchers {
    pub(super) fn hinted(self: &Arc<Self>, key: &StoreKey, version: u64) {
        self.due.with(|due| {
            let highest = due.hints.entry(*key).or_insert(version);
            *highest = version.max(*highest);
        });
        self.start_looking();
    }

    pub(super) fn missed(self: &Arc<Self>) {
        self.due.with(|due| due.has_missed = true);
        self.start_looking();
    }

    pub(super) fn look_at(self: &Arc<Self>, watched: Arc<Watched>) {
        if watched.falls_due() {
            self.due.with(|due| due.watched.push_back(watched));
        }
        self.start_looking();
    }

    pub(super) fn look_later(self: &Arc<Self>, watched: Arc<Watched>) {
        let watchers = Arc::downgrade(self);
        let look = move || {
            sleep(SECOND_LOOK);
            if let Some(watchers) = watchers.upgrade() {
                watchers.look_at(watched);
            }
        };
        // If there is no coroutine to be had, the ticker looks.
        with_context(None, || spawn(look)).ok();
    }

    fn start_looking(self: &Arc<Self>) {
        if self.is_looking.swap(true, Ordering::SeqCst) {
            return;
        }
        let looking = Looking { watchers: Arc::clone(self), is_mine: true };
        // Not started, it is dropped, and the ticker tries again.
        with_context(None, || spawn(move || looking.run())).ok();
    }

    /// What is to be looked at now, at most [`BATCH`] sessions.
    fn next_batch(&self) -> Vec<Arc<Watched>> {
        let (hints, has_missed) = self
            .due
            .with(|due| (std::mem::take(&mut due.hints), std::mem::take(&mut due.has_missed)));
        if has_missed || !hints.is_empty() {
            let hinted: Vec<_> = self.table.with(|table| {
                let hints = hints.iter().filter(|_| !has_missed);
                let news = |(key, version): (&StoreKey, &u64), watched: &Arc<Watched>| {
                    watched.seen.with(|seen| seen.key != *key || !seen.knows(*version))
                };
                let hinted = hints.flat_map(|hint| {
                    table.under(hint.0).filter(move |watched| news(hint, watched))
                });
                hinted.chain(table.all().filter(|_| has_missed)).cloned().collect()
            });
            self.fall_due(hinted);
        }
        self.due.with(|due| due.watched.drain(..due.watched.len().min(BATCH)).collect())
    }

    fn fall_due(&self, watched: Vec<Arc<Watched>>) {
        let fresh: Vec<_> = watched.into_iter().filter(|watched| watched.falls_due()).collect();
        self.due.with(|due| due.watched.extend(fresh));
    }

    fn has_due(&self) -> bool {
        self.due.with(|due| due.has_missed || !due.hints.is_empty() || !due.watched.is_empty())
    }

    /// Loads the batch and takes in what is found; false if the store gives no answer.
    fn look_at_batch(self: &Arc<Self>, batch: &mut Vec<Arc<Watched>>) -> bool {
        batch.retain(|watched| watched.seen.with(|seen| seen.follower_count() > 0));
        if batch.is_empty() {
            return true;
        }
        let places: Vec<(StoreKey, Option<StoreKey>)> = batch
            .iter()
            .map(|watched| {
                watched.begin_look();
                watched.seen.with(|seen| (seen.key, seen.epoch_key))
            })
            .collect();
        let mut keys: Vec<StoreKey> =
            places.iter().flat_map(|(key, epoch)| [Some(*key), *epoch]).flatten().collect();
        if places.iter().any(|(_, epoch)| epoch.is_some()) {
            keys.push(self.keyring.everybodys_epoch());
        }
        keys.sort_unstable();
        keys.dedup();
        let Ok(found) = self.store.load_many(&keys, self.clock.now()) else { return false };
        if found.len() != keys.len() {
            return false;
        }
        let found: HashMap<StoreKey, Option<Stored>> = keys.into_iter().zip(found).collect();
        let stored = |key: &StoreKey| found.get(key).and_then(Option::as_ref);
        let epoch = |key: &StoreKey| stored(key).map_or(0, reserved::epoch);
        for (watched, (key, epoch_key)) in batch.iter().zip(places) {
            let epochs = epoch_key.map(|user| Epochs {
                user: epoch(&user),
                everybody: epoch(&self.keyring.everybodys_epoch()),
            });
            let then = self.see(watched, &key, stored(&key).cloned(), epochs);
            self.go_on(watched, then);
            watched.deliver();
        }
        true
    }

    /// One round of the ticker; false when nobody watches any more.
    pub(in super::super) fn tick(self: &Arc<Self>) -> bool {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        let is_poll = self.poll_rounds.is_some_and(|rounds| round.is_multiple_of(rounds));
        let tick_ms = self.tick.as_millis().max(1);
        let look_rounds = u64::try_from(LOOK_EVERY.as_millis() / tick_ms).unwrap_or(u64::MAX);
        let now = self.clock.now();
        let due: Vec<_> = self.table.with(|table| {
            let is_due = |watched: &&Arc<Watched>| {
                is_poll
                    || watched.seen.with(|seen| {
                        let is_young = seen.grows_up() && self.poll_rounds.is_none();
                        is_young
                            || seen.is_doubtful(now)
                            || round.saturating_sub(seen.round) >= look_rounds
                    })
            };
            table.all().filter(is_due).cloned().collect()
        });
        self.fall_due(due);
        if self.has_due() {
            self.start_looking();
        }
        !self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.table.with(|table| table.len() == 0)
    }

    /// Whether nobody looks at anything, and nothing is due.
    #[cfg(test)]
    pub(in super::super) fn is_quiet(&self) -> bool {
        !self.is_looking.load(Ordering::SeqCst) && !self.has_due()
    }

    pub(super) fn start_ticker(self: &Arc<Self>) {
        if self.is_ticking.swap(true, Ordering::SeqCst) {
            return;
        }
        let (watchers, tick) = (Arc::downgrade(self), self.tick);
        let run = move || {
            loop {
                sleep(tick);
                let Some(watchers) = watchers.upgrade() else { return };
                if watchers.tick() {
                    continue;
                }
                watchers.is_ticking.store(false, Ordering::SeqCst);
                // Whoever joined in between found it ticking.
                if watchers.is_idle() || watchers.is_ticking.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        };
        if with_context(None, || spawn(run)).is_err() {
            self.is_ticking.store(false, Ordering::SeqCst);
        }
    }
}

/// The right to look: one coroutine has it. Dropping it, also by a panic of the store, lets the
/// next one look.
struct Looking {
    watchers: Arc<Watchers>,
    is_mine: bool,
}

impl Looking {
    fn run(mut self) {
        loop {
            let mut batch = self.watchers.next_batch();
            if batch.is_empty() {
                self.watchers.is_looking.store(false, Ordering::SeqCst);
                // What fell due in between found somebody looking.
                self.is_mine = self.watchers.has_due()
                    && !self.watchers.is_looking.swap(true, Ordering::SeqCst);
                if !self.is_mine {
                    return;
                }
            } else if !self.watchers.look_at_batch(&mut batch) {
                self.watchers.fall_due(batch);
                sleep(RETRY);
            }
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        if self.is_mine {
            self.watchers.is_looking.store(false, Ordering::SeqCst);
        }
    }
}
