//! Names in redis: keys of records, channels of nodes.

use smallvec::SmallVec;

use crate::session::StoreKey;

/// The name of a record; most fit in without an allocation.
pub(in super::super) type Name = SmallVec<[u8; 96]>;

/// All names begin with the prefix of `[session.redis]`.
#[derive(Debug, Clone)]
pub(in super::super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(in super::super) fn record(&self, key: &StoreKey) -> Name {
        let mut name = Name::from_slice(self.prefix.as_bytes());
        name.extend_from_slice(&key.hex());
        name
    }

    /// The session whose record lies under `name`.
    pub(in super::super) fn key(&self, name: &[u8]) -> Option<StoreKey> {
        let hex = name.strip_prefix(self.prefix.as_bytes())?;
        StoreKey::from_hex(std::str::from_utf8(hex).ok()?)
    }

    /// The names of all records, as a pattern. No other name of ours fits: they begin with
    /// letters that are no hex digits.
    pub(in super::super) fn all_records(&self) -> String {
        format!("{}[0-9a-f]*", self.prefix)
    }

    /// The channel on which changes of all records are told. It comes before those of nodes.
    pub(in super::super) fn news(&self) -> String {
        format!("{}news", self.prefix)
    }

    /// Where nodes that keep copies are listed.
    pub(in super::super) fn nodes(&self) -> String {
        format!("{}nodes", self.prefix)
    }

    /// The channel of one node.
    pub(in super::super) fn node(&self, node: u64) -> String {
        format!("{}node:{node:016x}", self.prefix)
    }
}
