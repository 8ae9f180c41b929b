//! Commits of one session queue up here, within this process, so that a hot session costs no
//! retry storm. Between processes the store's compare-and-swap decides.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::store::{StoreKey, Stored};
use crate::runtime::sync::{Semaphore, ShortLock};

const SHARDS: usize = 64;

/// The sessions that are being committed just now. It never holds more than that.
#[derive(Debug)]
pub(crate) struct Queue {
    shards: Box<[Shard]>,
}

/// The sessions of one shard, found by a glance along a short list.
type Shard = ShortLock<Vec<Place>>;

/// A session that somebody commits.
struct Place {
    key: StoreKey,
    /// Made by the first who has to wait: nearly every commit finds its session free.
    line: Option<Arc<Line>>,
    waiting: usize,
}

/// Those who wait for their turn at one session.
struct Line {
    turn: Semaphore,
    left: ShortLock<Left>,
}

/// What the commit before left for the next in line: the record it stored, so that the next need
/// not find out by a failing swap and a load.
pub(crate) type Left = Option<Stored>;

impl Queue {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| ShortLock::new(Vec::new())).collect() }
    }

    /// Waits until no other commit of `key` runs in this process, then runs `commit`.
    ///
    /// `commit` may yield, and must not enter the queue for another key: the order of two keys in
    /// two requests could differ.
    pub(crate) fn in_turn<T>(&self, key: &StoreKey, commit: impl FnOnce(&mut Turn<'_>) -> T) -> T {
        let shard = &self.shards[usize::from(key.as_bytes()[0]) % SHARDS];
        let line = shard.with(|places| enter(places, key));
        #[cfg(test)]
        crate::runtime::checked::point();
        let left = line.and_then(|line| line.wait());
        commit(&mut Turn { shard, key, left })
    }
}

/// Takes a free session, or a place in line for it.
fn enter(places: &mut Vec<Place>, key: &StoreKey) -> Option<Arc<Line>> {
    let Some(place) = places.iter_mut().find(|place| place.key == *key) else {
        places.push(Place { key: *key, line: None, waiting: 0 });
        return None;
    };
    place.waiting += 1;
    Some(Arc::clone(place.line.get_or_insert_with(Line::new)))
}

/// Leaves a session; gives the line whose next has the turn now.
fn leave(places: &mut Vec<Place>, key: &StoreKey) -> Option<Arc<Line>> {
    let at = places.iter().position(|place| place.key == *key)?;
    let place = &mut places[at];
    if place.waiting == 0 {
        places.swap_remove(at);
        return None;
    }
    place.waiting -= 1;
    place.line.clone()
}

impl Line {
    fn new() -> Arc<Self> {
        Arc::new(Self { turn: Semaphore::new(0), left: ShortLock::new(None) })
    }

    fn wait(&self) -> Left {
        self.turn.take();
        self.left.with(Option::take)
    }

    /// Never waits.
    fn call(&self, left: Left) {
        self.left.with(|place| *place = left);
        self.turn.give_back();
    }
}

/// The right to commit one session. Dropping it, which never waits, calls the next.
pub(crate) struct Turn<'a> {
    shard: &'a Shard,
    key: &'a StoreKey,
    left: Left,
}

impl Turn<'_> {
    /// What the commit before stored.
    pub(crate) fn left(&mut self) -> Left {
        self.left.take()
    }

    /// Leaves `stored` for the next, if somebody waits.
    pub(crate) fn leave(&mut self, stored: Stored) {
        self.left = Some(stored);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.shard.with(|places| leave(places, self.key)) {
            line.call(self.left.take());
        }
    }
}
