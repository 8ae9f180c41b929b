//! Opening the session store that `[session] backend` names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::StoreFactory;
use super::settings::{file_store_options, table_store_options};
use crate::config::{Config, Section};
use crate::error::Result;
use crate::session::stores::{FileStore, TableStore};
use crate::session::{Blocking, SessionStore, StoreError};

/// A store, ready for sessions.
pub(super) struct Opened {
    pub(super) store: Arc<dyn SessionStore>,
    /// Where sessions lie, for the line printed at start.
    pub(super) location: String,
    pub(super) upkeep: Option<Upkeep>,
}

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

pub(super) fn open_store(
    config: &Config,
    mut registered: BTreeMap<String, StoreFactory>,
) -> Result<Opened> {
    let name = config.session.backend.as_str();
    if let Some(make) = registered.remove(name) {
        let section_name = format!("session.{name}");
        let empty = Section::empty(&section_name);
        let section = config.section(&section_name).unwrap_or(&empty);
        let location = format!("the registered store {name:?}");
        return Ok(Opened { store: make(section)?, location, upkeep: None });
    }
    match name {
        "file" => open_file(config),
        "table" => open_table(config),
        _ => {
            let built_in = ["file", "table"];
            let known: Vec<_> = registered.keys().map(String::as_str).chain(built_in).collect();
            Err(config.unknown_backend(&known).into())
        }
    }
}

fn open_file(config: &Config) -> Result<Opened> {
    let store = Arc::new(FileStore::open(file_store_options(config))?);
    let location = format!("{} (file store)", store.location().display());
    let upkeep = store.sync_interval().map(|every| {
        let (pass, end) = (Arc::clone(&store), Arc::clone(&store));
        Upkeep {
            every,
            pass: Box::new(move || pass.sync_pass().map(drop)),
            end: Box::new(move || end.sync_pass().map(drop)),
        }
    });
    Ok(Opened { store: Arc::new(Blocking::shared(store)), location, upkeep })
}

fn open_table(config: &Config) -> Result<Opened> {
    let store = Arc::new(TableStore::open(table_store_options(config))?);
    let location =
        format!("memory, with a journal in {} (table store)", store.location().display());
    let (pass, end) = (Arc::clone(&store), Arc::clone(&store));
    let upkeep = Upkeep {
        every: store.maintain_interval(),
        pass: Box::new(move || pass.maintain()),
        end: Box::new(move || end.close()),
    };
    Ok(Opened { store, location, upkeep: Some(upkeep) })
}
