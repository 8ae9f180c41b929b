//! What servers tell each other of records, by publish and subscribe on one channel. Pure.
//!
//! A message is any number of news, each: the record's key (32 bytes), kind (1), version or number
//! (8), who (8).

use crate::session::StoreKey;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum News {
    /// A swap put this version there.
    Changed { version: u64, writer: u64, is_created: bool },
    /// The record was deleted.
    Removed { writer: u64 },
    /// Drop it, whatever you hold, and tell `asker` under this number.
    Settle { number: u64, asker: u64 },
}

const BYTES: usize = 49;

const CHANGED: u8 = 0;
const CREATED: u8 = 1;
const REMOVED: u8 = 2;
const SETTLE: u8 = 3;

impl News {
    pub(in super::super) fn encode(self, key: &StoreKey) -> [u8; BYTES] {
        let (kind, number, who) = match self {
            Self::Changed { version, writer, is_created } => {
                (if is_created { CREATED } else { CHANGED }, version, writer)
            }
            Self::Removed { writer } => (REMOVED, 0, writer),
            Self::Settle { number, asker } => (SETTLE, number, asker),
        };
        let mut bytes = [kind; BYTES];
        bytes[..32].copy_from_slice(key.as_bytes());
        bytes[33..41].copy_from_slice(&number.to_be_bytes());
        bytes[41..].copy_from_slice(&who.to_be_bytes());
        bytes
    }

    /// All news in a message, without what nobody of us says.
    pub(in super::super) fn decode(message: &[u8]) -> impl Iterator<Item = (StoreKey, Self)> {
        let (all, _) = message.as_chunks::<BYTES>();
        all.iter().filter_map(Self::decode_one)
    }

    fn decode_one(bytes: &[u8; BYTES]) -> Option<(StoreKey, Self)> {
        let (key, [kind, rest @ ..]) = bytes.split_first_chunk::<32>()? else { return None };
        let (number, who) = rest.split_first_chunk()?;
        let (number, who) = (u64::from_be_bytes(*number), who.try_into().ok()?);
        let who = u64::from_be_bytes(who);
        let news = match *kind {
            CHANGED => Self::Changed { version: number, writer: who, is_created: false },
            CREATED => Self::Changed { version: number, writer: who, is_created: true },
            REMOVED => Self::Removed { writer: who },
            SETTLE => Self::Settle { number, asker: who },
            _ => return None,
        };
        Some((StoreKey::from_bytes(*key), news))
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, News};
    use crate::session::StoreKey;

    #[test]
    fn news_come_back_and_noise_is_none() {
        let all = [
            News::Changed { version: u64::MAX, writer: 1, is_created: false },
            News::Changed { version: 7, writer: u64::MAX, is_created: true },
            News::Removed { writer: 3 },
            News::Settle { number: 4, asker: 5 },
        ];
        let key = |number| StoreKey::from_bytes([number; 32]);
        let all: Vec<_> = (1..).map(key).zip(all).collect();
        let mut message: Vec<u8> = all.iter().flat_map(|(key, news)| news.encode(key)).collect();
        assert_eq!(News::decode(&message).collect::<Vec<_>>(), all);
        message.truncate(message.len() - 1);
        assert_eq!(News::decode(&message).count(), 3, "the last is torn");
        assert_eq!(News::decode(b"").count(), 0);
        assert_eq!(News::decode(&[9; BYTES]).count(), 0);
    }
}
