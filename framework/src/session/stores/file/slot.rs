//! One slot of a session file: a checksummed header and the payload behind it. Bytes and values
//! only; no file is touched here.
//!
//! A session file is two slots of equal size. A save overwrites the older one, a reader takes the
//! valid one with the highest sequence. Slots of 512 bytes share a page, so a kill -9 cannot cut
//! them (the kernel interrupts a write at page boundaries); larger slots are whole pages, since
//! slots that share a page were lost together in simulated power failures (ext4, November 2026).

use std::time::SystemTime;

use super::millis::{from_ms, to_ms};
use crate::session::{StoreKey, Stored};

/// Bytes of the header before the payload.
pub(super) const HEADER_BYTES: usize = 88;

/// The largest payload a session file takes; a bound on what a damaged header can make us read.
pub(super) const MAX_PAYLOAD_BYTES: usize = 16 << 20;

const SMALL_SLOT_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;
const MAX_SLOT_BYTES: usize = (MAX_PAYLOAD_BYTES + HEADER_BYTES).next_multiple_of(PAGE_BYTES);

/// "mps" and the format number.
const MAGIC: [u8; 4] = *b"mps\x01";
const EVICTABLE: u32 = 1;

/// What a slot says of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Counts the writes of this file, touches too; decides which slot is newer.
    pub(super) sequence: u64,
    pub(super) version: u64,
    pub(super) deadline: SystemTime,
    pub(super) last_seen: SystemTime,
    pub(super) evictable: bool,
    pub(super) payload_bytes: usize,
}

impl Header {
    /// The header under which `stored` is written.
    pub(super) fn of(stored: &Stored, sequence: u64) -> Self {
        Self {
            sequence,
            version: stored.version,
            deadline: stored.deadline,
            last_seen: stored.last_seen,
            evictable: stored.evictable,
            payload_bytes: stored.bytes.len(),
        }
    }

    /// The sequence of the write after this one.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(1)
    }

    /// Whether the record is gone at `now`.
    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        self.deadline <= now
    }
}

/// What the bytes of one slot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Never written: the header is all zero.
    Unwritten,
    /// A write that was cut short, damage, or something that is not ours.
    Invalid,
    /// A whole record.
    Valid(Header),
}

/// The smallest slot for a payload of this length.
pub(super) const fn slot_bytes_for(payload_bytes: usize) -> usize {
    let needed = HEADER_BYTES + payload_bytes;
    if needed <= SMALL_SLOT_BYTES { SMALL_SLOT_BYTES } else { needed.next_multiple_of(PAGE_BYTES) }
}

/// The slot size of a file of this length, if it is the length of a session file.
pub(super) fn slot_bytes_of_file(file_bytes: u64) -> Option<usize> {
    let file_bytes = usize::try_from(file_bytes).ok()?;
    let slot_bytes = file_bytes / 2;
    let whole = file_bytes.is_multiple_of(2 * PAGE_BYTES) && slot_bytes >= PAGE_BYTES;
    let small = file_bytes == 2 * SMALL_SLOT_BYTES;
    ((whole || small) && slot_bytes <= MAX_SLOT_BYTES).then_some(slot_bytes)
}

/// Whether a write of this slot is more than one page, so that the disk may tear it.
pub(super) const fn spans_pages(slot_bytes: usize) -> bool {
    slot_bytes > PAGE_BYTES
}

/// The slot size a file grows to, with room for the next pushes.
pub(super) fn grown_slot_bytes(slot_bytes: usize, payload_bytes: usize) -> usize {
    let needed = slot_bytes_for(payload_bytes);
    let doubled = if slot_bytes < PAGE_BYTES { PAGE_BYTES } else { slot_bytes * 2 };
    needed.max(doubled).min(MAX_SLOT_BYTES)
}

/// Header and payload as they are written at the start of a slot.
pub(super) fn encode(
    key: &StoreKey,
    header: &Header,
    payload: &[u8],
    slot_bytes: usize,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&to_u32(payload.len()).to_le_bytes());
    bytes.extend_from_slice(&(if header.evictable { EVICTABLE } else { 0 }).to_le_bytes());
    bytes.extend_from_slice(&header.sequence.to_le_bytes());
    bytes.extend_from_slice(&header.version.to_le_bytes());
    bytes.extend_from_slice(&to_ms(header.deadline).to_le_bytes());
    bytes.extend_from_slice(&to_ms(header.last_seen).to_le_bytes());
    bytes.extend_from_slice(&to_u32(slot_bytes).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(key.as_bytes());
    debug_assert_eq!(bytes.len(), HEADER_BYTES, "the header has its fixed length");
    bytes.extend_from_slice(payload);
    let checksum = checksum(&bytes);
    if let Some(field) = bytes.get_mut(4..8) {
        field.copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

/// A new file whole: the record in the first slot, the second unwritten.
pub(super) fn encode_file(
    key: &StoreKey,
    header: &Header,
    payload: &[u8],
    slot_bytes: usize,
) -> Vec<u8> {
    let mut bytes = encode(key, header, payload, slot_bytes);
    bytes.resize(2 * slot_bytes, 0);
    bytes
}

/// Reads one whole slot of the file of `key`. Bytes after the payload are left from longer records.
pub(super) fn decode(slot: &[u8], key: &StoreKey) -> Slot {
    match slot.get(..HEADER_BYTES) {
        Some(header) if header.iter().all(|byte| *byte == 0) => Slot::Unwritten,
        Some(_) => decode_written(slot, key).map_or(Slot::Invalid, Slot::Valid),
        None => Slot::Invalid,
    }
}

/// Whether a file that begins like this is one whose creation was cut short: its header is the
/// first one ever written to it, and the file ends at a page before the length the header says.
pub(super) fn is_cut_creation(start: &[u8], file_bytes: u64, key: &StoreKey) -> bool {
    Fields(start).parts().is_some_and(|parts| {
        parts.magic == MAGIC
            && parts.sequence == 1
            && parts.key == *key.as_bytes()
            && file_bytes < 2 * u64::from(parts.slot_bytes)
            && file_bytes.is_multiple_of(PAGE_BYTES as u64)
    })
}

fn decode_written(slot: &[u8], key: &StoreKey) -> Option<Header> {
    let parts = Fields(slot).parts()?;
    let payload_bytes = usize::try_from(parts.payload_bytes).ok()?;
    let slot_bytes = usize::try_from(parts.slot_bytes).ok()?;
    let is_ours = parts.magic == MAGIC
        && parts.flags & !EVICTABLE == 0
        && parts.key == *key.as_bytes()
        && slot_bytes == slot.len();
    // The length is believed only after the checksum over exactly that many bytes.
    let written = slot.get(..HEADER_BYTES.checked_add(payload_bytes)?)?;
    if !is_ours || checksum(written) != parts.checksum {
        return None;
    }
    Some(Header {
        sequence: parts.sequence,
        version: parts.version,
        deadline: from_ms(parts.deadline_ms)?,
        last_seen: from_ms(parts.last_seen_ms)?,
        evictable: parts.flags & EVICTABLE != 0,
        payload_bytes,
    })
}

/// CRC-32 of everything but the magic and the checksum itself.
fn checksum(written: &[u8]) -> u32 {
    crc32fast::hash(written.get(8..).unwrap_or_default())
}

struct Parts {
    magic: [u8; 4],
    checksum: u32,
    payload_bytes: u32,
    flags: u32,
    sequence: u64,
    version: u64,
    deadline_ms: u64,
    last_seen_ms: u64,
    slot_bytes: u32,
    key: [u8; 32],
}

/// The bytes of a header, taken field by field from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn parts(&mut self) -> Option<Parts> {
        let magic = self.take()?;
        let checksum = self.u32()?;
        let payload_bytes = self.u32()?;
        let flags = self.u32()?;
        let sequence = self.u64()?;
        let version = self.u64()?;
        let deadline_ms = self.u64()?;
        let last_seen_ms = self.u64()?;
        let slot_bytes = self.u32()?;
        let _reserved: [u8; 4] = self.take()?;
        let key = self.take()?;
        Some(Parts {
            magic,
            checksum,
            payload_bytes,
            flags,
            sequence,
            version,
            deadline_ms,
            last_seen_ms,
            slot_bytes,
            key,
        })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Lengths are bounded by `MAX_PAYLOAD_BYTES` before they come here; a longer one would not decode.
fn to_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Any bytes at all decode without a panic, and what decodes is written back as the same bytes.
#[cfg(test)]
pub(super) fn fuzz_one(bytes: &[u8]) {
    let (key, slot) = match bytes.split_first_chunk() {
        Some((key, slot)) => (StoreKey::from_bytes(*key), slot),
        None => (StoreKey::from_bytes([0; 32]), bytes),
    };
    let _ = is_cut_creation(slot, slot.len() as u64, &key);
    if let Slot::Valid(header) = decode(slot, &key) {
        let end = HEADER_BYTES + header.payload_bytes;
        let again = encode(&key, &header, &slot[HEADER_BYTES..end], slot.len());
        assert_eq!(decode_written(&[&again, &slot[end..]].concat(), &key), Some(header));
    }
}
