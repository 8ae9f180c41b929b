//! The one merge: the record a store holds now, and a request's changes, become the next record.
//!
//! Pure. The loop around it, which talks to the store, is in `save`.

use std::time::{Duration, SystemTime};

use super::operations::{self, Operation};
use super::record::{Epochs, Lifetime, Record};
use crate::error::{Error, ErrorKind, Result};

/// What a request wants to make of its session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changes<'a> {
    pub(crate) operations: &'a [Operation],
    pub(crate) login: Option<&'a Login>,
    pub(crate) timeouts: Option<Timeouts>,
    /// Marks this commit; the same for all its attempts.
    pub(crate) token: u64,
}

/// A user to be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Box<str>,
    /// When they proved who they are, if they just did.
    pub(crate) at: Option<SystemTime>,
    /// Loaded before the user is bound, so that a revocation in between counts.
    pub(crate) epochs: Epochs,
    /// What holds again if the session was another user's, who had chosen otherwise.
    pub(crate) configured: Timeouts,
}

/// How long a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) idle: Duration,
    /// From the creation of the session.
    pub(crate) absolute: Duration,
    pub(crate) lifetime: Lifetime,
}

impl Changes<'_> {
    /// The record after these changes.
    ///
    /// # Errors
    /// `SessionValue` if an operation meets a value of another type; `SessionTooLarge`, naming the
    /// largest key, if the record would exceed `max_bytes`.
    pub(crate) fn merge(&self, current: &Record, max_bytes: usize) -> Result<Record> {
        let mut record = current.clone();
        self.log_in(&mut record);
        self.set_timeouts(&mut record);
        operations::apply(self.operations, &mut record.data)?;
        self.finish(&mut record, current, max_bytes)?;
        Ok(record)
    }

    /// The record after these changes, when `data` already is the result of the operations: the
    /// store still holds what the request loaded, so they need not run again.
    pub(crate) fn merge_applied(
        &self,
        current: &Record,
        data: super::data::Data,
        max_bytes: usize,
    ) -> Result<Record> {
        let mut record = current.with_data(data);
        self.log_in(&mut record);
        self.set_timeouts(&mut record);
        self.finish(&mut record, current, max_bytes)?;
        Ok(record)
    }

    fn log_in(&self, record: &mut Record) {
        let Some(login) = self.login else { return };
        let is_other = record.user.as_ref().is_some_and(|user| *user != login.user);
        if is_other {
            record.last_auth = None;
            if record.lifetime != Lifetime::Configured {
                login.configured.apply(record);
            }
        }
        record.user = Some(login.user.clone());
        record.epochs = login.epochs;
        record.last_auth = login.at.or(record.last_auth);
    }

    fn set_timeouts(&self, record: &mut Record) {
        if let Some(timeouts) = self.timeouts {
            timeouts.apply(record);
        }
    }

    fn finish(&self, record: &mut Record, before: &Record, max_bytes: usize) -> Result<()> {
        record.tokens.push(self.token);
        record.pending = None;
        let len = record.encoded_len();
        // A record that was too large before (the limit was lowered) may still shrink.
        if len > max_bytes && record.data.encoded_len() > before.data.encoded_len() {
            return Err(too_large(record.data.largest().unwrap_or_default(), len, max_bytes));
        }
        Ok(())
    }
}

impl Timeouts {
    fn apply(self, record: &mut Record) {
        record.idle = self.idle;
        record.absolute = record.created.checked_add(self.absolute).unwrap_or(record.absolute);
        record.lifetime = self.lifetime;
    }
}

/// What a verb that writes `key`, and a commit, say of a record that has outgrown its limit.
pub(crate) fn too_large(key: &str, len: usize, max_bytes: usize) -> Error {
    let what = format!(
        "the session would have {len} bytes, more than max_session_bytes = {max_bytes}, with key {key:?}"
    );
    Error::new(ErrorKind::SessionTooLarge, what)
}
