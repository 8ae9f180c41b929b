//! Opening the session store that `[session] backend` names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::StoreFactory;
use super::settings::{
    file_store_options, redis_store_options, table_store_options, tiered_options,
};
use crate::config::{Config, Section};
use crate::error::{Error, ErrorKind, Result};
use crate::session::stores::{FileStore, RedisStore, TableStore, TieredStore};
use crate::session::{Blocking, SessionStore, StoreError};

/// A store, ready for sessions.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn SessionStore>,
    /// Where sessions lie, for the line printed at start.
    pub(crate) location: String,
    pub(crate) upkeep: Option<Upkeep>,
    /// What the store knows of itself, for `maypole session stats`.
    pub(crate) figures: Option<Figures>,
}

/// Names a store's own figures with their present values.
pub(crate) type Figures = Arc<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

/// What a store wants done beside requests, on a thread where it may block.
pub(crate) struct Upkeep {
    pub(crate) every: Duration,
    pass: Box<dyn Fn() -> Result<(), StoreError> + Send>,
    end: Box<dyn Fn() -> Result<(), StoreError> + Send>,
}

impl Upkeep {
    /// To be called `every` so often.
    pub(crate) fn pass(&self) {
        warn((self.pass)());
    }

    /// To be called once, after the last request.
    pub(crate) fn end(&self) {
        warn((self.end)());
    }
}

fn warn(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        log::warn!("keeping the session store up failed: {error}: {}", cause.unwrap_or_default());
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep").field("every", &self.every).finish_non_exhaustive()
    }
}

pub(crate) fn open_store(
    config: &Config,
    mut registered: BTreeMap<String, StoreFactory>,
) -> Result<Opened> {
    let name = config.session.backend.as_str();
    if let Some(make) = registered.remove(name) {
        let section_name = format!("session.{name}");
        let empty = Section::empty(&section_name);
        let section = config.section(&section_name).unwrap_or(&empty);
        let location = format!("the registered store {name:?}");
        return Ok(Opened { store: make(section)?, location, upkeep: None, figures: None });
    }
    match name {
        "file" => open_file(config),
        "table" => open_table(config),
        "redis" => open_redis(config),
        "tiered" => open_tiered(config),
        _ => {
            let built_in = ["file", "table", "redis", "tiered"];
            let known: Vec<_> = registered.keys().map(String::as_str).chain(built_in).collect();
            Err(config.unknown_backend(&known).into())
        }
    }
}

fn open_file(config: &Config) -> Result<Opened> {
    let store = Arc::new(
        FileStore::open(file_store_options(config))
            .map_err(|error| at_path(config, "session.file", &error))?,
    );
    let location = format!("{} (file store)", store.location().display());
    let upkeep = store.sync_interval().map(|every| {
        let (pass, end) = (Arc::clone(&store), Arc::clone(&store));
        Upkeep {
            every,
            pass: Box::new(move || pass.sync_pass().map(drop)),
            end: Box::new(move || end.sync_pass().map(drop)),
        }
    });
    let seen = Arc::clone(&store);
    let figures: Figures = Arc::new(move || {
        let usage = seen.usage();
        vec![("files", usage.sessions), ("disk bytes", usage.bytes), ("evicted", usage.evicted)]
    });
    let store = Arc::new(Blocking::shared(store));
    Ok(Opened { store, location, upkeep, figures: Some(figures) })
}

/// Names the setting that says where, and its place: the directory's name alone does not tell whose
/// it is.
fn at_path(config: &Config, section: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {}", config.place(section, "path"), error.chain()))
}

fn open_table(config: &Config) -> Result<Opened> {
    let store = Arc::new(
        TableStore::open(table_store_options(config))
            .map_err(|error| at_path(config, "session.table", &error))?,
    );
    let location =
        format!("memory, with a journal in {} (table store)", store.location().display());
    let (pass, end) = (Arc::clone(&store), Arc::clone(&store));
    let upkeep = Upkeep {
        every: store.maintain_interval(),
        pass: Box::new(move || pass.maintain()),
        end: Box::new(move || end.close()),
    };
    let seen = Arc::clone(&store);
    let figures: Figures = Arc::new(move || {
        let usage = seen.usage();
        vec![
            ("records", usage.sessions),
            ("memory bytes", usage.bytes),
            ("journal bytes", usage.journal_bytes),
            ("evicted", usage.evicted),
            ("stalls", usage.stalls),
        ]
    });
    Ok(Opened { store, location, upkeep: Some(upkeep), figures: Some(figures) })
}

fn open_redis(config: &Config) -> Result<Opened> {
    let (store, place) = redis_store(config)?;
    let location = format!("{place} (redis store)");
    Ok(Opened { store: Arc::new(store), location, upkeep: None, figures: None })
}

fn open_tiered(config: &Config) -> Result<Opened> {
    let (store, place) = redis_store(config)?;
    let store = Arc::new(TieredStore::new(store, &tiered_options(config))?);
    let location = format!("{place}, with copies in memory (tiered store)");
    let told = Arc::clone(&store);
    let figures: Figures = Arc::new(move || {
        let usage = told.usage();
        vec![
            ("records in memory", usage.records as u64),
            ("bytes in memory", usage.bytes as u64),
            ("loads from memory", usage.hits),
            ("loads from redis", usage.misses),
            ("memory is trusted", u64::from(told.trusts_memory())),
        ]
    });
    Ok(Opened { store, location, upkeep: None, figures: Some(figures) })
}

/// The store in the redis that `[session] redis_connection_pool` names. A server that is down is
/// no reason not to start.
#[expect(clippy::large_stack_frames, reason = "runs at start, not on a coroutine's stack")]
fn redis_store(config: &Config) -> Result<(RedisStore, String)> {
    let name = &config.session.redis_connection_pool;
    let settings = config.redis(name).ok_or_else(|| {
        Error::new(ErrorKind::Start, format!("there is no section [redis.{name}]"))
    })?;
    let store = RedisStore::open(settings, redis_store_options(config))?;
    store.look_at_server()?;
    Ok((store, format!("redis, as [redis.{name}] says")))
}
