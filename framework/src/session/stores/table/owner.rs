//! The one process a journal belongs to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::super::disk;
use crate::{Error, ErrorKind};

const NAME: &str = "owner";
/// A process that was killed a moment ago may still be dying while its successor starts.
const PATIENCE: Duration = Duration::from_secs(3);

/// The lock of a journal; the kernel takes it back when its process ends, however it ends.
#[derive(Debug)]
pub(super) struct Owner(File);

impl Owner {
    /// Takes the journal in `dir` for this process, or says who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            let message = format!("cannot lock the session journal in {}", dir.display());
            Error::new(ErrorKind::Start, message).caused_by(error)
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(libc::O_NOFOLLOW).open(dir.join(NAME)).map_err(failed)?;
        if !disk::lock(&file, PATIENCE).map_err(failed)? {
            return Err(Error::new(ErrorKind::Start, in_use(dir, &file)));
        }
        let pid = std::process::id().to_string();
        file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0)).map_err(failed)?;
        Ok(Self(file))
    }

    /// Lets another store have the journal.
    pub(super) fn release(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

fn in_use(dir: &Path, file: &File) -> String {
    let mut pid = [0; 20];
    let read = file.read_at(&mut pid, 0).unwrap_or_default();
    let pid = pid.get(..read).and_then(|pid| std::str::from_utf8(pid).ok()).unwrap_or_default();
    let owner =
        if pid.is_empty() { "another process".to_owned() } else { format!("process {pid}") };
    format!(
        "the session journal in {} is in use by {owner}; a table store belongs to one process, \
         backend = file can be shared",
        dir.display()
    )
}
