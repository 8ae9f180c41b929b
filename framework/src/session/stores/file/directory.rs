//! The directory of the file store: whether it may be used at all, and where in it things lie.
//!
//! `<dir>/xx/<64 hex>` is a session, `xx` being the first byte of its key; `.tmp-*` beside it is a
//! file being grown; `<dir>/quarantine/` keeps a few damaged files for whoever wants to look.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::private;
use super::disk;
use crate::Error;
use crate::session::StoreKey;

/// Sub-directories, one for each first byte of a key.
pub(super) const SHARDS: usize = 256;

/// A directory that passed the checks of the start.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    device: u64,
}

impl Directory {
    /// Creates the directory if need be and refuses one in which sessions would not be private.
    pub(super) fn open(path: &Path, public_roots: &[PathBuf]) -> Result<Self, Error> {
        let (path, found) = private::open(path, public_roots)?;
        Ok(Self { path, device: found.dev() })
    }

    /// The absolute path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a session.
    pub(super) fn record(&self, key: &StoreKey) -> PathBuf {
        let hex = hex(key);
        let name = OsStr::from_bytes(&hex);
        let shard = OsStr::from_bytes(&hex[..2]);
        let length = self.path.as_os_str().len() + 1 + shard.len() + 1 + name.len();
        let mut path = PathBuf::with_capacity(length);
        path.push(&self.path);
        path.push(shard);
        path.push(name);
        path
    }

    /// The sub-directory of keys that begin with this byte.
    pub(super) fn shard(&self, shard: u8) -> PathBuf {
        self.path.join(format!("{shard:02x}"))
    }

    /// The directory of damaged files.
    pub(super) fn quarantine(&self) -> PathBuf {
        self.path.join("quarantine")
    }

    /// A fresh name for a file that will be renamed into the same sub-directory.
    pub(super) fn temporary(&self, shard: u8) -> io::Result<PathBuf> {
        Ok(self.shard(shard).join(private::temporary_name()?))
    }

    /// Fails if the file system with the sessions is not there: then "no such file" is no answer.
    ///
    /// A directory that was deleted is an answer (all sessions are gone); one that was unmounted
    /// shows as another device, or as a missing path on another device.
    pub(super) fn check_mounted(&self) -> io::Result<()> {
        let mut at = self.path.as_path();
        let found = loop {
            match fs::symlink_metadata(at) {
                Err(error) if error.kind() == ErrorKind::NotFound => match at.parent() {
                    Some(parent) => at = parent,
                    None => return Err(error),
                },
                result => break result?,
            }
        };
        if found.dev() == self.device {
            return Ok(());
        }
        Err(io::Error::other("the session directory is on another device than at start"))
    }

    /// Creates the sub-directory of a key, and the directory itself if somebody deleted it.
    pub(super) fn create_shard(&self, shard: u8) -> io::Result<()> {
        let path = self.shard(shard);
        match disk::create_dir(&path, false) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.check_mounted()?;
                log::warn!("the session directory was deleted while in use; creating it again");
                disk::create_dir(&self.path, true)?;
                disk::create_dir(&path, false)
            }
            result => result,
        }
    }
}

/// The key a file name stands for, if it is one of ours in its right sub-directory.
pub(super) fn key_of(name: &std::ffi::OsStr, shard: u8) -> Option<StoreKey> {
    let key = StoreKey::from_hex(name.to_str()?)?;
    (shard_of(&key) == shard).then_some(key)
}

/// The sub-directory a key belongs in.
pub(super) const fn shard_of(key: &StoreKey) -> u8 {
    let [first, ..] = *key.as_bytes();
    first
}

/// The key in hex; on the way of every request, so without the formatting machinery.
fn hex(key: &StoreKey) -> [u8; 64] {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    let mut hex = [0; 64];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(key.as_bytes()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    hex
}
