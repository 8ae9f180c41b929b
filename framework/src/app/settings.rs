//! From config.ini's sections to what the stores are opened with.

use crate::config::{Config, Fsync};
use crate::session::stores::{self, FileStoreOptions, TableOptions};

pub(super) fn file_store_options(config: &Config) -> FileStoreOptions {
    let file = &config.session_file;
    let mut options = FileStoreOptions::new(&file.path);
    options.fsync = fsync(file.fsync);
    options.fsync_interval = file.fsync_interval;
    options.max_sessions = config.session.max_sessions;
    options.max_total_bytes = config.session.max_total_bytes;
    options
}

pub(super) fn table_store_options(config: &Config) -> TableOptions {
    let table = &config.session_table;
    let mut options = TableOptions::new(&table.path);
    options.fsync = fsync(table.fsync);
    options.fsync_interval = table.fsync_interval;
    options.segment_bytes = table.segment;
    options.stall_bound = table.stall_bound;
    options.max_sessions = config.session.max_sessions;
    options.max_total_bytes = config.session.max_total_bytes;
    options
}

fn fsync(setting: Fsync) -> stores::Fsync {
    match setting {
        Fsync::Never => stores::Fsync::Never,
        Fsync::Interval => stores::Fsync::Interval,
        Fsync::Always => stores::Fsync::Always,
    }
}
