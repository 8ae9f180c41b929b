//! A record as it lies in redis: one string, a header of fixed size and the bytes.
//!
//! ```text
//!  0  u8   format, 1
//!  1  u64  version
//!  9  u64  deadline in ms since 1970
//! 17  u64  last seen in ms since 1970
//! 25  u8   1 if evictable
//! 26  ..   the record's bytes
//! ```
//!
//! Numbers are big-endian; the scripts read version and deadline from these places.

use std::time::{Duration, SystemTime};

use super::super::millis::{from_ms, to_ms};
use crate::session::{Renewed, Stored};

const FORMAT: u8 = 1;
pub(super) const HEADER_BYTES: usize = 26;

/// So much longer than its deadline redis keeps a record: who decides about a record's end is the
/// caller's clock, and the clocks of several servers differ.
const SLACK: Duration = Duration::from_secs(60);

/// Redis refuses times that do not fit beside its own clock; nobody waits that long.
const LONGEST_MS: u64 = 1000 * 365 * 86_400_000;

/// What stands before a record's bytes.
pub(super) fn encode(stored: &Stored) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..17].copy_from_slice(&beginning(Some(stored.version), stored.deadline));
    bytes[17..25].copy_from_slice(&to_ms(stored.last_seen).to_be_bytes());
    bytes[25] = u8::from(stored.evictable);
    bytes
}

/// How a record with this version begins; without one it is what no record begins with.
pub(super) fn beginning(version: Option<u64>, deadline: SystemTime) -> [u8; 17] {
    let mut bytes = [version.map_or(0, |_| FORMAT); 17];
    bytes[1..9].copy_from_slice(&version.unwrap_or_default().to_be_bytes());
    bytes[9..].copy_from_slice(&to_ms(deadline).to_be_bytes());
    bytes
}

/// The record in a string; `None` if it is not one of ours.
pub(super) fn decode(mut value: Vec<u8>) -> Option<Stored> {
    let (header, _) = value.split_first_chunk::<HEADER_BYTES>()?;
    let [FORMAT, .., flags] = *header else { return None };
    let number = |at: usize| {
        let bytes = header.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_be_bytes)
    };
    let (version, deadline, last_seen) = (number(1)?, number(9)?, number(17)?);
    value.drain(..HEADER_BYTES);
    Some(Stored {
        bytes: value,
        version,
        deadline: from_ms(deadline)?,
        last_seen: from_ms(last_seen)?,
        evictable: flags & 1 == 1,
    })
}

/// When a record was last seen, by its header, if it may be evicted: also if its time is over.
pub(super) fn evictable_since(header: &[u8], now: SystemTime) -> Option<SystemTime> {
    let header: &[u8; HEADER_BYTES] = header.try_into().ok()?;
    let [FORMAT, .., flags] = *header else { return None };
    let time = |at: usize| from_ms(u64::from_be_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let (deadline, last_seen) = (time(9)?, time(17)?);
    (flags & 1 == 1 || deadline <= now).then_some(last_seen)
}

/// What a touch writes over the header from its deadline on. A mark that is to stay is left alone.
pub(super) fn renewal(renewed: Renewed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17);
    bytes.extend_from_slice(&to_ms(renewed.deadline).to_be_bytes());
    bytes.extend_from_slice(&to_ms(renewed.last_seen).to_be_bytes());
    if !renewed.evictable {
        bytes.push(0);
    }
    bytes
}

/// How long redis is to keep a record, in ms. It only frees memory: the deadline in the header
/// is what holds.
pub(super) fn kept_ms(deadline: SystemTime, now: SystemTime) -> u64 {
    let left = deadline.duration_since(now).unwrap_or_default();
    u64::try_from((left + SLACK).as_millis()).unwrap_or(u64::MAX).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{HEADER_BYTES, decode, encode, kept_ms};
    use crate::session::Stored;

    #[test]
    fn a_record_comes_back_and_foreign_bytes_are_none() {
        let stored = Stored {
            bytes: b"\0\r\n1".to_vec(),
            version: (1 << 53) + 1,
            deadline: UNIX_EPOCH + Duration::from_millis(u64::from(u32::MAX) * 500 + 7),
            last_seen: UNIX_EPOCH + Duration::from_millis(3),
            evictable: true,
        };
        let value = [&encode(&stored)[..], &stored.bytes].concat();
        assert_eq!(decode(value.clone()), Some(stored));
        assert!(decode(value[..HEADER_BYTES - 1].to_vec()).is_none());
        assert!(decode([&[9][..], &value[1..]].concat()).is_none(), "another format");
        assert!(decode(Vec::new()).is_none());
    }

    #[test]
    fn redis_keeps_a_record_longer_than_its_deadline() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(kept_ms(now + Duration::from_secs(5), now), 65_000);
        assert_eq!(kept_ms(now - Duration::from_secs(5), now), 60_000);
        let far = now + Duration::from_secs(u64::from(u32::MAX) * 1000);
        assert_eq!(kept_ms(far, now), super::LONGEST_MS);
    }
}
