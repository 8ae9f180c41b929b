//! What nodes tell each other by publish and subscribe. The channel of a record is named as its
//! key; a node has a channel of its own.
//!
//! On a record's channel: kind (1 byte), version or number (8), who (8). Pure.

/// A message on the channel of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum News {
    /// A swap put this version there.
    Changed { version: u64, writer: u64, is_created: bool },
    /// The record was deleted.
    Removed { writer: u64 },
    /// Drop it, whatever you hold, and tell `asker` under this number.
    Settle { number: u64, asker: u64 },
}

const CHANGED: u8 = 0;
const CREATED: u8 = 1;
const REMOVED: u8 = 2;
const SETTLE: u8 = 3;

impl News {
    pub(in super::super) fn encode(self) -> [u8; 17] {
        let (kind, number, who) = match self {
            Self::Changed { version, writer, is_created } => {
                (if is_created { CREATED } else { CHANGED }, version, writer)
            }
            Self::Removed { writer } => (REMOVED, 0, writer),
            Self::Settle { number, asker } => (SETTLE, number, asker),
        };
        let mut bytes = [kind; 17];
        bytes[1..9].copy_from_slice(&number.to_be_bytes());
        bytes[9..].copy_from_slice(&who.to_be_bytes());
        bytes
    }

    /// `None` for what nobody of us says.
    pub(in super::super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (number, who) = rest.split_first_chunk()?;
        let (number, who) = (u64::from_be_bytes(*number), who.try_into().ok()?);
        let who = u64::from_be_bytes(who);
        Some(match *kind {
            CHANGED => Self::Changed { version: number, writer: who, is_created: false },
            CREATED => Self::Changed { version: number, writer: who, is_created: true },
            REMOVED => Self::Removed { writer: who },
            SETTLE => Self::Settle { number, asker: who },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::News;

    #[test]
    fn news_come_back_and_noise_is_none() {
        let all = [
            News::Changed { version: u64::MAX, writer: 1, is_created: false },
            News::Changed { version: 7, writer: u64::MAX, is_created: true },
            News::Removed { writer: 3 },
            News::Settle { number: 4, asker: 5 },
        ];
        for news in all {
            assert_eq!(News::decode(&news.encode()), Some(news));
            assert_eq!(News::decode(&news.encode()[..16]), None);
        }
        assert_eq!(News::decode(b""), None);
        assert_eq!(News::decode(&[9; 17]), None);
        assert_eq!(News::decode(&[0; 18]), None);
    }
}
