//! Whom the sentinels call master, asked again and again.
//!
//! A master that is replaced while it lives goes on answering until it is made a replica, which takes
//! sentinels ten seconds and more. What is written to it meanwhile is lost, and other processes may
//! be at the new one already. So a connection ends as soon as another master is named.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::dial::Dialer;
use crate::config::RedisAddress;
use crate::runtime::{self, sync::ShortLock};

/// The time between two questions: one short command on a connection that is kept.
const PAUSE: Duration = Duration::from_millis(200);

/// The master named last.
#[derive(Debug, Default)]
pub(super) struct Masters {
    named: ShortLock<Option<RedisAddress>>,
    changes: AtomicU64,
}

/// The time for which one master is named.
#[derive(Debug)]
pub(super) struct Reign {
    masters: Arc<Masters>,
    begun: u64,
}

impl Masters {
    /// Notes that `master` is named now.
    pub(super) fn name(self: &Arc<Self>, master: &RedisAddress) -> Reign {
        let begun = self.named.with(|named| {
            if named.as_ref() != Some(master) && named.replace(master.clone()).is_some() {
                self.changes.fetch_add(1, Ordering::AcqRel);
            }
            self.changes.load(Ordering::Acquire)
        });
        Reign { masters: Arc::clone(self), begun }
    }

    fn has_named(&self) -> bool {
        self.named.with(|named| named.is_some())
    }
}

impl Reign {
    pub(super) fn is_over(&self) -> bool {
        self.masters.changes.load(Ordering::Acquire) != self.begun
    }
}

/// Asks for as long as the dialer lives, once somebody has connected.
pub(super) fn watch(dialer: Weak<Dialer>) {
    let started = runtime::thread("maypole-sentinel", move || {
        let mut sentinel = None;
        loop {
            std::thread::park_timeout(PAUSE);
            let Some(dialer) = dialer.upgrade() else { return };
            if dialer.masters().has_named() {
                // A failure says nothing about the master: the next round asks the next sentinel.
                sentinel = dialer.ask_for_master(sentinel.take()).ok();
            }
        }
    });
    if let Err(error) = started {
        log::error!("no thread asks the sentinels who is master: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Masters;
    use crate::config::RedisAddress;

    #[test]
    fn a_reign_ends_when_another_is_named() {
        let masters = Arc::new(Masters::default());
        assert!(!masters.has_named());
        let one = RedisAddress::Tcp("one".to_owned(), 1);
        let first = masters.name(&one);
        assert!(masters.has_named());
        masters.name(&one);
        assert!(!first.is_over(), "the same is named again");
        let second = masters.name(&RedisAddress::Tcp("two".to_owned(), 1));
        assert!(first.is_over() && !second.is_over());
        masters.name(&one);
        assert!(first.is_over() && second.is_over(), "a new reign of the old one is another");
    }
}
