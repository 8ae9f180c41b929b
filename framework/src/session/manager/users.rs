//! What a user may ask of their sessions.

use std::time::SystemTime;

use super::super::id::Handle;
use super::super::record::Record;
use super::super::users::{Device, device_of};
use super::Manager;
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
        for key in self.index(user, now)?.keys().into_iter().rev() {
            self.bury(key, is_theirs, now)?;
        }
        Ok(())
    }

    /// Ends the session of `user` with this handle. False if there is none.
    pub(in super::super) fn revoke(&self, user: &str, handle: Handle) -> Result<bool> {
        let now: SystemTime = self.clock.now();
        let is_meant =
            |record: &Record| record.user.as_deref() == Some(user) && record.handle == handle;
        let mut is_found = false;
        // The newest first: a session that changes its id just now is listed twice.
        for key in self.index(user, now)?.keys().into_iter().rev() {
            is_found |= self.bury(key, is_meant, now)?;
        }
        Ok(is_found)
    }
}
