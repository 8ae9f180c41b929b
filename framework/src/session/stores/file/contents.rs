//! What a session file holds, read whole: which of its two slots counts, and when a reader without
//! the lock may believe what it saw.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::slot::{self, HEADER_BYTES, Header, Slot};
use crate::session::{StoreKey, Stored};

/// A file with at least one valid slot.
#[derive(Debug)]
pub(super) struct Contents {
    bytes: Vec<u8>,
    newest: usize,
    other_is_invalid: bool,
    /// The header of the newest valid slot.
    pub(super) header: Header,
    /// The size of each of the two slots.
    pub(super) slot_bytes: usize,
}

/// What reading a file gave.
#[derive(Debug)]
pub(super) enum Read {
    Record(Contents),
    /// Empty, or the first part of a file: its creation was cut short, or is under way.
    Unfinished,
    /// No valid slot; why, for the log.
    Damaged(&'static str),
    /// Not a regular file.
    Foreign,
}

impl Contents {
    /// Reads an open file, whose metadata were just taken.
    pub(super) fn read(file: &File, found: &Metadata, key: &StoreKey) -> io::Result<Read> {
        if !found.is_file() {
            return Ok(Read::Foreign);
        }
        if found.size() == 0 {
            return Ok(Read::Unfinished);
        }
        // A length that no session file has is judged by its first bytes, not read whole.
        let slot_bytes = slot::slot_bytes_of_file(found.size());
        let wanted = slot_bytes.map_or(HEADER_BYTES, |bytes| 2 * bytes);
        let mut bytes = vec![0; wanted];
        let read = read_up_to(file, &mut bytes)?;
        bytes.truncate(read);
        Ok(match slot_bytes {
            Some(slot_bytes) if read == wanted => Self::parse(bytes, slot_bytes, key, found.size()),
            _ => without_slots(&bytes, found.size(), key),
        })
    }

    /// What the whole bytes of a file with two slots of this size say.
    pub(super) fn parse(
        bytes: Vec<u8>,
        slot_bytes: usize,
        key: &StoreKey,
        file_bytes: u64,
    ) -> Read {
        let (first, second) = bytes.split_at(slot_bytes);
        let slots = [slot::decode(first, key), slot::decode(second, key)];
        let (newest, other, header) = match slots {
            [Slot::Valid(first), Slot::Valid(second)] if second.sequence > first.sequence => {
                (1, Slot::Valid(first), second)
            }
            [Slot::Valid(first), other] => (0, other, first),
            [other, Slot::Valid(second)] => (1, other, second),
            _ => return without_slots(&bytes, file_bytes, key),
        };
        Read::Record(Self {
            bytes,
            newest,
            other_is_invalid: other == Slot::Invalid,
            header,
            slot_bytes,
        })
    }

    /// The bytes of the record.
    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload_range()).unwrap_or_default()
    }

    /// The record as the store gives it out.
    pub(super) fn into_stored(mut self) -> Stored {
        let Range { start, end } = self.payload_range();
        self.bytes.truncate(end);
        self.bytes.drain(..start);
        self.bytes.shrink_to_fit();
        let Header { version, deadline, last_seen, evictable, .. } = self.header;
        Stored { bytes: self.bytes, version, deadline, last_seen, evictable }
    }

    /// Where the next write goes: over the older slot, or the one a crash left invalid.
    pub(super) fn spare_offset(&self) -> u64 {
        if self.newest == 0 { self.slot_bytes as u64 } else { 0 }
    }

    /// Whether a reader without the lock may take this for the newest state.
    ///
    /// A slot that is invalid may be one that is just being written. Then two writes can have
    /// begun since the read did, of which the first went to the slot we had already copied: the
    /// valid slot in our copy may be older than a save acknowledged before we started.
    pub(super) fn is_settled(&self) -> bool {
        !self.other_is_invalid
    }

    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        2 * self.slot_bytes as u64
    }

    fn payload_range(&self) -> Range<usize> {
        let start = self.newest * self.slot_bytes + HEADER_BYTES;
        start..start + self.header.payload_bytes
    }
}

fn without_slots(bytes: &[u8], file_bytes: u64, key: &StoreKey) -> Read {
    let cut = slot::is_cut_creation(bytes, file_bytes, key);
    if cut { Read::Unfinished } else { Read::Damaged("no valid slot") }
}

fn read_up_to(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
