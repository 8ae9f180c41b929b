//! One watched session on this node: what was last seen of it, who follows it, and what they have
//! still to be told. It asks no store and spawns nothing.

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::super::record::{Epochs, Record};
use super::super::store::StoreKey;
use super::change::{Change, Follower, SessionEnd};
use super::digest::Digest;
use super::sight::{Found, Known, Sight};
use crate::runtime::sync::ShortLock;

/// A session that seems revoked by its user's epoch is looked at again after this: who ends all
/// *other* sessions raises the epoch a moment before the own one is bound under it.
pub(super) const SECOND_LOOK: Duration = Duration::from_millis(100);

/// Rotations that a socket may sleep through without losing its session.
const MAX_TRAIL: usize = 256;

/// A watched session. It follows rotations, so its key may change.
pub(super) struct Watched {
    /// Names it in the table.
    pub(super) id: u64,
    pub(super) seen: ShortLock<Seen>,
    is_due: AtomicBool,
}

/// What is known of it.
pub(super) struct Seen {
    pub(super) key: StoreKey,
    version: u64,
    /// The id was rotated, and nothing of the record under the new key was seen yet.
    has_moved: bool,
    /// The keys it had, each with what led to the next one.
    trail: Vec<(StoreKey, [u8; 32])>,
    /// `None` until somebody wants to know of changes.
    digest: Option<Digest>,
    deadline: SystemTime,
    /// Where the epoch of its user lies.
    pub(super) epoch_key: Option<StoreKey>,
    suspect_since: Option<Instant>,
    /// Its key is followed so recently that the store may not hear of it yet: the next round looks
    /// once more, so that a change of just this moment is not lost.
    is_young: bool,
    /// The round of the ticker in which it was last seen.
    pub(super) round: u64,
    followers: Arc<Vec<Place>>,
    change: Option<Change>,
    end: Option<SessionEnd>,
    pub(super) has_ended: bool,
    is_delivering: bool,
    /// Under which keys the table holds it: the session's, and those of epochs.
    pub(super) indexed: [Option<StoreKey>; 3],
}

/// A follower, told of versions after `from`.
#[derive(Clone)]
struct Place {
    id: u64,
    from: u64,
    follower: Arc<dyn Follower>,
}

/// What has to be done after something was seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Then {
    /// It lies under other keys than the table holds it.
    pub(super) index: bool,
    /// The record has to be loaded: it lies under a new key, or other epochs count.
    pub(super) look: bool,
    /// It has to be loaded again after [`SECOND_LOOK`].
    pub(super) look_later: bool,
}

impl Watched {
    pub(super) fn new(id: u64, known: &Known<'_>, round: u64) -> Self {
        let seen = Seen {
            key: known.key,
            version: known.version,
            has_moved: false,
            trail: Vec::new(),
            digest: None,
            deadline: known.deadline.min(known.record.absolute),
            epoch_key: known.epoch_key,
            suspect_since: None,
            is_young: true,
            round,
            followers: Arc::default(),
            change: None,
            end: None,
            has_ended: false,
            is_delivering: false,
            indexed: [None; 3],
        };
        Self { id, seen: ShortLock::new(seen), is_due: AtomicBool::new(false) }
    }

    /// True for the first who asks since [`begin_look`](Self::begin_look).
    pub(super) fn falls_due(&self) -> bool {
        !self.is_due.swap(true, Ordering::AcqRel)
    }

    /// To be called before its record is loaded: what changes later makes it due again.
    pub(super) fn begin_look(&self) {
        self.is_due.store(false, Ordering::Release);
    }

    /// Tells the followers what they have not been told, in order; at once if another call does so
    /// already. No lock is held meanwhile but the followers' own.
    pub(super) fn deliver(&self) {
        let mut is_first = true;
        while let Some((followers, change, end)) = self.seen.with(|seen| {
            if is_first && seen.is_delivering {
                return None;
            }
            is_first = false;
            seen.next_delivery()
        }) {
            let change = change.map(Arc::new);
            for place in followers.iter() {
                if let Some(change) = change.as_ref().filter(|change| change.version > place.from)
                    && place.follower.wants_changes()
                {
                    place.follower.changed(change);
                }
                if let Some(end) = end {
                    place.follower.ended(end);
                }
            }
        }
    }
}

type Delivery = (Arc<Vec<Place>>, Option<Change>, Option<SessionEnd>);

impl Seen {
    pub(super) fn follower_count(&self) -> usize {
        self.followers.len()
    }

    /// Whether a hint at this version tells nothing new.
    pub(super) fn knows(&self, version: u64) -> bool {
        !self.has_moved && version <= self.version
    }

    /// Whether something that nobody tells of may have happened: its time has come, or its end is
    /// only suspected.
    pub(super) fn is_doubtful(&self, now: SystemTime) -> bool {
        self.deadline <= now || self.has_moved || self.suspect_since.is_some()
    }

    /// Whether this is the first round since its key is followed.
    pub(super) fn grows_up(&mut self) -> bool {
        std::mem::take(&mut self.is_young)
    }

    /// What leads from the id of `key` to the present one.
    pub(super) fn trail_from(&self, key: &StoreKey) -> Vec<[u8; 32]> {
        let rotations = self.trail.iter().skip_while(|(from, _)| from != key);
        rotations.map(|(_, nonce)| *nonce).collect()
    }

    /// Adds a follower who knows the state of `known` and is told of all that comes after it.
    pub(super) fn add(
        &mut self,
        id: u64,
        follower: Arc<dyn Follower>,
        known: &Known<'_>,
        hasher: &RandomState,
    ) -> Then {
        let mut then = Then::default();
        let mut from = known.version.min(self.version);
        if follower.wants_changes() {
            let own = Digest::of(&known.record.data, hasher);
            match &self.digest {
                // Nobody was told of changes yet: the next look compares with what this one knows.
                None => {
                    then.look = known.version < self.version;
                    self.version = from;
                    self.digest = Some(own);
                }
                Some(digest) if known.version < self.version => {
                    from = self.version;
                    if let Some(change) = own.change_to(digest, from) {
                        follower.changed(&Arc::new(change));
                    }
                }
                Some(_) => {}
            }
        }
        Arc::make_mut(&mut self.followers).push(Place { id, from, follower });
        then
    }

    pub(super) fn remove(&mut self, id: u64) {
        Arc::make_mut(&mut self.followers).retain(|place| place.id != id);
    }

    /// Takes in what was found.
    pub(super) fn see(&mut self, found: Found<'_>, hasher: &RandomState, now: SystemTime) -> Then {
        let Found { key, sight, epoch_key, epochs } = found;
        let mut then = Then::default();
        // What lies under the key before a rotation is old news.
        if *key != self.key || self.has_ended {
            return then;
        }
        match sight {
            Sight::Session { version, deadline, record } => {
                if version < self.version && !self.has_moved {
                    return then;
                }
                if version != self.version || self.has_moved {
                    self.take(version, &record, hasher);
                }
                self.deadline = deadline;
                if epoch_key != self.epoch_key {
                    self.epoch_key = epoch_key;
                    (then.index, then.look) = (true, epoch_key.is_some());
                } else if let Some(epochs) = epochs {
                    then.look_later = self.check(record.epochs, epochs);
                }
            }
            Sight::Rotated(successor, nonce) => {
                if self.trail.len() == MAX_TRAIL {
                    self.trail.remove(0);
                }
                self.trail.push((self.key, nonce));
                (self.key, self.has_moved, self.is_young) = (successor, true, true);
                (then.index, then.look) = (true, true);
            }
            Sight::Ended(end) => self.end(end),
            Sight::Missing if self.deadline <= now => self.end(SessionEnd::Expired),
            Sight::Missing => self.end(SessionEnd::Evicted),
        }
        then.index |= self.has_ended;
        then
    }

    fn take(&mut self, version: u64, record: &Record, hasher: &RandomState) {
        (self.version, self.has_moved) = (version, false);
        self.suspect_since = None;
        let Some(digest) = &self.digest else { return };
        let newer = Digest::of(&record.data, hasher);
        if let Some(mut change) = digest.change_to(&newer, version) {
            if let Some(older) = &self.change {
                change.absorb(older);
            }
            self.change = Some(change);
        }
        self.digest = Some(newer);
    }

    /// Ends it if it was bound under epochs of before a revocation; true if that is not sure yet.
    fn check(&mut self, bound: Epochs, epochs: Epochs) -> bool {
        if bound.are_good_under(epochs) {
            self.suspect_since = None;
            return false;
        }
        let since = *self.suspect_since.get_or_insert_with(Instant::now);
        if bound.everybody < epochs.everybody || since.elapsed() >= SECOND_LOOK {
            self.end(SessionEnd::Revoked);
            return false;
        }
        true
    }

    fn end(&mut self, end: SessionEnd) {
        (self.end, self.has_ended) = (Some(end), true);
    }

    /// What is to be told next, and to whom.
    fn next_delivery(&mut self) -> Option<Delivery> {
        let (change, end) = (self.change.take(), self.end.take());
        self.is_delivering = change.is_some() || end.is_some();
        if !self.is_delivering {
            return None;
        }
        let followers = match end {
            // Nothing comes after the end: they are let go.
            Some(_) => std::mem::take(&mut self.followers),
            None => Arc::clone(&self.followers),
        };
        Some((followers, change, end))
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watched({})", self.id)
    }
}
