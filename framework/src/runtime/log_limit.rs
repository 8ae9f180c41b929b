//! A bound on lines that say the same thing: an overloaded server, or one whose store is away, would
//! otherwise write one for each request, and be slower for it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ticks;

/// How long after a line others of its kind are left out, unless said otherwise.
const PAUSE_MS: u64 = 1000;

/// Lets one line of its kind through a second, and counts the others. It never waits.
#[derive(Debug)]
pub(crate) struct LogLimit {
    pause_ms: u64,
    /// When the last line was let through, on the coarse clock's scale; 0 for never.
    last_ms: AtomicU64,
    left_out: AtomicU64,
}

/// How many lines were left out before one that is written; to be shown at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(u64);

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self::every(PAUSE_MS)
    }

    /// One that lets a line through only after a pause of so many milliseconds.
    pub(super) const fn every(pause_ms: u64) -> Self {
        Self { pause_ms, last_ms: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Whether a line may be written now, and how many were left out since the last one.
    pub(crate) fn admit(&self) -> Option<LeftOut> {
        self.admit_at(ticks::exact_ms())
    }

    /// `now_ms` is never 0.
    fn admit_at(&self, now_ms: u64) -> Option<LeftOut> {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let is_due = last_ms == 0 || now_ms.saturating_sub(last_ms) >= self.pause_ms;
        let is_ours = is_due
            && (self.last_ms)
                .compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_ours {
            return Some(LeftOut(self.left_out.swap(0, Ordering::Relaxed)));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" (1 line like this was left out before)"),
            count => write!(f, " ({count} lines like this were left out before)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LeftOut, LogLimit};

    #[test]
    fn one_line_a_second_tells_how_many_were_left_out() {
        let limit = LogLimit::new();
        let admitted: Vec<_> = [1, 2, 500, 1000, 1001, 1002, 2500, 9000, 9001]
            .map(|now_ms| limit.admit_at(now_ms))
            .to_vec();
        let told = |count| Some(LeftOut(count));
        let expected = [told(0), None, None, None, told(3), None, told(1), told(0), None];
        assert_eq!(admitted, expected);
        let words = [0, 1, 7].map(|count| LeftOut(count).to_string());
        let expected = [
            "",
            " (1 line like this was left out before)",
            " (7 lines like this were left out before)",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn of_many_at_once_each_is_written_or_counted() {
        let limit = std::sync::Arc::new(LogLimit::new());
        let children: Vec<_> = (0..4)
            .map(|_| {
                let limit = std::sync::Arc::clone(&limit);
                let ask =
                    move || (1..=5000).filter_map(|ms| limit.admit_at(ms)).collect::<Vec<_>>();
                crate::spawn(ask).unwrap()
            })
            .collect();
        let told: Vec<_> = children.into_iter().flat_map(|child| child.join().unwrap()).collect();
        let last = limit.admit_at(1_000_000).unwrap();
        let left_out: u64 = told.iter().chain([&last]).map(|left_out| left_out.0).sum();
        assert_eq!(left_out + told.len() as u64, 4 * 5000);
        assert!((1..=5).contains(&told.len()), "{told:?}");
    }
}
