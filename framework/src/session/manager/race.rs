//! How long a commit tries against other writers and a store that does not answer.

use std::time::Duration;

use super::super::events::Event;
use super::super::record::Tokens;
use super::super::store::{StoreError, StoreKey};
use super::{Manager, store_error};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime;

/// Within a process commits queue, so this many conflicts mean that many other processes.
const MAX_CONFLICTS: u32 = 64;

/// From here on a loser waits before it tries again.
const IMPATIENT_CONFLICTS: u32 = 4;

/// Swaps without an answer before the request fails.
const MAX_UNKNOWN: u32 = 2;

/// The attempts of one commit.
pub(super) struct Race<'a> {
    manager: &'a Manager,
    key: StoreKey,
    conflicts: u32,
    unknown: u32,
    baseline: Option<u64>,
}

impl<'a> Race<'a> {
    pub(super) fn new(manager: &'a Manager, key: StoreKey) -> Self {
        Self { manager, key, conflicts: 0, unknown: 0, baseline: None }
    }

    /// Another writer was faster.
    ///
    /// # Errors
    /// `SessionConflict` if that happened too often; nothing of this commit is stored.
    pub(super) fn lost(&mut self) -> Result<()> {
        self.conflicts += 1;
        if self.conflicts > MAX_CONFLICTS {
            self.manager.events.note(Event::ConflictGivenUp, Some(&self.key));
            let what = "too many other writers of this session";
            return Err(Error::new(ErrorKind::SessionConflict, what));
        }
        self.manager.events.note(Event::Conflict, Some(&self.key));
        if self.conflicts > IMPATIENT_CONFLICTS {
            // Tokens are random enough to let two losers wait for different times.
            let spread_ms = self.manager.token() % u64::from(self.conflicts);
            runtime::sleep(Duration::from_millis(1 + spread_ms / 4));
        }
        Ok(())
    }

    /// A swap on a record whose last token is `baseline` failed. If nobody knows whether it was
    /// applied, it is time to look.
    ///
    /// # Errors
    /// That of the store: at once if it says that it changed nothing, or else when it is time to
    /// give up.
    pub(super) fn failed(&mut self, baseline: Option<u64>, error: StoreError) -> Result<()> {
        if !matches!(error, StoreError::Unavailable(_)) {
            return Err(store_error(error));
        }
        self.manager.events.note(Event::UnknownOutcome, Some(&self.key));
        self.unknown += 1;
        self.baseline = baseline;
        if self.unknown > MAX_UNKNOWN { Err(store_error(error)) } else { Ok(()) }
    }

    /// Whether some attempt got no answer, and may come true yet.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.unknown > 0
    }

    /// Whether the tokens found afterwards still reach back to the unanswered swap, so that the
    /// absence of its own token proves that it was not applied.
    ///
    /// # Errors
    /// `StoreUnavailable` if they do not: applying again could apply twice.
    pub(super) fn check_window(&self, found: &Tokens) -> Result<()> {
        match self.baseline {
            Some(baseline) if !found.contains(baseline) => {
                let what = "whether the session was stored cannot be known any more";
                Err(Error::new(ErrorKind::StoreUnavailable, what))
            }
            _ => Ok(()),
        }
    }
}
