//! From config.ini's sections to what the stores are opened with.

use crate::config::{Config, Fsync};
use crate::runtime::raise_descriptor_limit;
use crate::session::stores::{
    self, FileStoreOptions, RedisStoreOptions, TableOptions, TieredOptions,
};

pub(super) fn file_store_options(config: &Config) -> FileStoreOptions {
    let file = &config.session_file;
    let mut options = FileStoreOptions::new(&file.path);
    options.fsync = fsync(file.fsync);
    options.fsync_interval = file.fsync_interval;
    options.max_sessions = config.session.max_sessions;
    options.max_total_bytes = config.session.max_total_bytes;
    options.max_open_files = file.max_open_files.min(raise_descriptor_limit() / 8);
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

pub(super) fn redis_store_options(config: &Config) -> RedisStoreOptions {
    let redis = &config.session_redis;
    RedisStoreOptions {
        prefix: redis.prefix.clone(),
        wait_replicas: redis.wait_replicas,
        wait_timeout: redis.wait_timeout,
        max_sessions: config.session.max_sessions,
        max_total_bytes: config.session.max_total_bytes,
    }
}

pub(super) fn tiered_options(config: &Config) -> TieredOptions {
    let tiered = &config.session_tiered;
    TieredOptions {
        lease: tiered.lease,
        max_records: tiered.max_records,
        max_bytes: tiered.max_bytes,
    }
}

fn fsync(setting: Fsync) -> stores::Fsync {
    match setting {
        Fsync::Never => stores::Fsync::Never,
        Fsync::Interval => stores::Fsync::Interval,
        Fsync::Always => stores::Fsync::Always,
    }
}
