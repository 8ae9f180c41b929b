//! The bytes of a session as stores keep them, and of the tombstone that an ended id leaves.
//!
//! Pure: bytes to values and back. Integers are big-endian, times are milliseconds since 1970.
//!
//! ```text
//! a session                                   a tombstone
//!  0  u8    format, 1                          0  u8    format, 1
//!  1  u8    kind, 1                            1  u8    kind, 2
//!  2  u8    flags: 1 user, 2 last_auth,        2  u8    0 ended, 1 replaced, 2 rotated
//!           4 pending, 8 own lifetime,         3  u64   when
//!           16 remembered                     11  u64   token of the commit that made it
//!  3  u64   created                           19  [32]  key of the successor, unless ended
//! 11  u64   idle length, ms                   51  [32]  nonce, if rotated
//! 19  u64   absolute deadline
//! 27  [16]  public handle
//! 43  [32]  key it replaces, if pending
//!     u64   last authentication, if flagged
//!     u8 n, n bytes: bound user, if flagged; u64 user's epoch, u64 everybody's epoch
//!     u8 n, n times u64: commit tokens, oldest first, n <= 16
//!     u32 n, n times: u8 space, u8 len, key, u32 len, value; ascending by space and key
//! ```

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use super::data::{Data, Indexed};
use super::id::Handle;
use super::reader::{Reader, millis, to_ms};
use super::store::StoreKey;

pub(crate) const FORMAT: u8 = 1;
const KIND_SESSION: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;
const HAS_USER: u8 = 1;
const HAS_LAST_AUTH: u8 = 2;
const HAS_PENDING: u8 = 4;
const HAS_OWN_LIFETIME: u8 = 8;
const IS_REMEMBERED: u8 = 16;
const MAX_TOKENS: usize = 16;

/// What a store keeps under the key of a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Session(Record),
    Tombstone(Tombstone),
}

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) created: SystemTime,
    /// The session ends when it was not used for so long.
    pub(crate) idle: Duration,
    /// The session ends here, whatever happens.
    pub(crate) absolute: SystemTime,
    pub(crate) handle: Handle,
    /// Set between creation and commit of a change of id: readable only if the record under this
    /// key is a tombstone that names this one.
    pub(crate) pending: Option<StoreKey>,
    /// Whose `idle` and `absolute` these are.
    pub(crate) lifetime: Lifetime,
    pub(crate) user: Option<Box<str>>,
    /// Under which the user was bound; nothing without one.
    pub(crate) epochs: Epochs,
    pub(crate) last_auth: Option<SystemTime>,
    pub(crate) tokens: Tokens,
    pub(crate) data: Data,
}

/// Who decided how long a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lifetime {
    /// config.ini.
    #[default]
    Configured,
    /// The application, for this session; a cookie with an end follows it.
    Own,
    /// The visitor, who wants to be remembered: the cookie outlives the browser window.
    Remembered,
}

/// Counters that only grow: a bound session is good while it was bound under epochs no older than
/// the stored ones, so that raising one ends any number of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Epochs {
    pub(crate) user: u64,
    pub(crate) everybody: u64,
}

impl Epochs {
    pub(crate) fn are_good_under(self, stored: Self) -> bool {
        self.user >= stored.user && self.everybody >= stored.everybody
    }
}

/// What is left of an id that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) at: SystemTime,
    pub(crate) token: u64,
    pub(crate) end: End,
}

/// How an id ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Destroyed.
    Ended,
    /// Regenerated: the holder of the old id learns nothing of the new one.
    Replaced { by: StoreKey },
    /// Rotated: the holder of the old id can compute the new one for the grace time.
    Rotated { by: StoreKey, nonce: [u8; 32] },
}

/// Why bytes are no record. The session is absent then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// Written by a later version of maypole.
    Format(u8),
    Damaged,
}

/// The marks of the last 16 commits, by which a writer whose answer was lost knows its own write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    /// Where those that were read lie: most requests never look at them.
    record: Option<Arc<Indexed>>,
    read: Range<usize>,
    /// Those that came since.
    newer: SmallVec<[u64; 2]>,
}

impl Tokens {
    pub(crate) fn push(&mut self, token: u64) {
        self.newer.push(token);
        if self.encoded_len() <= 8 * MAX_TOKENS {
            return;
        }
        if self.read.is_empty() {
            self.newer.remove(0);
        } else {
            self.read.start += 8;
        }
    }

    pub(crate) fn contains(&self, token: u64) -> bool {
        self.iter().any(|known| known == token)
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.iter().last()
    }

    /// Oldest first.
    fn iter(&self) -> impl Iterator<Item = u64> {
        let (read, _) = self.read().as_chunks();
        read.iter().map(|token| u64::from_be_bytes(*token)).chain(self.newer.iter().copied())
    }

    fn read(&self) -> &[u8] {
        let record = self.record.as_ref().map_or(&[][..], |record| record.bytes());
        record.get(self.read.clone()).unwrap_or_default()
    }

    fn encoded_len(&self) -> usize {
        self.read.len() + 8 * self.newer.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.read());
        self.newer.iter().for_each(|token| out.extend_from_slice(&token.to_be_bytes()));
    }
}

impl PartialEq for Tokens {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Entry {
    /// Reads what [`encode`](Self::encode) wrote; anything else is an error, never a panic.
    #[inline]
    pub(crate) fn decode(bytes: Vec<u8>) -> Result<Self, Undecodable> {
        match (bytes.first(), bytes.get(1)) {
            (Some(&FORMAT), Some(&KIND_SESSION)) => {
                Record::decode(bytes).map(Self::Session).ok_or(Undecodable::Damaged)
            }
            (Some(&FORMAT), Some(&KIND_TOMBSTONE)) => {
                Tombstone::decode(&bytes).map(Self::Tombstone).ok_or(Undecodable::Damaged)
            }
            (Some(&later), _) if later > FORMAT => Err(Undecodable::Format(later)),
            _ => Err(Undecodable::Damaged),
        }
    }
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        let times = [to_ms(self.created), millis(self.idle), to_ms(self.absolute)];
        out.extend_from_slice(&[FORMAT, KIND_SESSION, self.flags()]);
        out.extend_from_slice(times.map(u64::to_be_bytes).as_flattened());
        out.extend_from_slice(self.handle.as_bytes());
        if let Some(key) = &self.pending {
            out.extend_from_slice(key.as_bytes());
        }
        if let Some(time) = self.last_auth {
            out.extend_from_slice(&to_ms(time).to_be_bytes());
        }
        if let Some(user) = &self.user {
            out.push(u8::try_from(user.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(user.as_bytes());
            out.extend_from_slice(&self.epochs.user.to_be_bytes());
            out.extend_from_slice(&self.epochs.everybody.to_be_bytes());
        }
        out.push(u8::try_from(self.tokens.encoded_len() / 8).unwrap_or(0));
        self.tokens.encode(&mut out);
        self.data.encode(&mut out);
        out
    }

    /// The same session with other data.
    pub(crate) fn with_data(&self, data: Data) -> Self {
        Self {
            created: self.created,
            idle: self.idle,
            absolute: self.absolute,
            handle: self.handle,
            pending: self.pending,
            lifetime: self.lifetime,
            user: self.user.clone(),
            epochs: self.epochs,
            last_auth: self.last_auth,
            tokens: self.tokens.clone(),
            data,
        }
    }

    /// The length of [`encode`](Self::encode)'s bytes.
    pub(crate) fn encoded_len(&self) -> usize {
        43 + self.pending.map_or(0, |_| 32)
            + self.last_auth.map_or(0, |_| 8)
            + self.user.as_ref().map_or(0, |user| 1 + user.len() + 16)
            + 1
            + self.tokens.encoded_len()
            + self.data.encoded_len()
    }

    /// When the store shall forget the record if it is used `now`.
    pub(crate) fn deadline(&self, now: SystemTime) -> SystemTime {
        now.checked_add(self.idle).map_or(self.absolute, |idle| idle.min(self.absolute))
    }

    fn flags(&self) -> u8 {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        flag(self.user.is_some(), HAS_USER)
            | flag(self.last_auth.is_some(), HAS_LAST_AUTH)
            | flag(self.pending.is_some(), HAS_PENDING)
            | flag(self.lifetime == Lifetime::Own, HAS_OWN_LIFETIME)
            | flag(self.lifetime == Lifetime::Remembered, IS_REMEMBERED)
    }

    #[inline]
    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut reader = Reader { bytes: &bytes, at: 2 };
        let flags = reader.byte()?;
        let lifetime = match flags & !(HAS_USER | HAS_LAST_AUTH | HAS_PENDING) {
            0 => Lifetime::Configured,
            HAS_OWN_LIFETIME => Lifetime::Own,
            IS_REMEMBERED => Lifetime::Remembered,
            _ => return None,
        };
        let created = reader.time()?;
        let idle = Duration::from_millis(reader.u64()?);
        let absolute = reader.time()?;
        let handle = Handle::from_bytes(reader.array()?);
        let pending = match flags & HAS_PENDING {
            0 => None,
            _ => Some(StoreKey::from_bytes(reader.array()?)),
        };
        let last_auth = match flags & HAS_LAST_AUTH {
            0 => None,
            _ => Some(reader.time()?),
        };
        let mut epochs = Epochs::default();
        let user = match flags & HAS_USER {
            0 => None,
            _ => {
                let user = reader.text()?.into();
                epochs = Epochs { user: reader.u64()?, everybody: reader.u64()? };
                Some(user)
            }
        };
        let count = usize::from(reader.byte()?);
        if count > MAX_TOKENS {
            return None;
        }
        let read = reader.at..reader.at + 8 * count;
        let data = Data::index(bytes, read.end)?;
        let tokens = Tokens { record: data.record().cloned(), read, newer: SmallVec::new() };
        Some(Self {
            created,
            idle,
            absolute,
            handle,
            pending,
            lifetime,
            user,
            epochs,
            last_auth,
            tokens,
            data,
        })
    }
}

impl Tombstone {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (end, by, nonce): (u8, Option<&StoreKey>, Option<&[u8; 32]>) = match &self.end {
            End::Ended => (0, None, None),
            End::Replaced { by } => (1, Some(by), None),
            End::Rotated { by, nonce } => (2, Some(by), Some(nonce)),
        };
        let mut out = vec![FORMAT, KIND_TOMBSTONE, end];
        out.extend_from_slice(&to_ms(self.at).to_be_bytes());
        out.extend_from_slice(&self.token.to_be_bytes());
        out.extend(by.into_iter().flat_map(|key| key.as_bytes()));
        out.extend(nonce.into_iter().flatten());
        out
    }

    /// The key of the record that took this one's place.
    pub(crate) fn successor(&self) -> Option<&StoreKey> {
        match &self.end {
            End::Ended => None,
            End::Replaced { by } | End::Rotated { by, .. } => Some(by),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 2 };
        let end = reader.byte()?;
        let at = reader.time()?;
        let token = reader.u64()?;
        let end = match end {
            0 => End::Ended,
            1 => End::Replaced { by: StoreKey::from_bytes(reader.array()?) },
            2 => End::Rotated { by: StoreKey::from_bytes(reader.array()?), nonce: reader.array()? },
            _ => return None,
        };
        (reader.at == bytes.len()).then_some(Self { at, token, end })
    }
}

/// What fuzzers and the corpus test run: no bytes may panic or reserve memory they do not fill,
/// and what can be read is written back to the same bytes.
#[cfg(test)]
pub(crate) fn fuzz_one(bytes: &[u8]) {
    match Entry::decode(bytes.to_vec()) {
        Ok(Entry::Session(record)) => {
            for space in [super::data::Space::User, super::data::Space::Flash] {
                for name in record.data.names(space) {
                    let key = super::data::Key { space, name: name.into() };
                    let value = record.data.get(&key).unwrap();
                    drop(super::operations::decode::<ciborium::Value>(&key.name, value));
                }
            }
            assert_eq!(record.encode(), bytes);
            assert_eq!(record.encoded_len(), bytes.len());
        }
        Ok(Entry::Tombstone(tombstone)) => assert_eq!(tombstone.encode(), bytes),
        Err(_) => {}
    }
}
