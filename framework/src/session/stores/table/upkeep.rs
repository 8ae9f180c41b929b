//! What a store does beside the calls of the contract: syncing in the background, and deciding when
//! the journal is written anew.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::Fsync;
use super::super::disk::failed;
use super::options::TableOptions;
use super::{Inner, compact, frame};
use crate::runtime::sync::ShortLock;
use crate::session::StoreError;

/// How often to look when nothing is to be synced.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a compaction that failed is not tried again.
const RETRY_TIME: Duration = Duration::from_secs(10);

/// When what was done last.
#[derive(Debug)]
pub(super) struct Upkeep {
    options: TableOptions,
    state: ShortLock<State>,
}

#[derive(Debug)]
struct State {
    synced_at: Instant,
    failed_at: Option<Instant>,
    compaction: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(super) fn new(options: TableOptions) -> Self {
        let state = State { synced_at: Instant::now(), failed_at: None, compaction: None };
        Self { options, state: ShortLock::new(state) }
    }

    pub(super) fn interval(&self) -> Duration {
        match self.options.fsync {
            Fsync::Interval => self.options.fsync_interval.min(LOOK_INTERVAL),
            Fsync::Never | Fsync::Always => LOOK_INTERVAL,
        }
    }

    fn is_sync_due(&self) -> bool {
        if self.options.fsync != Fsync::Interval {
            return false;
        }
        self.state.with(|state| {
            let is_due = state.synced_at.elapsed() >= self.options.fsync_interval;
            if is_due {
                state.synced_at = Instant::now();
            }
            is_due
        })
    }
}

pub(super) fn maintain(inner: &Arc<Inner>) -> Result<(), StoreError> {
    if inner.is_stopped.load(Ordering::Relaxed) {
        return Ok(());
    }
    inner.journal.check_place().map_err(failed("cannot find the session journal"))?;
    if is_compaction_due(inner) {
        start_compaction(inner);
    }
    if inner.upkeep.is_sync_due() {
        inner.journal.sync().map_err(failed("cannot sync the session journal"))?;
    }
    Ok(())
}

pub(super) fn close(inner: &Arc<Inner>) -> Result<(), StoreError> {
    inner.stop();
    if let Some(thread) = inner.upkeep.state.with(|state| state.compaction.take()) {
        thread.join().ok();
    }
    inner.journal.finish().map_err(failed("cannot sync the session journal"))
}

/// Longer than a segment, and at least half of it out of date; or a part of it is in doubt.
fn is_compaction_due(inner: &Inner) -> bool {
    let held = inner.usage.held();
    let unsigned = |count: i64| u64::try_from(count).unwrap_or_default();
    let headers = unsigned(held.sessions).saturating_mul(frame::HEADER_BYTES as u64);
    let live = unsigned(held.bytes).saturating_add(headers);
    let total = inner.journal.total_bytes();
    let segment_bytes = inner.upkeep.options.segment_bytes;
    let is_wanted = inner.journal.needs_rewrite() || (total > segment_bytes && total / 2 > live);
    is_wanted
        && inner.upkeep.state.with(|state| {
            let is_running = state.compaction.as_ref().is_some_and(|thread| !thread.is_finished());
            let failed_lately = state.failed_at.is_some_and(|at| at.elapsed() < RETRY_TIME);
            !is_running && !failed_lately
        })
}

fn start_compaction(inner: &Arc<Inner>) {
    let shared = Arc::clone(inner);
    let started = std::thread::Builder::new()
        .name("maypole-compact".to_owned())
        .spawn(move || run_compaction(&shared));
    match started {
        Ok(thread) => inner.upkeep.state.with(|state| state.compaction = Some(thread)),
        Err(error) => compaction_failed(inner, &error),
    }
}

fn run_compaction(inner: &Inner) {
    let begun = Instant::now();
    let before = inner.journal.total_bytes();
    let was_asked = inner.journal.begin_rewrite();
    let done = compact::compact(&inner.map, &inner.journal, &inner.is_stopped, &mut |_| ());
    match done {
        Ok(()) => {
            let after = inner.journal.total_bytes();
            log::debug!("session journal: {before} -> {after} bytes in {:?}", begun.elapsed());
        }
        Err(error) => {
            if was_asked {
                inner.journal.ask_rewrite();
            }
            compaction_failed(inner, &error);
        }
    }
}

fn compaction_failed(inner: &Inner, error: &io::Error) {
    log::error!("cannot write the session journal anew, trying again soon: {error}");
    inner.upkeep.state.with(|state| state.failed_at = Some(Instant::now()));
}
