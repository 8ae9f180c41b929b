//! What the server logs and which panics there were, kept for the tests to look at.

use std::sync::{Mutex, Once, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The log of this process. All tests share it: look only for lines that name one's own path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Journal;

impl Journal {
    /// Starts listening; harmless when it does already.
    pub(crate) fn open() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&Journal).expect("no logger before this one");
            log::set_max_level(LevelFilter::Debug);
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let text = info.to_string();
                if text.contains("on purpose") {
                    return;
                }
                PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                usual(info);
            }));
        });
    }

    /// The lines so far that contain `needle`.
    pub(crate) fn lines_with(needle: &str) -> Vec<String> {
        let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.contains(needle)).cloned().collect()
    }

    /// Panics of the framework itself: not on purpose, and not a failing test.
    pub(crate) fn framework_panics() -> Vec<String> {
        let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        panics.iter().filter(|text| !text.contains("tests/it/")).cloned().collect()
    }
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("maypole") && metadata.level() <= Level::Debug
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && record.target() != "maypole::access" {
            let line = format!("{} {}", record.level(), record.args());
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn flush(&self) {}
}
