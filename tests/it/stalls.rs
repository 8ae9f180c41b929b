//! A handler that blocks its worker's thread is told of in the log; nobody else is.

use std::time::{Duration, Instant};

use crate::support::{TempDir, Testee, Wire};

/// A server with so many workers that warns after `limit`.
fn watched(workers: &str, limit: &str) -> (Testee, TempDir) {
    let directory = TempDir::new();
    let settings = [
        ("MAYPOLE_RUNTIME_WORKERS", workers),
        ("MAYPOLE_SERVER_STALL_WARNING", limit),
        ("MAYPOLE_SERVER_SHUTDOWN_GRACE", "0s"),
    ];
    (Testee::start(directory.path(), &settings), directory)
}

fn ask(wire: &mut Wire, path: &str) {
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
}

/// The thread of a worker is known once it has looked at its sockets for the first time.
fn warm_up(wire: &mut Wire) {
    ask(wire, "/slept/100");
    assert_eq!(wire.answer().text(), "slept");
}

fn lines_about_workers(testee: &mut Testee) -> Vec<String> {
    let lines = testee.process.words_so_far().iter();
    lines.filter(|line| line.contains(" worker ")).cloned().collect()
}

#[test]
fn a_blocked_worker_is_told_of_once_and_when_it_runs_again() {
    let (mut testee, _directory) = watched("1", "400ms");
    let mut wire = testee.connect();
    ask(&mut wire, "/held/2500");
    // While it is held: that it runs again is said after it.
    let warning = testee.process.line_with("worker 0");
    assert!(warning.contains("WARN") && warning.contains("has been busy"), "{warning}");
    assert!(warning.contains("serves nobody else (1 of 1 workers"), "{warning}");
    assert_eq!(wire.answer().text(), "let go");
    let end = testee.process.line_with("worker 0 runs again, after ");
    let (_, after) = end.split_once("after ").expect("just seen");
    let after: f64 = after.trim_end_matches(" s").parse().expect("seconds");
    assert!(end.contains("INFO") && (2.0..20.0).contains(&after), "{end}");
    // Within a minute the same worker is not told of again, nor that it runs.
    for path in ["/held/1000", "/computed/1000"] {
        ask(&mut wire, path);
        assert_eq!(wire.answer().status, 200);
    }
    ask(&mut wire, "/slept/200");
    assert_eq!(wire.answer().text(), "slept");
    assert_eq!(lines_about_workers(&mut testee), [warning, end]);
}

#[test]
fn what_holds_the_worker_is_said_where_the_kernel_tells() {
    let tells = std::fs::read_to_string("/proc/thread-self/syscall").is_ok();
    let (mut testee, _directory) = watched("1", "300ms");
    // One waits with the lock, and could go on only on the thread that the other one blocks.
    let mut wires = [testee.connect(), testee.connect()];
    warm_up(&mut wires[0]);
    wires.iter_mut().for_each(|wire| ask(wire, "/locked/100"));
    let locked = testee.process.line_with("worker 0");
    assert!(locked.contains("a std lock"), "{locked}");
    assert!(!tells || locked.contains("its thread waits for a lock"), "{locked}");

    for (path, word) in [
        ("/computed/2000", "its thread computes"),
        ("/held/2000", "its thread sleeps, in std::thread::sleep"),
    ] {
        let (mut testee, _directory) = watched("1", "300ms");
        let mut wire = testee.connect();
        warm_up(&mut wire);
        ask(&mut wire, path);
        let warning = testee.process.line_with("worker 0");
        assert!(!tells || warning.contains(word), "{warning}");
    }
}

/// Silence proves something only where a real stall would have been told of: the end shows that.
#[test]
fn workers_that_idle_that_are_busy_and_that_are_stopped_are_not_told_of() {
    let (mut testee, _directory) = watched("2", "1500ms");
    std::thread::sleep(Duration::from_millis(2500));
    let until = Instant::now() + Duration::from_millis(3500);
    let clients: Vec<_> = (0..6)
        .map(|client| {
            let mut wire = testee.connect();
            let path = ["/slept/20", "/", "/blocked/5"][client % 3];
            std::thread::spawn(move || {
                while Instant::now() < until {
                    ask(&mut wire, path);
                    assert_eq!(wire.answer().status, 200, "{path}");
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("an answer each time"));
    // Stopped while requests wait, so that somebody is there to be looked after.
    let mut wire = testee.connect();
    ask(&mut wire, "/slept/5000");
    std::thread::sleep(Duration::from_millis(100));
    testee.process.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(3000));
    testee.process.signal(libc::SIGCONT);
    assert_eq!(wire.answer().text(), "slept");
    assert_eq!(lines_about_workers(&mut testee), Vec::<String>::new());
    ask(&mut wire, "/held/4000");
    testee.process.line_with("has been busy with one coroutine for 1.");
    assert_eq!(wire.answer().text(), "let go");
    testee.process.line_with("runs again");
}

#[test]
fn zero_means_silence_and_a_held_worker_keeps_nobody_from_the_stop() {
    let (mut testee, _directory) = watched("2", "0");
    let mut wire = testee.connect();
    ask(&mut wire, "/held/1000");
    assert_eq!(wire.answer().text(), "let go");
    assert_eq!(lines_about_workers(&mut testee), Vec::<String>::new());

    let (mut testee, _directory) = watched("2", "300ms");
    ask(&mut testee.connect(), "/held/60000");
    testee.process.line_with("has been busy with one coroutine");
    testee.process.signal(libc::SIGTERM);
    assert!(testee.process.end().success());
}
