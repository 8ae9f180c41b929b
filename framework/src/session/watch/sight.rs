//! What was found under the key of a watched session, by a look or by a commit.

use std::time::SystemTime;

use super::super::record::{End, Entry, Epochs, Record};
use super::super::store::{StoreKey, Stored};
use super::change::SessionEnd;

/// What lies under the key of a session.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one; it is moved once")]
pub(super) enum Sight {
    Session {
        version: u64,
        deadline: SystemTime,
        record: Record,
    },
    /// The id was rotated; the key of its successor, and what leads from id to id.
    Rotated(StoreKey, [u8; 32]),
    /// There is no session any more.
    Ended(SessionEnd),
    Missing,
}

impl Sight {
    pub(super) fn of(found: Option<Stored>, now: SystemTime) -> Self {
        let Some(Stored { bytes, version, deadline, .. }) = found else { return Self::Missing };
        match Entry::decode(bytes) {
            Ok(Entry::Session(record)) => {
                let deadline = deadline.min(record.absolute);
                if deadline <= now {
                    return Self::Ended(SessionEnd::Expired);
                }
                Self::Session { version, deadline, record }
            }
            Ok(Entry::Tombstone(tombstone)) => match tombstone.end {
                End::Ended => Self::Ended(SessionEnd::Destroyed),
                End::Replaced { .. } => Self::Ended(SessionEnd::Replaced),
                End::Rotated { by, nonce } => Self::Rotated(by, nonce),
            },
            // To requests it is no session either.
            Err(_) => Self::Ended(SessionEnd::Evicted),
        }
    }
}

/// What was found, where, and with what else.
pub(super) struct Found<'a> {
    pub(super) key: &'a StoreKey,
    pub(super) sight: Sight,
    /// Where the epoch of the record's user lies.
    pub(super) epoch_key: Option<StoreKey>,
    /// The epochs of the user known so far, if they were loaded too.
    pub(super) epochs: Option<Epochs>,
}

/// The state a request has of its session when it begins to watch it.
pub(super) struct Known<'a> {
    pub(super) key: StoreKey,
    pub(super) version: u64,
    pub(super) deadline: SystemTime,
    pub(super) record: &'a Record,
    pub(super) epoch_key: Option<StoreKey>,
}
