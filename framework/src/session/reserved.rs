//! What lies under reserved keys: epochs, by which any number of sessions end at once, the index of
//! a user's sessions, and the lock of a session.
//!
//! Pure. They are records like any other: the store knows nothing of them.
//!
//! ```text
//! an epoch            an index
//!  0  u8   format, 1   0  u8   format, 1
//!  1  u8   kind, 3     1  u8   kind, 4
//!  2  u64  epoch       2  n times: [32] key, u64 since when; oldest first
//!
//! a lock
//!  0  u8   format, 1
//!  1  u8   kind, 5
//!  2  u64  mark of the holder, 0 if free
//! 10  u64  until when
//! ```

use std::time::{Duration, SystemTime};

use super::reader::{Reader, to_ms};
use super::record::FORMAT;
use super::store::{StoreKey, Stored};

const KIND_EPOCH: u8 = 3;
const KIND_INDEX: u8 = 4;
const KIND_LOCK: u8 = 5;
const PLACE_BYTES: usize = 32 + 8;

/// What a record under a reserved key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserved {
    Epoch,
    Index,
    Lock,
}

impl Reserved {
    /// What these bytes are, by how they begin; `None` for a session, a tombstone and garbage.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [FORMAT, KIND_EPOCH, ..] => Some(Self::Epoch),
            [FORMAT, KIND_INDEX, ..] => Some(Self::Index),
            [FORMAT, KIND_LOCK, ..] => Some(Self::Lock),
            _ => None,
        }
    }
}

/// An entry whose session is not there yet may still be about to come for so long: entries are
/// made before their sessions, so that no session is ever missing in the index.
const RESERVED: Duration = Duration::from_secs(60);

/// Whether these bytes are those of an epoch.
pub(crate) fn is_epoch(bytes: &[u8]) -> bool {
    Reserved::of(bytes) == Some(Reserved::Epoch)
}

/// The epoch in a record. One that cannot be read counts as raised when it was written: who was
/// bound before is out, who binds now is in.
pub(crate) fn epoch(stored: &Stored) -> u64 {
    let mut reader = Reader { bytes: &stored.bytes, at: 2 };
    match (stored.bytes.get(..2), reader.u64()) {
        (Some([FORMAT, KIND_EPOCH]), Some(epoch)) if reader.at == stored.bytes.len() => epoch,
        _ => to_ms(stored.last_seen) << 16 | 0xffff,
    }
}

/// An epoch after `before`. It holds the time, so it is greater than any that was ever given out
/// even when the record of the last one has expired; and `mark`, so that two who raise one epoch
/// at once can tell theirs apart.
pub(crate) fn next_epoch(before: u64, now: SystemTime, mark: u64) -> u64 {
    (to_ms(now) << 16 | mark & 0xffff).max(before.saturating_add(1))
}

pub(crate) fn encode_epoch(epoch: u64) -> Vec<u8> {
    let mut bytes = vec![FORMAT, KIND_EPOCH];
    bytes.extend(epoch.to_be_bytes());
    bytes
}

/// Who holds the lock of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockState {
    /// Nobody: the last holder gave it back.
    Free,
    /// Whoever made this mark, until then.
    Held { mark: u64, until: SystemTime },
}

/// The lock in a record. One that cannot be read was deserted.
pub(crate) fn lock(stored: &Stored) -> LockState {
    let mut reader = Reader { bytes: &stored.bytes, at: 2 };
    match (stored.bytes.get(..2), reader.u64(), reader.time()) {
        (Some([FORMAT, KIND_LOCK]), Some(0), Some(_)) => LockState::Free,
        (Some([FORMAT, KIND_LOCK]), Some(mark), Some(until)) => LockState::Held { mark, until },
        _ => LockState::Held { mark: 0, until: SystemTime::UNIX_EPOCH },
    }
}

pub(crate) fn encode_lock(lock: LockState) -> Vec<u8> {
    let (mark, until) = match lock {
        LockState::Free => (0, 0),
        LockState::Held { mark, until } => (mark, to_ms(until)),
    };
    let mut bytes = vec![FORMAT, KIND_LOCK];
    bytes.extend(mark.to_be_bytes());
    bytes.extend(until.to_be_bytes());
    bytes
}

/// The sessions of one user: all there are, and some that are no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Index {
    pub(crate) places: Vec<Place>,
}

/// Where a session of the user lies, or lay, or will lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: StoreKey,
    pub(crate) since: SystemTime,
}

impl Place {
    /// Whether its session may still be about to come.
    pub(crate) fn is_reserved(&self, now: SystemTime) -> bool {
        now.duration_since(self.since).is_ok_and(|age| age < RESERVED) || now < self.since
    }
}

impl Index {
    /// One that cannot be read is empty: what it listed lives on unlisted, and ends by epoch.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let Some(rest) = bytes.strip_prefix(&[FORMAT, KIND_INDEX]) else {
            return Self::default();
        };
        let mut reader = Reader { bytes: rest, at: 0 };
        let mut places = Vec::with_capacity(rest.len() / PLACE_BYTES);
        while let (Some(key), Some(since)) = (reader.array(), reader.time()) {
            places.push(Place { key: StoreKey::from_bytes(key), since });
        }
        Self { places }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + self.places.len() * PLACE_BYTES);
        bytes.extend([FORMAT, KIND_INDEX]);
        for place in &self.places {
            bytes.extend(place.key.as_bytes());
            bytes.extend(to_ms(place.since).to_be_bytes());
        }
        bytes
    }

    /// Adds what `other` lists and this one does not.
    pub(crate) fn join(&mut self, other: &Self) {
        let missing = other.places.iter().filter(|place| !self.contains(&place.key)).copied();
        let missing: Vec<_> = missing.collect();
        self.places.extend(missing);
        self.places.sort_by_key(|place| place.since);
    }

    pub(crate) fn contains(&self, key: &StoreKey) -> bool {
        self.places.iter().any(|place| place.key == *key)
    }

    pub(crate) fn keys(&self) -> Vec<StoreKey> {
        self.places.iter().map(|place| place.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Index, Place, encode_epoch, epoch, next_epoch};
    use crate::session::{StoreKey, Stored};

    fn stored(bytes: Vec<u8>) -> Stored {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        Stored { bytes, version: 1, deadline: at, last_seen: at, evictable: false }
    }

    #[test]
    fn epochs_come_back_and_grow_whatever_the_clock_says() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let first = next_epoch(0, now, u64::MAX);
        assert_eq!(epoch(&stored(encode_epoch(first))), first);
        let earlier = next_epoch(first, now - Duration::from_secs(1000), 0);
        assert!(earlier > first);
        assert!(next_epoch(0, now + Duration::from_millis(1), 0) > first, "without a record too");
    }

    #[test]
    fn an_unreadable_epoch_ends_what_was_there_and_admits_what_comes() {
        let before = next_epoch(0, SystemTime::UNIX_EPOCH + Duration::from_secs(99), 7);
        let after = next_epoch(0, SystemTime::UNIX_EPOCH + Duration::from_secs(101), 7);
        for bytes in [vec![], vec![1, 3], vec![9; 10], encode_epoch(u64::MAX)[..9].to_vec()] {
            let found = epoch(&stored(bytes));
            assert!(before < found && found < after);
        }
    }

    #[test]
    fn an_index_comes_back_and_garbage_is_an_empty_one() {
        let place = |n| Place {
            key: StoreKey::from_bytes([n; 32]),
            since: SystemTime::UNIX_EPOCH + Duration::from_millis(n.into()),
        };
        let index = Index { places: vec![place(3), place(1)] };
        let bytes = index.encode();
        assert_eq!(Index::decode(&bytes), index);
        assert_eq!(Index::decode(&bytes[..bytes.len() - 1]).places, [place(3)]);
        for garbage in [&[][..], &[1, 3, 0], &[2, 4]] {
            assert_eq!(Index::decode(garbage), Index::default());
        }
    }
}
