//! Where maypole asks for the time of day: the system's clock, or one a test moves by hand.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A source of wall-clock time; cheap to clone. Sessions expire by it.
#[derive(Clone, Default)]
pub struct Clock {
    manual: Option<ManualClock>,
}

impl Clock {
    /// The clock of the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The time now, in whole milliseconds.
    ///
    /// Stores keep times so. A deadline with a finer fraction would be another one once it has
    /// been stored and read again, and a session's expiry would seem to have moved.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.manual.as_ref().map_or_else(|| whole_ms(SystemTime::now()), ManualClock::now)
    }
}

fn whole_ms(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    time - Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000))
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.manual.is_some() { "Clock(manual)" } else { "Clock(system)" })
    }
}

/// A clock for tests: it stands still until [`advance`](Self::advance) moves it.
///
/// ```
/// use std::time::Duration;
/// use maypole::testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().duration_since(before).unwrap(), Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    start: SystemTime,
    moved_ms: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at the present moment.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Clock::system().now(), moved_ms: Arc::default() }
    }

    /// The time this clock shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.start + Duration::from_millis(self.moved_ms.load(Ordering::Acquire))
    }

    /// Moves this clock, and every [`Clock`] made from it, forward (whole milliseconds).
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.fetch_add(by_ms, Ordering::AcqRel);
    }

    /// The same clock in the form the framework takes.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock { manual: Some(self.clone()) }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::Clock;

    #[test]
    fn times_are_what_stores_can_keep() {
        for _ in 0..100 {
            let since = Clock::system().now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(since.subsec_nanos() % 1_000_000, 0);
        }
    }
}
