//! What lies in a store, counted.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use super::remote::Counts;
use super::{Admin, Via, failed};
use crate::error::Result;
use crate::session::{Inspected, RecordKind};

/// What lies in a store, as [`Admin::stats`] counted it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Records by what they are, with their number; kinds of which there is none are left out.
    pub kinds: Vec<(RecordKind, u64)>,
    /// Sessions that live: revoked ones, whose records still lie there, are not counted.
    pub sessions: u64,
    /// Sessions of a user whose end is marked by an epoch.
    pub revoked: u64,
    /// Living sessions that are bound to a user.
    pub bound: u64,
    /// Users with a living session.
    pub users: u64,
    /// Bytes of the records of living sessions.
    pub session_bytes: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// When the oldest living session began.
    pub oldest: Option<SystemTime>,
    /// When the newest began.
    pub newest: Option<SystemTime>,
    /// `[session] max_sessions`, a quota for records of all kinds.
    pub max_sessions: u64,
    /// `[session] max_total_bytes`.
    pub max_total_bytes: u64,
    /// What the store tells of itself, in its own words.
    pub store: Vec<(String, u64)>,
    /// How often what happened to sessions in the running servers since each was started, summed;
    /// empty if none runs.
    pub events: Vec<(String, u64)>,
    /// The processes of these servers.
    pub servers: Vec<u32>,
}

impl Admin {
    /// Counts what lies in the store; reads all of it.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub fn stats(&self) -> Result<Stats> {
        let mut counted = Counted::default();
        let mut after = None;
        loop {
            let page = self.page(after.as_ref())?;
            let Some(last) = page.last() else { break };
            after = Some(last.key);
            page.iter().for_each(|record| counted.add(record));
        }
        let Counted { mut stats, kinds, users } = counted;
        stats.kinds = kinds.into_iter().collect();
        stats.users = users.len() as u64;
        (stats.max_sessions, stats.max_total_bytes) = (self.max_sessions, self.max_total_bytes);
        match &self.via {
            Via::Store { figures, .. } => {
                let figures = figures.as_ref().map(|figures| figures()).unwrap_or_default();
                stats.store = figures.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
            }
            Via::Server { remote, others } => {
                let (figures, events) = remote.figures().map_err(failed)?;
                (stats.store, stats.events) = (figures, events);
                stats.servers.push(remote.welcome.pid);
                for other in others {
                    add(&mut stats.events, other.figures().map_err(failed)?.1);
                    stats.servers.push(other.welcome.pid);
                }
            }
        }
        Ok(stats)
    }
}

/// Adds the counts of another server, which may be of another build.
fn add(sum: &mut Counts, more: Counts) {
    for (name, count) in more {
        match sum.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known += count,
            None => sum.push((name, count)),
        }
    }
}

#[derive(Default)]
struct Counted {
    stats: Stats,
    kinds: BTreeMap<RecordKind, u64>,
    users: HashSet<String>,
}

impl Counted {
    fn add(&mut self, record: &Inspected) {
        let bytes = record.bytes as u64;
        let stats = &mut self.stats;
        stats.bytes += bytes;
        *self.kinds.entry(record.kind).or_default() += 1;
        let Some(session) = record.session.as_ref().filter(|_| record.kind == RecordKind::Session)
        else {
            return;
        };
        if record.is_revoked {
            stats.revoked += 1;
            return;
        }
        stats.sessions += 1;
        stats.session_bytes += bytes;
        if let Some(user) = &session.user {
            stats.bound += 1;
            if !self.users.contains(user) {
                self.users.insert(user.clone());
            }
        }
        let created = session.created;
        stats.oldest = Some(stats.oldest.map_or(created, |oldest| oldest.min(created)));
        stats.newest = Some(stats.newest.map_or(created, |newest| newest.max(created)));
    }
}
