//! How a table store is set up.

use std::path::PathBuf;
use std::time::Duration;

use crate::session::stores::Fsync;

/// Where and how a [`TableStore`](super::TableStore) keeps its sessions.
#[derive(Debug, Clone)]
pub struct TableOptions {
    /// The directory of the journal; created with mode 0700 if it is missing.
    pub dir: PathBuf,
    /// When saves survive a power loss; default [`Fsync::Interval`].
    pub fsync: Fsync,
    /// The interval of [`Fsync::Interval`]; default 100 ms.
    pub fsync_interval: Duration,
    /// Bytes after which the journal begins another file; default 64 MiB. A journal is compacted
    /// when it is longer than one such file and at least half of it is out of date.
    pub segment_bytes: u64,
    /// A save that took longer to write than this shows that the disk stalls: until it recovers,
    /// saves are written by a thread of their own, many at once, and no worker waits. Default 5 ms.
    pub stall_bound: Duration,
    /// How many records there may be with a new anonymous session; default 1,000,000. Who has a
    /// session is never refused: a login, another id, a lock may add records beyond that.
    pub max_sessions: u64,
    /// Memory there may be taken with a new anonymous session, each record counted as its bytes and
    /// 200 more; default 4 GiB. What is there may grow beyond it.
    pub max_total_bytes: u64,
    /// Directories the web server gives out: sessions must not lie in one.
    pub public_roots: Vec<PathBuf>,
}

impl TableOptions {
    /// The defaults, for this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            fsync: Fsync::default(),
            fsync_interval: Duration::from_millis(100),
            segment_bytes: 64 << 20,
            stall_bound: Duration::from_millis(5),
            max_sessions: 1_000_000,
            max_total_bytes: 4 << 30,
            public_roots: Vec::new(),
        }
    }
}
