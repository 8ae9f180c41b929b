//! How a file store is set up.

use std::path::PathBuf;
use std::time::Duration;

use super::Fsync;

/// Where and how a [`FileStore`](super::FileStore) keeps its sessions.
#[derive(Debug, Clone)]
pub struct FileStoreOptions {
    /// The directory; created with mode 0700 if it is missing.
    pub dir: PathBuf,
    /// When saves survive a power loss; default [`Fsync::Interval`].
    pub fsync: Fsync,
    /// The interval of [`Fsync::Interval`]; default 100 ms.
    pub fsync_interval: Duration,
    /// How many records there may be with a new anonymous session; default 1,000,000. Who has a
    /// session is never refused: a login, another id, a lock may add records beyond that.
    pub max_sessions: u64,
    /// Disk space there may be taken with a new anonymous session, counted in blocks of 4 KB;
    /// default 8 GiB. What is there may grow beyond it.
    pub max_total_bytes: u64,
    /// Session files kept open between requests; default 1,024. With 0 each request opens its own.
    pub max_open_files: usize,
    /// Directories the web server gives out: sessions must not lie in one.
    pub public_roots: Vec<PathBuf>,
}

impl FileStoreOptions {
    /// The defaults, for this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            fsync: Fsync::default(),
            fsync_interval: Duration::from_millis(100),
            max_sessions: 1_000_000,
            max_total_bytes: 8 << 30,
            max_open_files: 1024,
            public_roots: Vec::new(),
        }
    }
}
