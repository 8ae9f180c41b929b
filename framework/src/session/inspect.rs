//! A look into stored records for people who keep a server: what is there, not whose it is.

use std::time::SystemTime;

use super::data::{Key, Space};
use super::id::Handle;
use super::record::Entry;
use super::store::{StoreKey, Stored};

/// What a store keeps under one key, as `maypole session ls` shows it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inspected {
    /// The key; not the session's id, and of no use as one.
    pub key: StoreKey,
    /// When the record is gone.
    pub deadline: SystemTime,
    /// When the session was last used, to the precision of `touch_every`.
    pub last_seen: SystemTime,
    /// Bytes of the record.
    pub bytes: usize,
    /// The session; `None` for the tombstone of an ended id, for the index or epoch of a user, and
    /// for what cannot be read.
    pub session: Option<InspectedSession>,
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
        let (deadline, last_seen, bytes) = (stored.deadline, stored.last_seen, stored.bytes.len());
        let session = match Entry::decode(stored.bytes) {
            Ok(Entry::Session(record)) => {
                let names: Vec<_> = record.data.names(Space::User).map(str::to_owned).collect();
                let value = |name: String| {
                    let key = Key { space: Space::User, name: name.as_str().into() };
                    let json = record.data.get(&key).map_or_else(String::new, as_json);
                    (name, json)
                };
                Some(InspectedSession {
                    handle: record.handle,
                    created: record.created,
                    user: record.user.as_deref().map(str::to_owned),
                    values: names.into_iter().map(value).collect(),
                })
            }
            Ok(Entry::Tombstone(_)) | Err(_) => None,
        };
        Self { key, deadline, last_seen, bytes, session }
    }
}

/// CBOR that JSON cannot say (a map with keys that are no text, say) is given by its length.
fn as_json(value: &[u8]) -> String {
    let json: Result<serde_json::Value, _> = ciborium::from_reader(value);
    json.map_or_else(|_| format!("<{} bytes of CBOR>", value.len()), |json| json.to_string())
}
