//! What happens to sessions, for the log (target `maypole::session`) and for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use log::Level;

use super::store::StoreKey;
use crate::runtime::{LeftOut, LogLimit};

/// Something that happened to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Created,
    Renewed,
    Rotated,
    Regenerated,
    Destroyed,
    Expired,
    /// A request wrote to a session that was ended meanwhile; nothing was stored.
    GoneWrite,
    /// A cookie that names no session, or is no id at all.
    UnknownId,
    /// The id was rotated away longer ago than the grace time.
    LateReuse,
    /// Two live sessions came in one request.
    Ambiguous,
    /// Another writer was faster; the operations ran again.
    Conflict,
    /// Too many other writers; the request failed.
    ConflictGivenUp,
    /// The store did not say whether a swap took place.
    UnknownOutcome,
    /// A record that this program cannot read.
    Undecodable,
    /// One address started too many sessions.
    CreationRefused,
    /// A stream ended with changes nobody saved.
    UnsavedChanges,
    /// A session of a user all of whose sessions, or everybody's, were ended.
    Revoked,
    /// A user's oldest session was ended to make room for a new one.
    Displaced,
}

const ALL: [(Event, &str, Level); 18] = [
    (Event::Created, "created", Level::Debug),
    (Event::Renewed, "renewed", Level::Debug),
    (Event::Rotated, "rotated", Level::Debug),
    (Event::Regenerated, "regenerated", Level::Debug),
    (Event::Destroyed, "destroyed", Level::Debug),
    (Event::Expired, "expired", Level::Debug),
    (Event::GoneWrite, "write to an ended session dropped", Level::Info),
    (Event::UnknownId, "unknown id", Level::Debug),
    (Event::LateReuse, "rotated id used after its grace time", Level::Warn),
    (Event::Ambiguous, "two live sessions in one request", Level::Warn),
    (Event::Conflict, "conflict, operations applied again", Level::Debug),
    (Event::ConflictGivenUp, "too many conflicts, request failed", Level::Warn),
    (Event::UnknownOutcome, "outcome of a swap unknown", Level::Warn),
    (Event::Undecodable, "record cannot be read, session is empty", Level::Debug),
    (Event::CreationRefused, "too many new sessions from one address", Level::Warn),
    (Event::UnsavedChanges, "changes after the response head were not saved", Level::Debug),
    (Event::Revoked, "revoked session used", Level::Info),
    (Event::Displaced, "oldest session of a user ended, it had too many", Level::Info),
];

/// How often each event happened since start.
#[derive(Debug, Default)]
pub(crate) struct Events {
    counts: [AtomicU64; ALL.len()],
    /// Of warnings: a store that is away gives several for each request.
    limits: Box<[LogLimit; ALL.len()]>,
}

impl Events {
    /// Counts and logs, of each kind of warning one a second. Of the session only the first digits
    /// of its store key are shown.
    pub(crate) fn note(&self, event: Event, key: Option<&StoreKey>) {
        let at = event as usize;
        if let (Some(count), Some((_, words, level))) = (self.counts.get(at), ALL.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
            if log::log_enabled!(target: "maypole::session", *level) {
                let limit = self.limits.get(at).filter(|_| *level <= Level::Warn);
                let Some(left_out) = limit.map_or(Some(LeftOut::default()), LogLimit::admit) else {
                    return;
                };
                let session = key.map(StoreKey::short).unwrap_or_default();
                log::log!(
                    target: "maypole::session", *level, session = session.as_str();
                    "{words}{left_out}"
                );
            }
        }
    }

    /// How often `event` happened.
    pub(crate) fn count(&self, event: Event) -> u64 {
        self.counts.get(event as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// All events by their words, with their counts, for metrics.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ALL.iter().map(|(event, words, _)| (*words, self.count(*event)))
    }
}
