//! Wakes coroutines at a given time, from one plain thread.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::blocker::Parked;
use super::sync::ShortLock;

/// When, and which of those at the same time.
type Key = (Instant, u64);

/// An alarm that is set; for [`unset`].
pub(super) struct Alarm(Key);

struct Alarms {
    waiting: BTreeMap<Key, Arc<dyn Parked>>,
    count: u64,
}

static ALARMS: ShortLock<Alarms> = ShortLock::new(Alarms { waiting: BTreeMap::new(), count: 0 });

/// Wakes `whom` at `at`, or a little later; `None` when there is no thread to do it.
pub(super) fn set(at: Instant, whom: Arc<dyn Parked>) -> Option<Alarm> {
    let thread = ringer()?;
    let (key, is_next) = ALARMS.with(|alarms| {
        alarms.count += 1;
        let key = (at, alarms.count);
        let is_next = alarms.waiting.first_key_value().is_none_or(|(next, _)| key < *next);
        alarms.waiting.insert(key, whom);
        (key, is_next)
    });
    if is_next {
        thread.unpark();
    }
    Some(Alarm(key))
}

/// Forgets an alarm, which may have rung or be ringing just now.
pub(super) fn unset(alarm: &Alarm) {
    let forgotten = ALARMS.with(|alarms| alarms.waiting.remove(&alarm.0));
    // Outside the section: it may be the last to hold what it would have woken.
    drop(forgotten);
}

fn ringer() -> Option<&'static Thread> {
    static RINGER: OnceLock<Option<Thread>> = OnceLock::new();
    let start = || {
        let thread = std::thread::Builder::new().name("maypole-alarm".to_owned());
        thread.spawn(ring).ok().map(|handle| handle.thread().clone())
    };
    RINGER.get_or_init(start).as_ref()
}

fn ring() {
    let mut due = Vec::new();
    loop {
        let now = Instant::now();
        let next = ALARMS.with(|alarms| take_due(alarms, now, &mut due));
        for whom in due.drain(..) {
            whom.blocker().unpark();
        }
        // Who sets an earlier alarm unparks this thread, also before it parks.
        match next {
            Some(next) => std::thread::park_timeout(next),
            None => std::thread::park(),
        }
    }
}

/// Moves what is due to `due` and gives the time from `now` to the next alarm.
fn take_due(alarms: &mut Alarms, now: Instant, due: &mut Vec<Arc<dyn Parked>>) -> Option<Duration> {
    while let Some(next) = alarms.waiting.first_entry() {
        let at = next.key().0;
        if at > now {
            return Some(at.duration_since(now));
        }
        due.push(next.remove());
    }
    None
}
