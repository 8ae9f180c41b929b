//! kill -9 of a real process that saves, again and again: nothing it acknowledged is lost.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{NOW, Place, TableOptions, TableStore, key, record};
use crate::runtime::sync::ShortLock;
use crate::session::{Expected, SessionStore, Swap};

/// Names the directory, and makes the test below become the process that is killed.
const WRITER: &str = "MAYPOLE_TEST_TABLE_WRITER";
const ROUNDS: usize = 12;
const THREADS: u32 = 3;
const KEYS: u32 = 40;

/// The name of the test, for the test binary that is started again.
const TEST: &str = "session::stores::table::tests::kill::a_killed_process_loses_nothing";

fn options(dir: &Path) -> TableOptions {
    // Small, so that every round is full of rotations and compactions.
    TableOptions { segment_bytes: 100_000, ..TableOptions::new(dir) }
}

/// Saves for ever; prints each save as soon as it is acknowledged.
fn write(dir: &Path) -> ! {
    let store = TableStore::open(options(dir)).unwrap();
    // Not the standard output of the test harness, which it may catch.
    let out = ShortLock::new(File::options().write(true).open("/proc/self/fd/1").unwrap());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, out) = (&store, &out);
            scope.spawn(move || {
                for n in (0..KEYS).cycle() {
                    let number = thread * KEYS + n;
                    let found = store.load(&key(number), NOW).unwrap();
                    let version = found.map_or(0, |found| found.version);
                    let expected =
                        if version == 0 { Expected::Absent } else { Expected::Version(version) };
                    let large = if n == 0 { 20_000 } else { 300 };
                    let mut bytes = (version + 1).to_le_bytes().repeat(large / 8);
                    bytes.extend_from_slice(&number.to_le_bytes());
                    let next = record(version + 1, bytes);
                    assert_eq!(store.swap(&key(number), expected, &next, NOW).unwrap(), Swap::Done);
                    let line = format!("{number} {}\n", version + 1);
                    out.with(|out| out.write_all(line.as_bytes())).unwrap();
                }
            });
        }
        loop {
            store.maintain().unwrap();
            thread::yield_now();
        }
    })
}

#[test]
fn a_killed_process_loses_nothing() {
    if let Some(dir) = env::var_os(WRITER) {
        write(Path::new(&dir));
    }
    let place = Place::new();
    let mut acknowledged = HashMap::<u32, u64>::new();
    let mut torn = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
            .env(WRITER, place.dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // After a number of saves of its own in each round, wherever the threads then are.
        let saves = 300 + 977 * round;
        let mut count = 0;
        let mut take = |line: std::io::Result<String>| {
            let line = line.unwrap_or_default();
            if let Some((number, version)) = line.split_once(' ')
                && let (Ok(number), Ok(version)) = (number.parse(), version.parse())
            {
                acknowledged.insert(number, version);
                count += 1;
            }
            count
        };
        for line in lines.by_ref() {
            if take(line) >= saves {
                break;
            }
        }
        child.kill().unwrap();
        lines.for_each(|line| {
            take(line);
        });
        child.wait().unwrap();
        assert!(count >= saves, "the writer died by itself");

        let store = TableStore::open(options(&place.dir())).unwrap();
        assert!(!store.inner.journal.needs_rewrite(), "a kill damages nothing");
        for (number, version) in &acknowledged {
            let found = store.load(&key(*number), NOW).unwrap();
            let found = found.unwrap_or_else(|| panic!("{number} is lost in round {round}"));
            assert!(found.version >= *version, "{number}: {} < {version}", found.version);
            let (repeated, last) = found.bytes.split_at(found.bytes.len() - 4);
            let is_whole = repeated.chunks(8).all(|chunk| chunk == found.version.to_le_bytes());
            assert!(is_whole && last == number.to_le_bytes(), "{number} is torn");
            torn += usize::from(found.version > *version);
        }
        store.close().unwrap();
    }
    // Unacknowledged saves may be there; acknowledged ones must.
    assert!(acknowledged.len() == (THREADS * KEYS) as usize && torn <= ROUNDS * THREADS as usize);
}
