//! Messages for the next page: kept apart from the application's keys, delivered once.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::data::Space;
use super::session::Session;
use super::verbs::key_in;
use crate::error::Result;

impl Session {
    /// Leaves `message` under `name` for a later request, usually the one after a redirect.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn flash(&self, name: &str, message: impl Serialize) -> Result<()> {
        self.set_in(Space::Flash, name, &message)
    }

    /// Takes the message under `name`, at once: of any number of requests exactly one gets it.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_flash<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.take_in(&key_in(Space::Flash, name)?)
    }
}
