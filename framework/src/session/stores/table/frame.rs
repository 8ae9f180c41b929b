//! One change of the table as bytes in the journal. Bytes and values only; no file is touched here.
//!
//! A frame is a header of 72 bytes and a payload. Both are checksummed, the header together with
//! the salt of its segment: a reader that looks for the next whole frame behind a damaged one
//! cannot be led to take bytes of a session for a frame, since who wrote them does not know the
//! salt.

use std::sync::Arc;

use super::super::millis::to_ms;
use super::entry::{Entry, MAX_MS, PACKED_HEADER_BYTES, seen};
use crate::session::{StoreKey, Stored};

/// Bytes of a frame before its payload.
pub(super) const HEADER_BYTES: usize = 72;

/// The largest payload; a bound on what a damaged header can make us read.
pub(super) const MAX_PAYLOAD_BYTES: usize = 16 << 20;

const MAGIC: [u8; 3] = *b"mpt";
/// Where in the header the entry begins as the table keeps it: version, last seen, then payload.
const PACKED_AT: usize = HEADER_BYTES - PACKED_HEADER_BYTES;
const HEADER_SUM_AT: usize = 12;

/// What a frame says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole record, new or in place of another.
    Put,
    /// New times for the record with this version.
    Touch,
    /// There is no record any more.
    Remove,
    /// The last frame of a snapshot; its version is the number of records before it.
    End,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Put => b'P',
            Self::Touch => b'T',
            Self::Remove => b'R',
            Self::End => b'E',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Put, Self::Touch, Self::Remove, Self::End]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) key: StoreKey,
    pub(super) deadline_ms: u64,
    pub(super) version: u64,
    /// Last seen and the evictable flag, as an entry packs them.
    pub(super) seen: u64,
    pub(super) payload_bytes: usize,
    payload_sum: u32,
}

/// Frames on their way into the journal; [`seal`] makes them valid there.
#[derive(Debug, Default, Clone)]
pub(super) struct Frames(pub(super) Vec<u8>);

impl Frames {
    pub(super) fn with_capacity(payload_bytes: usize) -> Self {
        Self(Vec::with_capacity(HEADER_BYTES + payload_bytes))
    }

    /// Adds a record, and gives it as the table will hold it.
    pub(super) fn record(&mut self, key: &StoreKey, stored: &Stored) -> Entry {
        let deadline_ms = to_ms(stored.deadline).min(MAX_MS);
        let begin = self.begin(Kind::Put, key, deadline_ms, &stored.bytes);
        self.0.extend_from_slice(&stored.version.to_le_bytes());
        self.0.extend_from_slice(&seen(stored.last_seen, stored.evictable).to_le_bytes());
        self.0.extend_from_slice(&stored.bytes);
        let packed = self.0.get(begin + PACKED_AT..).unwrap_or_default();
        Entry { key: *key, deadline_ms, packed: Arc::from(packed) }
    }

    /// Adds a record as the table holds it.
    pub(super) fn put(&mut self, entry: &Entry) {
        self.push(Kind::Put, &entry.key, entry.deadline_ms, &entry.packed);
    }

    /// Adds new times for the record that `entry` holds.
    pub(super) fn touch(&mut self, entry: &Entry) {
        let header = entry.packed.get(..PACKED_HEADER_BYTES).unwrap_or_default();
        self.push(Kind::Touch, &entry.key, entry.deadline_ms, header);
    }

    /// Adds the end of a record.
    pub(super) fn remove(&mut self, key: &StoreKey) {
        self.push(Kind::Remove, key, 0, &[0; PACKED_HEADER_BYTES]);
    }

    /// Adds the end of a snapshot of so many records.
    pub(super) fn end(&mut self, count: u64) {
        let mut packed = [0; PACKED_HEADER_BYTES];
        for (byte, count) in packed.iter_mut().zip(count.to_le_bytes()) {
            *byte = count;
        }
        self.push(Kind::End, &StoreKey::from_bytes([0; 32]), 0, &packed);
    }

    fn push(&mut self, kind: Kind, key: &StoreKey, deadline_ms: u64, packed: &[u8]) {
        let payload = packed.get(PACKED_HEADER_BYTES..).unwrap_or_default();
        self.begin(kind, key, deadline_ms, payload);
        self.0.extend_from_slice(packed);
    }

    /// Adds all that comes before the entry as the table keeps it; gives where it began.
    fn begin(&mut self, kind: Kind, key: &StoreKey, deadline_ms: u64, payload: &[u8]) -> usize {
        let begin = self.0.len();
        let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let bytes = &mut self.0;
        bytes.extend_from_slice(&MAGIC);
        bytes.push(kind.byte());
        bytes.extend_from_slice(&payload_bytes.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        // The header's checksum is of the segment the frame goes to, not known yet.
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&deadline_ms.to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        begin
    }
}

/// Makes the frames in `bytes` valid in the segment with this salt.
pub(super) fn seal(mut bytes: &mut [u8], salt: u32) {
    while bytes.len() >= HEADER_BYTES {
        let payload_bytes = bytes
            .get(4..)
            .and_then(<[u8]>::first_chunk)
            .map_or(0, |field| u32::from_le_bytes(*field));
        let (header, rest) = bytes.split_at_mut(HEADER_BYTES);
        let sum = header_sum(header, salt).to_le_bytes();
        if let Some(field) = header.get_mut(HEADER_SUM_AT..HEADER_SUM_AT + 4) {
            field.copy_from_slice(&sum);
        }
        let next = usize::try_from(payload_bytes).unwrap_or(usize::MAX).min(rest.len());
        bytes = rest.split_at_mut(next).1;
    }
}

/// The header at the start of `bytes`, if there is a whole and valid one.
pub(super) fn parse(bytes: &[u8], salt: u32) -> Option<Header> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let kind = Kind::of(*rest.first()?)?;
    let header = bytes.get(..HEADER_BYTES)?;
    let payload_bytes = usize::try_from(u32_at(header, 4)?).ok()?;
    if payload_bytes > MAX_PAYLOAD_BYTES
        || u32_at(header, HEADER_SUM_AT)? != header_sum(header, salt)
    {
        return None;
    }
    Some(Header {
        kind,
        payload_bytes,
        payload_sum: u32_at(header, 8)?,
        deadline_ms: u64_at(header, 16)?,
        key: StoreKey::from_bytes(*header.get(24..)?.first_chunk()?),
        version: u64_at(header, PACKED_AT)?,
        seen: u64_at(header, PACKED_AT + 8)?,
    })
}

impl Header {
    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes
    }

    /// Whether the payload of the frame that `bytes` begin with is there and undamaged.
    pub(super) fn is_whole(&self, bytes: &[u8]) -> bool {
        let payload = bytes.get(HEADER_BYTES..self.frame_bytes());
        payload.is_some_and(|payload| crc32fast::hash(payload) == self.payload_sum)
    }

    /// The entry that the frame at the start of `bytes` puts into the table.
    pub(super) fn entry(&self, bytes: &[u8]) -> Entry {
        let packed = bytes.get(PACKED_AT..self.frame_bytes()).unwrap_or_default();
        Entry { key: self.key, deadline_ms: self.deadline_ms, packed: Arc::from(packed) }
    }
}

/// The checksum of a header: of all its fields but itself, begun with the salt.
fn header_sum(header: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(header.get(..HEADER_SUM_AT).unwrap_or_default());
    hasher.update(header.get(HEADER_SUM_AT + 4..HEADER_BYTES).unwrap_or_default());
    hasher.finalize()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|field| u64::from_le_bytes(*field))
}

/// Any bytes at all parse without a panic, and what parses is written back as the same bytes.
#[cfg(test)]
pub(super) fn fuzz_one(bytes: &[u8]) {
    const SALT: u32 = 7;
    let mut bytes = bytes.to_vec();
    let _ = parse(&bytes, SALT);
    // Half of the time with right checksums, or nothing would get past them.
    seal(&mut bytes, SALT);
    let Some(header) = parse(&bytes, SALT) else { return };
    if !header.is_whole(&bytes) {
        return;
    }
    let entry = header.entry(&bytes);
    let mut again = Frames::default();
    match header.kind {
        Kind::Put => again.put(&entry),
        Kind::Touch if header.payload_bytes == 0 => again.touch(&entry),
        _ => return,
    }
    seal(&mut again.0, SALT);
    assert_eq!(again.0, bytes[..header.frame_bytes()]);
}
