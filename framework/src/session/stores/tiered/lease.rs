//! Whether memory may be used: only for a while after a beat that went out through redis came back
//! by the connection on which changes are told.
//!
//! Whatever was published before that beat was published has then been heard. The time counts
//! from before the beat was sent, so a reader that stalls lets the lease run out by itself.
//! Pure but for the clock that only goes forward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::runtime::sync::ShortLock;

#[derive(Debug)]
pub(super) struct Lease {
    length: Duration,
    begun: Instant,
    /// In microseconds since `begun`; 0 is never.
    until: AtomicU64,
    state: ShortLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts interruptions: a beat of before one proves nothing after it.
    generation: u64,
    is_connected: bool,
    /// Whether a beat of this generation has come back.
    is_proved: bool,
    /// The beat on its way, and how often it still has to come back.
    beat: Option<(Beat, usize)>,
}

/// A beat on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    generation: u64,
    number: u64,
    begun: Instant,
}

impl Lease {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            begun: Instant::now(),
            until: AtomicU64::new(0),
            state: ShortLock::default(),
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) fn is_valid(&self) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until > 0 && self.micros(Instant::now()) < until
    }

    /// Begins a beat; `None` while the connection is down.
    pub(super) fn begin(&self, number: u64) -> Option<Beat> {
        let begun = Instant::now();
        self.state.with(|state| {
            let generation = state.generation;
            state.is_connected.then_some(Beat { generation, number, begun })
        })
    }

    /// The beat goes out now: when it has come back `times` (from each master of a cluster, whose
    /// news take different ways) it counts.
    pub(super) fn expect(&self, beat: Beat, times: usize) {
        self.state.with(|state| state.beat = Some((beat, times)));
    }

    /// A beat came back. `flush` is called before the first lease after an interruption: what was
    /// loaded before the subscriptions were in force may have changed unheard.
    pub(super) fn came_back(&self, number: u64, flush: impl FnOnce()) {
        self.state.with(|state| {
            let Some((beat, times)) = &mut state.beat else { return };
            if beat.number != number {
                return;
            }
            *times = times.saturating_sub(1);
            if *times > 0 {
                return;
            }
            let beat = *beat;
            state.beat = None;
            if state.is_connected && beat.generation == state.generation {
                if !state.is_proved {
                    flush();
                    state.is_proved = true;
                }
                let until = self.micros(beat.begun + self.length);
                self.until.fetch_max(until, Ordering::AcqRel);
            }
        });
    }

    pub(super) fn connected(&self) {
        self.state.with(|state| {
            state.generation += 1;
            (state.is_connected, state.is_proved) = (true, false);
        });
    }

    /// Ends the lease at once.
    pub(super) fn interrupted(&self) {
        self.state.with(|state| {
            state.generation += 1;
            state.is_connected = false;
            state.beat = None;
            self.until.store(0, Ordering::Release);
        });
    }

    fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.begun);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Lease;

    #[test]
    fn a_lease_comes_from_a_beat_that_came_back_since_the_connection_did() {
        let lease = Lease::new(Duration::from_secs(100));
        assert!(lease.begin(1).is_none(), "not connected");
        lease.connected();
        let beat = lease.begin(1).unwrap();
        assert!(!lease.is_valid());
        lease.expect(beat, 2);
        lease.came_back(1, || ());
        assert!(!lease.is_valid(), "from one of two");
        lease.came_back(7, || ());
        assert!(!lease.is_valid(), "another beat");
        lease.came_back(1, || ());
        assert!(lease.is_valid());
        lease.interrupted();
        assert!(!lease.is_valid());
        lease.connected();
        lease.expect(beat, 1);
        lease.came_back(1, || ());
        assert!(!lease.is_valid(), "a beat from before the interruption");
        lease.expect(lease.begin(2).unwrap(), 1);
        lease.came_back(2, || ());
        assert!(lease.is_valid());
    }

    #[test]
    fn a_lease_counts_from_before_its_beat_was_sent() {
        let lease = Lease::new(Duration::from_millis(20));
        lease.connected();
        let beat = lease.begin(1).unwrap();
        crate::runtime::sleep(Duration::from_millis(30));
        lease.expect(beat, 1);
        lease.came_back(1, || ());
        assert!(!lease.is_valid(), "it came back later than the lease is long");
    }
}
