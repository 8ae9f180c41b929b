//! How many sessions there may be, and who makes room for others.
//!
//! Only an anonymous session's first save is counted out: whoever logs in, changes the id or needs a
//! lock has a session already.

use std::cmp::Reverse;
use std::time::{Duration, Instant, SystemTime};

use redis::cmd;

use super::RedisStore;
use super::answers::{bytes, failed, number};
use super::header::{self, HEADER_BYTES};
use super::news::News;
use super::scripts::Wanted;
use super::start::used_of;
use super::walk::Walk;
use crate::runtime;
use crate::session::{StoreError, StoreKey, Swap};

/// Redis is asked how much memory it uses at most so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Records one creation may evict.
const MAX_EVICTIONS: usize = 4;

/// Steps of a walk on which somebody to evict is looked for.
const MAX_STEPS: usize = 4;

/// Records looked at in one piece: the connection is everybody's.
const PIECE: usize = 64;

/// When there was nobody, or all were evicted in vain, nobody looks for so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Somebody who looks for longer does not come back.
const LONGEST_SEARCH: Duration = Duration::from_secs(10);

/// How long, and how often, others wait for the one who looks.
const WAIT: Duration = Duration::from_millis(2);
const MAX_WAITS: usize = 100;

/// Evicted by nobody in particular, so that everybody drops his copy.
const NOBODY: u64 = 0;

/// What is known of the room there is.
#[derive(Debug, Default)]
pub(super) struct Room {
    looked: Option<Instant>,
    used_bytes: u64,
    masters: u64,
    walk: Walk,
    /// Since when somebody looks for candidates.
    searching: Option<Instant>,
    /// The last is the one unseen for longest.
    candidates: Vec<Candidate>,
    paused: Option<Instant>,
}

/// Who may be evicted, if the record still begins like this.
#[derive(Debug)]
struct Candidate {
    key: StoreKey,
    header: Vec<u8>,
}

/// What somebody who needs room does next.
enum Next {
    Evict(Candidate),
    Search(Walk),
    Wait,
    GiveUp,
}

impl Room {
    fn next(&mut self) -> Next {
        if let Some(candidate) = self.candidates.pop() {
            return Next::Evict(candidate);
        }
        if self.paused.is_some_and(|at| at.elapsed() < PAUSE) || self.masters > 1 {
            return Next::GiveUp;
        }
        if self.searching.is_some_and(|since| since.elapsed() < LONGEST_SEARCH) {
            return Next::Wait;
        }
        self.searching = Some(Instant::now());
        Next::Search(std::mem::take(&mut self.walk))
    }
}

impl RedisStore {
    /// Creates the record of an anonymous session, if there is room or somebody can make some.
    pub(super) fn create(&self, key: &StoreKey, wanted: &Wanted<'_>) -> Result<Swap, StoreError> {
        for _ in 0..=MAX_EVICTIONS {
            if let Some(room) = self.room()
                && let Some(swapped) = self.try_swap(key, &Wanted { room, ..*wanted })?
            {
                return Ok(swapped);
            }
            if !self.evict_one(wanted.now)? {
                return Err(StoreError::Full);
            }
        }
        // Others fill it, who need not be ours: no more sessions are given up in vain for a while.
        self.room.with(|room| room.paused = Some(Instant::now()));
        Err(StoreError::Full)
    }

    /// With how many keys a server is full; `None` if it uses as much memory as it may.
    fn room(&self) -> Option<u64> {
        let is_known = self.room.with(|room| {
            let is_known = room.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY);
            // The others use what was known before, and do not ask as well.
            room.looked = if is_known { room.looked } else { Some(Instant::now()) };
            is_known
        });
        if !is_known {
            self.look_at_memory();
        }
        let (used, masters) = self.room.with(|room| (room.used_bytes, room.masters.max(1)));
        let has_memory = used < self.options.max_total_bytes;
        has_memory.then(|| self.options.max_sessions.div_ceil(masters))
    }

    /// A server that does not answer, or not to this user, counts for nothing here. While nobody
    /// knows which servers there are, what was known before holds.
    fn look_at_memory(&self) {
        let Ok(nodes) = self.redis.nodes() else { return };
        let info = |answers: Vec<_>| bytes(answers.into_iter().next()?).ok().flatten();
        let used = nodes.iter().filter_map(|node| {
            let info = info(node.send(&[cmd("INFO").arg("memory").take()]).ok()?)?;
            Some(used_of(&String::from_utf8_lossy(&info)))
        });
        let used = used.sum();
        self.room.with(|room| (room.used_bytes, room.masters) = (used, nodes.len() as u64));
    }

    /// Evicts the one unseen for longest of some that were seen once, or whose time is over. False
    /// if there is nobody. On a cluster nobody is evicted.
    fn evict_one(&self, now: SystemTime) -> Result<bool, StoreError> {
        for _ in 0..MAX_WAITS {
            match self.room.with(Room::next) {
                Next::Evict(candidate) => {
                    if self.evict(&candidate)? {
                        return Ok(true);
                    }
                }
                Next::Search(walk) => self.search(walk, now)?,
                Next::Wait => runtime::sleep(WAIT),
                Next::GiveUp => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Looks for candidates, for all who wait.
    fn search(&self, mut walk: Walk, now: SystemTime) -> Result<(), StoreError> {
        let mut found = Ok(Vec::new());
        for _ in 0..MAX_STEPS {
            found = match self.next_keys(&mut walk) {
                Ok(Some(keys)) => self.candidates(&keys, now),
                Ok(None) => {
                    walk = Walk::default();
                    continue;
                }
                Err(error) => Err(error),
            };
            if !matches!(&found, Ok(found) if found.is_empty()) {
                break;
            }
        }
        self.room.with(|room| {
            (room.walk, room.searching) = (walk, None);
            room.candidates = found?;
            room.paused = room.candidates.is_empty().then(Instant::now);
            Ok(())
        })
    }

    fn candidates(&self, keys: &[StoreKey], now: SystemTime) -> Result<Vec<Candidate>, StoreError> {
        let look = |key: &StoreKey| {
            let name = self.names.record(key);
            cmd("GETRANGE").arg(name.as_slice()).arg(0).arg(HEADER_BYTES - 1).take()
        };
        let mut found = Vec::new();
        for keys in keys.chunks(PIECE) {
            let looks: Vec<_> = keys.iter().map(look).collect();
            let answers = self.redis.send(&looks).map_err(failed)?;
            found.extend(keys.iter().zip(answers).filter_map(|(key, answer)| {
                let header = bytes(answer).ok().flatten()?;
                let since = header::evictable_since(&header, now)?;
                Some((since, Candidate { key: *key, header }))
            }));
        }
        found.sort_unstable_by_key(|(since, _)| Reverse(*since));
        Ok(found.into_iter().map(|(_, candidate)| candidate).collect())
    }

    /// False if something was done to the session meanwhile.
    fn evict(&self, Candidate { key, header }: &Candidate) -> Result<bool, StoreError> {
        let news = News::Removed { writer: NOBODY }.encode(key);
        let name = self.names.record(key);
        let answer = self.redis.script(&self.scripts.evict, &[&name], &[header, &news]);
        let is_done = number(answer)? == 1;
        if is_done {
            log::info!(
                target: "maypole::session", session = key.short().as_str();
                "session store full: evicted a session seen once"
            );
            // Who has no memory left looks again at what that gave.
            self.room.with(|room| {
                let has_memory = room.used_bytes < self.options.max_total_bytes;
                room.looked = room.looked.filter(|_| has_memory);
            });
        }
        Ok(is_done)
    }
}
