//! Where sessions lie is a line of config.ini, not of code; a store of your own is one more name.
//!
//! ```text
//! $ MAYPOLE_SESSION_BACKEND=memory cargo run --bin 07_backends
//! $ curl -c jar -b jar localhost:8080/
//! visits: 1
//! ```

use std::collections::HashMap;
use std::time::SystemTime;

use maypole::prelude::*;
use maypole::session::{
    Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch,
};
use maypole::sync::Mutex;

/// A store in memory: gone with the process. The contract is in the trait's documentation, and
/// `maypole::testing::store_conformance` checks a store against it.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<StoreKey, Stored>>);

impl SessionStore for Memory {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        Ok(self.0.lock().get(key).filter(|record| record.deadline > now).cloned())
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        let mut records = self.0.lock();
        let current = records.get(key).filter(|record| record.deadline > now);
        match (expected, current.map(|record| record.version)) {
            (Expected::Absent, None) => {}
            (Expected::Version(wanted), Some(version)) if wanted == version => {}
            (Expected::Version(_), None) => return Ok(Swap::Missing),
            _ => return Ok(Swap::Conflict),
        }
        records.insert(*key, new.clone());
        Ok(Swap::Done)
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        let mut records = self.0.lock();
        let current = records.get_mut(key).filter(|it| it.deadline > now && it.version == version);
        let Some(record) = current else { return Ok(Touch::Stale) };
        (record.deadline, record.last_seen) = (renewed.deadline, renewed.last_seen);
        record.evictable &= renewed.evictable;
        Ok(Touch::Done)
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        Ok(self.0.lock().remove(key).is_some())
    }

    fn sweep(&self, now: SystemTime, _budget: usize) -> Result<Swept, StoreError> {
        let mut records = self.0.lock();
        let examined = records.len();
        records.retain(|_, record| record.deadline > now);
        Ok(Swept { examined, removed: examined - records.len(), finished: true })
    }
}

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.session_store("memory", |_section| Ok(Memory::default()));
    app.get("/", |ctx| Ok(format!("visits: {}\n", ctx.session.increment("visits", 1)?)));
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
