//! A look into stored records for people who keep a server: what is there, not whose it is.

use std::fmt;
use std::time::SystemTime;

use super::data::{Key, Space};
use super::id::Handle;
use super::record::{End, Entry, Record};
use super::reserved::Reserved;
use super::store::{StoreKey, Stored};

/// What a store keeps under one key, as `maypole session ls` shows it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inspected {
    /// The key; not the session's id, and of no use as one.
    pub key: StoreKey,
    /// What the record is.
    pub kind: RecordKind,
    /// When the record is gone.
    pub deadline: SystemTime,
    /// When the session was last used, to the precision of `touch_every`.
    pub last_seen: SystemTime,
    /// Bytes of the record.
    pub bytes: usize,
    /// Whether the session of a user is dead though its record is there: all sessions of the user,
    /// or of everybody, were ended after its login. False where nobody asked the store.
    pub is_revoked: bool,
    /// The session, if it is one (pending ones included).
    pub session: Option<InspectedSession>,
}

/// What a record in a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RecordKind {
    /// A session.
    Session,
    /// A session whose change of id is not completed.
    Pending,
    /// What a destroyed id leaves for a minute.
    Ended,
    /// What an id leaves that a login or `regenerate` replaced.
    Replaced,
    /// What a rotated id leaves: it leads to its successor for the grace time.
    Rotated,
    /// The list of a user's sessions.
    UserIndex,
    /// The mark by which all sessions of a user, or of everybody, are ended.
    Epoch,
    /// The lease of a session's lock.
    Lock,
    /// Bytes that this version of maypole cannot read.
    Unreadable,
}

impl RecordKind {
    /// Whether maypole keeps the record for itself: no id of a session ever led to it.
    #[must_use]
    pub fn is_reserved(self) -> bool {
        matches!(self, Self::UserIndex | Self::Epoch | Self::Lock)
    }

    fn of(bytes: &[u8], entry: Option<&Entry>) -> Self {
        match (entry, Reserved::of(bytes)) {
            (Some(Entry::Session(record)), _) if record.pending.is_some() => Self::Pending,
            (Some(Entry::Session(_)), _) => Self::Session,
            (Some(Entry::Tombstone(tombstone)), _) => match tombstone.end {
                End::Ended => Self::Ended,
                End::Replaced { .. } => Self::Replaced,
                End::Rotated { .. } => Self::Rotated,
            },
            (None, Some(Reserved::Index)) => Self::UserIndex,
            (None, Some(Reserved::Epoch)) => Self::Epoch,
            (None, Some(Reserved::Lock)) => Self::Lock,
            (None, None) => Self::Unreadable,
        }
    }
}

/// In one word or two, as lists show it.
impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Session => "session",
            Self::Pending => "pending",
            Self::Ended => "ended id",
            Self::Replaced => "replaced id",
            Self::Rotated => "rotated id",
            Self::UserIndex => "user index",
            Self::Epoch => "epoch",
            Self::Lock => "lock",
            Self::Unreadable => "unreadable",
        })
    }
}

/// A live session within [`Inspected`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InspectedSession {
    /// The public handle.
    pub handle: Handle,
    /// When the session began.
    pub created: SystemTime,
    /// The bound user.
    pub user: Option<String>,
    /// Names of the application's keys, each with its value as JSON.
    pub values: Vec<(String, String)>,
}

impl Inspected {
    /// Reads a record that [`SessionStore::list`](super::SessionStore::list) gave.
    #[must_use]
    pub fn read(key: StoreKey, stored: Stored) -> Self {
        Self::with_record(key, stored).0
    }

    /// As [`read`](Self::read), with the record of a session.
    pub(super) fn with_record(key: StoreKey, stored: Stored) -> (Self, Option<Record>) {
        let (deadline, last_seen, bytes) = (stored.deadline, stored.last_seen, stored.bytes.len());
        let start: Vec<u8> = stored.bytes.iter().take(2).copied().collect();
        let entry = Entry::decode(stored.bytes).ok();
        let kind = RecordKind::of(&start, entry.as_ref());
        let record = match entry {
            Some(Entry::Session(record)) => Some(record),
            Some(Entry::Tombstone(_)) | None => None,
        };
        let session = record.as_ref().map(InspectedSession::of);
        (Self { key, kind, deadline, last_seen, bytes, is_revoked: false, session }, record)
    }
}

impl InspectedSession {
    fn of(record: &Record) -> Self {
        let value = |name: &str| {
            let key = Key { space: Space::User, name: name.into() };
            (name.to_owned(), record.data.get(&key).map_or_else(String::new, as_json))
        };
        Self {
            handle: record.handle,
            created: record.created,
            user: record.user.as_deref().map(str::to_owned),
            values: record.data.names(Space::User).map(value).collect(),
        }
    }
}

/// CBOR that JSON cannot say (a map with keys that are no text, say) is given by its length.
fn as_json(value: &[u8]) -> String {
    let json: Result<serde_json::Value, _> = ciborium::from_reader(value);
    json.map_or_else(|_| format!("<{} bytes of CBOR>", value.len()), |json| json.to_string())
}
