//! What is set once per process, before the first coroutine runs.

use std::sync::OnceLock;

/// The process-wide settings of the coroutine scheduler and the blocking pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuntimeSettings {
    /// Worker threads; 0 means one per core.
    pub(crate) workers: usize,
    /// Stack of each coroutine in KiB.
    pub(crate) stack_kib: usize,
    /// Finished coroutines kept for reuse, stacks included.
    pub(crate) coroutine_pool: usize,
    /// Threads of the blocking pool.
    pub(crate) blocking_threads: usize,
    /// Jobs that may wait for such a thread.
    pub(crate) blocking_queue: usize,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            // Unoptimised code needs up to six times the stack (measured on may 0.3.51).
            stack_kib: if cfg!(debug_assertions) { 1024 } else { 256 },
            coroutine_pool: 128,
            blocking_threads: 16,
            blocking_queue: 4096,
        }
    }
}

static SETTINGS: OnceLock<RuntimeSettings> = OnceLock::new();

/// Takes `settings` for this process; the first caller decides, later ones get what is in force.
pub(crate) fn start(settings: RuntimeSettings) -> &'static RuntimeSettings {
    let wanted = settings.clone();
    let in_force = SETTINGS.get_or_init(|| apply(settings));
    if *in_force != wanted {
        log::warn!("the runtime is running already; its settings stay as they were");
    }
    in_force
}

/// The settings in force; the defaults, if nobody called [`start`] before.
pub(super) fn in_force() -> &'static RuntimeSettings {
    SETTINGS.get_or_init(|| apply(RuntimeSettings::default()))
}

fn apply(settings: RuntimeSettings) -> RuntimeSettings {
    let config = may::config();
    if settings.workers > 0 {
        config.set_workers(settings.workers);
    }
    config.set_pool_capacity(settings.coroutine_pool.max(1));
    // may counts a stack in machine words, and reports its use at exit when the number is odd.
    config.set_stack_size(settings.stack_kib * 1024 / size_of::<usize>());
    config.set_worker_pin(false);
    settings
}

/// The number of worker threads in force.
pub(crate) fn workers() -> usize {
    in_force();
    may::config().get_workers()
}

/// Whether a log line with this target is the scheduler's own.
pub(crate) fn is_of_the_scheduler(target: &str) -> bool {
    target.starts_with("may::")
}

/// How many coroutines this process may have at once.
///
/// Each stack is two memory maps; past `vm.max_map_count` (Linux: 65530) spawning would panic.
pub(crate) fn coroutine_capacity() -> usize {
    static CAPACITY: OnceLock<usize> = OnceLock::new();
    *CAPACITY.get_or_init(|| {
        let maps = read_max_map_count().unwrap_or(65_530);
        (maps.saturating_sub(8_192) / 2).max(64)
    })
}

#[expect(clippy::disallowed_methods, reason = "a one-line file of /proc, read once at start")]
fn read_max_map_count() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

/// Raises the limit on open descriptors as far as the system lets this process, and gives it.
pub(crate) fn raise_descriptor_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}
