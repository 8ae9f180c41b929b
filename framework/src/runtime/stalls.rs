//! Notices a worker that serves nobody because the coroutine it runs blocks its thread.
//!
//! A coroutine that waits leaves its worker to others; one that blocks its thread, in a std lock or
//! a blocking call, does not, and nobody else would ever say so. While there is any coroutine that
//! can do this, each worker is rung for once in a while; one that does not come for too long is
//! told of. Ringing is a write to a descriptor from the sweeper's thread and no part of a request;
//! a server without guests is not rung for at all. It does not know who holds a worker, since to
//! note that would cost each switch of coroutines.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::log_limit::LogLimit;
use super::returns::{self, Lane};
use super::spawn::guests;

/// A tick that comes later than this is nobody's fault: the process was stopped, or has no core.
const MOST_PER_TICK_MS: u64 = 100;
/// The longest time between two rings for a worker that comes.
const MOST_BETWEEN_MS: u64 = 1000;
/// Between two lines about stalls of one worker.
const PAUSE_MS: u64 = 60_000;

/// Workers belong to the process, so one sweeper watches them, however many servers there are.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// Watches the workers of this process until it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    clock: Clock,
    limit_ms: u64,
    workers: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    warnings: LogLimit,
    /// The stall that goes on was told of, so its end is, too.
    is_told: bool,
}

impl Watchdog {
    /// `None` while another server of this process watches.
    pub(super) fn claim(limit_ms: u64) -> Option<Self> {
        if IS_WATCHED.swap(true, Ordering::AcqRel) {
            return None;
        }
        let watched = |_: &Lane| Watched {
            watch: Watch::default(),
            warnings: LogLimit::every(PAUSE_MS),
            is_told: false,
        };
        let workers = returns::lanes().iter().map(watched).collect();
        Some(Self { clock: Clock::default(), limit_ms, workers })
    }

    /// Looks at all workers; called by the sweeper at each tick.
    pub(super) fn look(&mut self, now_ms: u64) {
        let now_ms = self.clock.advance(now_ms);
        let has_guests = guests() > 0;
        for (index, lane) in returns::lanes().iter().enumerate() {
            let Some(watched) = self.workers.get_mut(index) else { continue };
            if !lane.is_served() {
                continue;
            }
            match watched.watch.look(now_ms, lane.beats(), has_guests, self.limit_ms) {
                Step::Nothing => {}
                Step::Ring => lane.ring(),
                Step::Stalls { ms } => self.warn(index, ms, lane.thread_id()),
                Step::RunsAgain { ms } => {
                    if std::mem::take(&mut watched.is_told) {
                        log::info!("worker {index} runs again, after {}", Secs(ms));
                    }
                }
            }
        }
    }

    fn warn(&mut self, index: usize, ms: u64, thread_id: Option<i32>) {
        let stalled = self.workers.iter().filter(|watched| watched.watch.stalls()).count();
        let all = self.workers.len();
        let Some(watched) = self.workers.get_mut(index) else { return };
        let Some(left_out) = watched.warnings.admit() else { return };
        watched.is_told = true;
        // A debugger finds the guilty line by the thread.
        let thread = thread_id.map(|id| format!(" (thread {id})")).unwrap_or_default();
        log::warn!(
            "worker {index}{thread} has been busy with one coroutine for {} and serves nobody else \
             ({stalled} of {all} workers stand still): {}. A handler must not block its thread, use \
             maypole::sleep, maypole::sync and maypole::blocking; see the README, \"The laws of the \
             stackful house\"{left_out}",
            Secs(ms),
            what_it_does(thread_id)
        );
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        IS_WATCHED.store(false, Ordering::Release);
    }
}

/// The time that this process had to run, as seen by a thread that ticks: while it is stopped, or
/// the machine sleeps or is far too busy, hardly any goes by.
#[derive(Debug, Default)]
struct Clock {
    last_ms: u64,
    passed_ms: u64,
}

impl Clock {
    fn advance(&mut self, now_ms: u64) -> u64 {
        self.passed_ms += now_ms.saturating_sub(self.last_ms).min(MOST_PER_TICK_MS);
        self.last_ms = now_ms;
        self.passed_ms
    }
}

/// What is known of one worker.
#[derive(Debug, Default)]
struct Watch {
    rung: Option<Rung>,
    next_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Rung {
    at_ms: u64,
    /// How often the worker had come before.
    beats: u64,
    is_overdue: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Ring,
    /// It has not come for so long; said once.
    Stalls {
        ms: u64,
    },
    RunsAgain {
        ms: u64,
    },
}

impl Watch {
    fn look(&mut self, now_ms: u64, beats: u64, has_guests: bool, limit_ms: u64) -> Step {
        let Some(rung) = &mut self.rung else {
            if !has_guests || now_ms < self.next_ms {
                return Step::Nothing;
            }
            self.rung = Some(Rung { at_ms: now_ms, beats, is_overdue: false });
            return Step::Ring;
        };
        let ms = now_ms.saturating_sub(rung.at_ms);
        if rung.beats != beats {
            let was_overdue = rung.is_overdue;
            self.rung = None;
            self.next_ms = now_ms + (limit_ms / 5).min(MOST_BETWEEN_MS);
            return if was_overdue { Step::RunsAgain { ms } } else { Step::Nothing };
        }
        if rung.is_overdue || ms < limit_ms {
            return Step::Nothing;
        }
        rung.is_overdue = true;
        Step::Stalls { ms }
    }

    fn stalls(&self) -> bool {
        self.rung.is_some_and(|rung| rung.is_overdue)
    }
}

/// What keeps the thread, as far as the kernel lets a process know of its own.
#[expect(clippy::disallowed_methods, reason = "a file of /proc, read by the sweeper's thread")]
fn what_it_does(thread_id: Option<i32>) -> &'static str {
    let Some(thread_id) = thread_id else { return in_words("") };
    let path = format!("/proc/self/task/{thread_id}/syscall");
    in_words(&std::fs::read_to_string(path).unwrap_or_default())
}

fn in_words(syscall: &str) -> &'static str {
    let first = syscall.split_whitespace().next().unwrap_or_default();
    match first.parse() {
        _ if first == "running" => "its thread computes, without a wait",
        Ok(libc::SYS_futex) => {
            "its thread waits for a lock, a channel or a thread of std; a std lock held while a \
             coroutine waits may never come free"
        }
        Ok(libc::SYS_nanosleep | libc::SYS_clock_nanosleep) => {
            "its thread sleeps, in std::thread::sleep or the like"
        }
        Ok(_) => "its thread waits in a blocking call, for the network, a file or a program",
        Err(_) => {
            "its thread is held by a std lock, std::thread::sleep, a blocking call or a long \
             computation"
        }
    }
}

struct Secs(u64);

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} s", self.0 / 1000, self.0 % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Secs, Step, Watch, in_words};

    #[test]
    fn a_worker_is_told_of_once_when_it_does_not_come() {
        let mut watch = Watch::default();
        let mut steps = Vec::new();
        // When, how often it had come, whether anybody is there.
        for (now_ms, beats, has_guests) in [
            (50, 3, false),
            (100, 3, true),
            (150, 4, true),
            (1100, 4, true),
            (1150, 4, true),
            (1200, 4, false),
            (6149, 4, true),
            (6150, 4, true),
            (9000, 4, true),
            (9050, 5, false),
            (9900, 5, true),
            (10_050, 5, false),
            (10_100, 5, true),
        ] {
            let step = watch.look(now_ms, beats, has_guests, 5000);
            if step != Step::Nothing {
                steps.push((now_ms, step));
            }
        }
        let expected = [
            (100, Step::Ring),
            (1150, Step::Ring),
            (6150, Step::Stalls { ms: 5000 }),
            (9050, Step::RunsAgain { ms: 7900 }),
            (10_100, Step::Ring),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_process_that_was_stopped_has_hardly_aged() {
        let mut clock = Clock::default();
        let seen = [70, 120, 171, 3_600_171, 3_600_221].map(|now_ms| clock.advance(now_ms));
        assert_eq!(seen, [70, 120, 171, 271, 321]);
    }

    #[test]
    fn what_the_kernel_tells_is_said_in_words() {
        let sleeping = format!("{} 0x1 0x1", libc::SYS_clock_nanosleep);
        let locked = format!("{} 0x1\n", libc::SYS_futex);
        let reading = format!("{} 0x1\n", libc::SYS_read);
        for (syscall, word) in [
            ("running\n", "computes"),
            (&sleeping, "std::thread::sleep"),
            (&locked, "lock"),
            (&reading, "blocking call"),
            ("-1 0x7ffc 0x7f\n", "blocking call"),
            ("", "long computation"),
        ] {
            assert!(in_words(syscall).contains(word), "{syscall:?}: {}", in_words(syscall));
        }
        assert_eq!(Secs(61_980).to_string(), "61.9 s");
    }
}
