//! The files of a journal: their names and the header each begins with.
//!
//! `<id>.seg` holds changes in the order in which they were made. `<id>.snap` holds the whole table
//! and stands for all segments up to and including that id. A `.tmp` is a snapshot being written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::disk;
use super::frame::{u32_at, u64_at};

/// Bytes of the header of a file.
pub(super) const HEADER_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"mptable\x01";

/// What a file of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileKind {
    Snapshot,
    Segment,
    Unfinished,
}

/// The header of a file of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    /// Random; begins every checksum in the file.
    pub(super) salt: u32,
    /// Where the segment before this one ended, if that is known: what lies behind was never
    /// acknowledged.
    pub(super) previous_bytes: Option<u64>,
}

impl Header {
    pub(super) fn new(id: u64, previous_bytes: Option<u64>) -> io::Result<Self> {
        let salt = getrandom::u32().map_err(io::Error::other)?;
        Ok(Self { id, salt, previous_bytes })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&self.previous_bytes.unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let sum = crc32fast::hash(bytes.get(..HEADER_BYTES - 4)?);
        if !bytes.starts_with(&MAGIC) || u32_at(bytes, HEADER_BYTES - 4)? != sum {
            return None;
        }
        Some(Self {
            id: u64_at(bytes, 8)?,
            previous_bytes: Some(u64_at(bytes, 16)?).filter(|bytes| *bytes != u64::MAX),
            salt: u32_at(bytes, 24)?,
        })
    }

    /// The header of a file, if it has a whole one.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Creates a file of the journal with its header; leaves none behind if that fails.
pub(super) fn create(path: &Path, header: &Header) -> io::Result<File> {
    // A file of this name can only be left over from a creation that failed.
    disk::unlink(path)?;
    let file = disk::create_new(path)?;
    if let Err(error) = file.write_all_at(&header.encode(), 0) {
        // Should this fail too, the next try begins with it.
        disk::unlink(path).ok();
        return Err(error);
    }
    Ok(file)
}

pub(super) fn path(dir: &Path, id: u64, kind: FileKind) -> PathBuf {
    let ending = match kind {
        FileKind::Snapshot => "snap",
        FileKind::Segment => "seg",
        FileKind::Unfinished => "snap.tmp",
    };
    dir.join(format!("{id:016x}.{ending}"))
}

/// The files of the journal in a directory, by id; other files are not ours.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, FileKind)>> {
    let mut files = Vec::new();
    for entry in disk::entries(dir)?.into_iter().flatten() {
        let name = entry?.file_name();
        files.extend(name.to_str().and_then(parse_name));
    }
    files.sort_unstable();
    Ok(files)
}

fn parse_name(name: &str) -> Option<(u64, FileKind)> {
    let (id, ending) = name.split_once('.')?;
    let kind = match ending {
        "snap" => FileKind::Snapshot,
        "seg" => FileKind::Segment,
        "snap.tmp" => FileKind::Unfinished,
        _ => return None,
    };
    let is_id = id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = u64::from_str_radix(id, 16).ok().filter(|_| is_id)?;
    Some((id, kind))
}
