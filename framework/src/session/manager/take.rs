//! Taking a value at once, at most once.

use super::super::commit::Changes;
use super::super::data::{Data, Key, Value};
use super::super::operations::{self, Operation};
use super::super::state::Open;
use super::Manager;
use super::swap::Swapped;
use crate::error::Result;

impl Manager {
    /// Removes `key` from the stored session at once, and from the request's own changes: the
    /// value as the handler saw it goes to this caller only.
    pub(in super::super) fn take(&self, open: &mut Open, key: &Key) -> Result<Option<Value>> {
        let Some(seen) = open.get(key).map(Value::from) else {
            return Ok(None);
        };
        let is_stored =
            open.stored_base().filter(|base| base.record.data.get(key).is_some()).cloned();
        let Some(base) = is_stored else {
            open.write(Operation::Remove { key: key.clone() }, usize::MAX)?;
            return Ok(Some(seen));
        };
        let own = |operation: &&Operation| operation.key().is_none_or(|other| other == key);
        let removal = [Operation::Remove { key: key.clone() }];
        let changes =
            Changes { operations: &removal, login: None, timeouts: None, token: self.token() };
        let mut taken = None;
        let swapped = self.swap_loop(&base, changes.token, self.clock.now(), |current, _| {
            let mut only = Data::default();
            let stored = current.record.data.get(key);
            if let Some(value) = stored {
                only.put(key, value.into());
            }
            operations::apply(open.operations.iter().filter(own), &mut only)?;
            taken = only.get(key).map(Value::from);
            if stored.is_none() {
                return Ok(None);
            }
            changes.merge(&current.record, self.settings.max_session_bytes).map(Some)
        })?;
        match swapped {
            Swapped::Stored(next) => {
                self.note_renewal(open, &base, &next);
                open.base = Some(next);
            }
            Swapped::Stopped(current) => open.base = Some(current),
            Swapped::Gone => {
                open.lose();
                taken = None;
            }
        }
        open.operations.retain(|operation| operation.key().is_none_or(|other| other != key));
        open.reapply()?;
        Ok(taken)
    }
}
