//! The logger of programs that bring none: lines go through a bounded queue to one thread, so
//! that no coroutine ever waits for a terminal or a pipe.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use log::kv::{Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::{LogFormat, LogSettings};
use crate::runtime::is_of_the_scheduler;

/// Lines that may wait to be written; more are dropped and counted.
const QUEUE_LINES: usize = 8192;
/// How long the end of the program waits for its last lines.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

struct Logger {
    level: LevelFilter,
    format: LogFormat,
    lines: SyncSender<Line>,
    dropped: AtomicU64,
}

enum Line {
    Text(String),
    Flush(SyncSender<()>),
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Becomes the program's logger, unless it has one.
pub(crate) fn install(settings: &LogSettings) {
    if log::max_level() != LevelFilter::Off || LOGGER.get().is_some() {
        return;
    }
    let (lines, queue) = sync_channel(QUEUE_LINES);
    let started = std::thread::Builder::new()
        .name("maypole-log".to_owned())
        .spawn(move || write_lines(&queue));
    if started.is_err() {
        return;
    }
    let logger = LOGGER.get_or_init(|| Logger {
        level: settings.level,
        format: settings.format,
        lines,
        dropped: AtomicU64::new(0),
    });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(settings.level);
    }
}

/// Waits until everything logged so far is written, but not for ever: a terminal or a pipe that
/// takes nothing must not keep the program from ending.
pub(crate) fn flush() {
    if let Some(logger) = LOGGER.get() {
        Log::flush(logger);
    }
}

/// Tells the person at the terminal something, whatever the log level is.
pub(crate) fn announce(text: &str) {
    match LOGGER.get() {
        Some(logger) => {
            logger.lines.try_send(Line::Text(format!("{text}\n"))).ok();
            flush();
        }
        None => {
            writeln!(std::io::stderr(), "{text}").ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the logger's own thread")]
fn write_lines(queue: &Receiver<Line>) {
    let mut batch = String::new();
    while let Ok(first) = queue.recv() {
        let mut flushed = Vec::new();
        for line in std::iter::once(first).chain(queue.try_iter()) {
            match line {
                Line::Text(text) => batch.push_str(&text),
                Line::Flush(done) => flushed.push(done),
            }
            if batch.len() > 64 * 1024 {
                break;
            }
        }
        std::io::stderr().write_all(batch.as_bytes()).ok();
        batch.clear();
        for done in flushed {
            done.send(()).ok();
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level && is_ours(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = match self.format {
            LogFormat::Text => text(record),
            LogFormat::Json => json(record),
        };
        if self.lines.try_send(Line::Text(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else if self.dropped.load(Ordering::Relaxed) > 0 {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            let line = format!("{} WARN  {dropped} log lines were dropped\n", time());
            self.lines.try_send(Line::Text(line)).ok();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "at the end of the program, on its main thread")]
    fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        let deadline = Instant::now() + FLUSH_LIMIT;
        let mut request = Line::Flush(done);
        while let Err(TrySendError::Full(back)) = self.lines.try_send(request) {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
            request = back;
        }
        is_done.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
    }
}

/// The scheduler tells of every descriptor at `info`; that is of no use to anybody here.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    !(metadata.level() > Level::Warn && is_of_the_scheduler(metadata.target()))
}

fn time() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

fn text(record: &Record<'_>) -> String {
    let message = printable(record.args().to_string());
    format!("{} {:5} {message}\n", time(), record.level())
}

/// What a client sent must neither begin a line of its own nor command the terminal: line ends
/// become spaces, other control characters and those that turn the direction of text are escaped.
fn printable(text: String) -> String {
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return text;
    }
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => printable.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                printable.extend(character.escape_unicode());
            }
            character if character.is_control() => printable.extend(character.escape_unicode()),
            character => printable.push(character),
        }
    }
    printable
}

fn json(record: &Record<'_>) -> String {
    struct Fields(serde_json::Map<String, serde_json::Value>);
    impl<'kv> VisitSource<'kv> for Fields {
        fn visit_pair(&mut self, key: Key<'kv>, value: Value<'kv>) -> Result<(), log::kv::Error> {
            let value = match value.to_u64() {
                Some(number) => number.into(),
                None => value.to_string().into(),
            };
            self.0.insert(key.as_str().to_owned(), value);
            Ok(())
        }
    }
    let mut fields = Fields(serde_json::Map::new());
    let pairs = [
        ("time", time()),
        ("level", record.level().to_string()),
        ("target", record.target().to_owned()),
        ("message", record.args().to_string()),
    ];
    for (key, value) in pairs {
        fields.0.insert(key.to_owned(), value.into());
    }
    record.key_values().visit(&mut fields).ok();
    let mut line = serde_json::Value::Object(fields.0).to_string();
    line.write_char('\n').ok();
    line
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_message_is_one_line_and_no_command_to_the_terminal() {
        let cases = [
            ("plain, naïve 漢", "plain, naïve 漢"),
            ("a\r\nFri INFO forged", "a  Fri INFO forged"),
            ("\u{1b}[2J\u{9b}31m\u{7f}", "\\u{1b}[2J\\u{9b}31m\\u{7f}"),
            ("\u{202e}gpj.exe\u{2028}", "\\u{202e}gpj.exe\\u{2028}"),
        ];
        for (text, expected) in cases {
            assert_eq!(printable(text.to_owned()), expected);
        }
    }
}
