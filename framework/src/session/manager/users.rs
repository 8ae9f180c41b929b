//! What a user may ask of their sessions.

use std::time::SystemTime;

use super::super::id::Handle;
use super::super::record::Record;
use super::super::users::{Device, device_of};
use super::Manager;
use super::index::Buried;
use crate::error::Result;

impl Manager {
    /// The sessions of `user`, the last used first. `current` is the handle of the one that asks.
    pub(in super::super) fn devices(
        &self,
        user: &str,
        current: Option<Handle>,
    ) -> Result<Vec<Device>> {
        let now = self.clock.now();
        let (living, _) = self.living(&self.index(user, now)?, user, now)?;
        let mut devices: Vec<Device> = living
            .into_iter()
            .map(|living| {
                let mut device = device_of(&living.record, living.last_seen);
                device.is_current = current == Some(device.handle);
                device
            })
            .collect();
        devices.sort_by_key(|device| std::cmp::Reverse(device.last_seen));
        Ok(devices)
    }

    /// Ends every session of `user` that the index lists, one after another.
    pub(super) fn revoke_listed(&self, user: &str) -> Result<()> {
        let now = self.clock.now();
        let is_theirs = |record: &Record| record.user.as_deref() == Some(user);
        self.bury_listed(user, is_theirs, now).map(drop)
    }

    /// Ends the session of `user` with this handle. False if there is none.
    pub(in super::super) fn revoke(&self, user: &str, handle: Handle) -> Result<bool> {
        let now: SystemTime = self.clock.now();
        let is_meant =
            |record: &Record| record.user.as_deref() == Some(user) && record.handle == handle;
        self.bury_listed(user, is_meant, now)
    }

    /// Ends those of the sessions listed of `user` that are `wanted`; false if there is none.
    fn bury_listed(
        &self,
        user: &str,
        wanted: impl Fn(&Record) -> bool,
        now: SystemTime,
    ) -> Result<bool> {
        let mut is_found = false;
        let mut ended = Vec::new();
        // The newest first: a session that changes its id just now is listed twice.
        for key in self.index(user, now)?.keys().into_iter().rev() {
            match self.bury_unsettled(key, &wanted, now)? {
                Buried::Here(key) => {
                    is_found = true;
                    ended.push(key);
                }
                // Who ended it may have been told that nobody knows.
                Buried::Before(key) => ended.push(key),
                Buried::Other | Buried::Nothing(_) => {}
            }
        }
        // Only now: a store that does not say that one end holds must not keep the next from ending.
        ended.iter().try_for_each(|key| self.settle(key))?;
        Ok(is_found)
    }
}
