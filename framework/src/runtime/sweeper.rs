//! The one thread that enforces deadlines, moves the coarse clock on, and watches the workers.

use std::sync::Arc;
use std::time::Duration;

use super::hub::Hub;
use super::spawn::live_coroutines;
use super::stalls::Watchdog;
use super::ticks;

/// How late a deadline may be enforced.
const TICK: Duration = Duration::from_millis(50);
/// Parked connections are looked at every so many ticks; while draining, at each.
const PARKED_EVERY: u64 = 10;
/// So many coroutines at once leave something worth giving back.
const RUSH: usize = 500;

/// Starts the sweeper of `hub`; it ends when the hub is closed.
pub(crate) fn start_sweeper(hub: Arc<Hub>) -> std::io::Result<()> {
    ticks::tick();
    // Before the first connection, whose handler might block already.
    let mut watchdog = hub.stall_warning_ms().and_then(Watchdog::claim);
    std::thread::Builder::new().name("maypole-sweeper".to_owned()).spawn(move || {
        let mut count = 0_u64;
        let mut memory = Memory::default();
        while !hub.is_closed() {
            pause();
            let now_ms = ticks::tick();
            hub.sweep_active(now_ms);
            if hub.is_draining() || count.is_multiple_of(PARKED_EVERY) {
                hub.sweep_parked(now_ms);
                memory.give_back_after_a_rush();
            }
            if watchdog.is_none() {
                watchdog = hub.stall_warning_ms().and_then(Watchdog::claim);
            }
            if let Some(watchdog) = &mut watchdog {
                watchdog.look(now_ms);
            }
            count += 1;
        }
    })?;
    Ok(())
}

/// Notices the end of a rush: the allocator keeps what thousands of buffers left behind, which
/// would count for ever against connections that now idle.
#[derive(Debug, Default)]
struct Memory {
    most_coroutines: usize,
}

impl Memory {
    fn give_back_after_a_rush(&mut self) {
        let now = live_coroutines();
        self.most_coroutines = self.most_coroutines.max(now);
        if self.most_coroutines >= RUSH && now < self.most_coroutines / 4 {
            self.most_coroutines = now;
            trim_heap();
        }
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc offers this by a C function only")]
fn trim_heap() {
    // SAFETY: `malloc_trim` takes no pointer and may be called from any thread at any time.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim_heap() {}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, not a worker")]
fn pause() {
    std::thread::sleep(TICK);
}
