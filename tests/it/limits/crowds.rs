//! More connections and jobs than there is room for.

use crate::support::{Journal, PATIENCE, TempDir, Testee, crowds_turn, serve, wait_until};

#[test]
fn one_connection_too_many_is_told_so() {
    let server = serve("[server]\nmax_connections = 3\n", |_app| {});
    let mut wires: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for wire in &mut wires {
        assert_eq!(wire.get("/probe").text(), "probe");
    }
    for _ in 0..20 {
        let mut refused = server.connect();
        let answer = refused.answer();
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert_eq!(answer.header("retry-after"), Some("1"));
        refused.expect_end();
    }
    for wire in &mut wires {
        assert_eq!(wire.get("/probe").text(), "probe");
    }
    wires.pop();
    wait_until("there is room again", PATIENCE, || server.server().connections() == 2);
    assert_eq!(server.connect().get("/probe").text(), "probe");
}

#[test]
fn a_refused_client_that_sends_at_once_reads_its_503() {
    let server = serve("[server]\nmax_connections = 1\n", |_app| {});
    let mut wire = server.connect();
    assert_eq!(wire.get("/probe").text(), "probe");
    for _ in 0..100 {
        let mut refused = server.connect();
        refused.send("GET /probe HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(refused.answer().status, 503);
    }
}

#[test]
fn ten_thousand_idle_connections_and_a_flood_of_new_ones() {
    let _turn = crowds_turn();
    let directory = TempDir::new();
    // Silent connections would be cut after ten seconds, which a busy machine may well take.
    let settings = [
        ("MAYPOLE_SERVER_LINGER", "20ms"),
        ("MAYPOLE_SERVER_HEADER_TIMEOUT", "10m"),
        ("MAYPOLE_SERVER_KEEP_ALIVE", "10m"),
    ];
    let testee = Testee::start(directory.path(), &settings);
    let count = if descriptors() < 12_000 { 2000 } else { 10_000 };
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        idle.push(testee.connect());
    }
    for wire in idle.iter_mut().step_by(10) {
        assert_eq!(wire.get("/").text(), "home");
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    drop(testee.connect());
                }
            });
        }
        for _ in 0..300 {
            assert_eq!(testee.connect().get("/").text(), "home");
        }
    });
    for wire in idle.iter_mut().step_by(7) {
        assert_eq!(wire.get("/count").text(), "1");
    }
}

/// A line for each request would make an overload worse. What is left out is counted, and there at
/// the level debug.
#[test]
fn failures_of_a_whole_crowd_are_not_logged_one_by_one() {
    const CROWD: usize = 50;
    let server = serve("", |app| {
        app.get("/crowded/{n}", |_ctx| {
            Err::<(), _>(maypole::Error::new(maypole::ErrorKind::Overloaded, "full on purpose"))
        });
        app.get("/faulty/{n}", |_ctx| {
            Err::<(), _>(maypole::Error::new(maypole::ErrorKind::Internal, "a fault of its own"))
        });
    });
    let mut wire = server.connect();
    let begun = std::time::Instant::now();
    for n in 0..CROWD {
        assert_eq!(wire.get(&format!("/crowded/{n}")).status, 503);
        assert_eq!(wire.get(&format!("/faulty/{n}")).status, 500);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let lines = |level: &str, path: &str| {
        Journal::lines_with(path).iter().filter(|line| line.starts_with(level)).count()
    };
    let told = lines("ERROR", "GET /crowded/");
    assert!((1..=seconds + 1).contains(&told), "{told} lines in {seconds} seconds");
    assert_eq!(lines("DEBUG", "GET /crowded/"), CROWD - told);
    assert_eq!(lines("ERROR", "GET /faulty/"), CROWD, "each fault of its own is told");
    wait_until("the next line tells of the others", PATIENCE, || {
        wire.get("/crowded/later");
        let told = Journal::lines_with("GET /crowded/");
        told.iter().any(|line| line.starts_with("ERROR") && line.contains("left out before)"))
    });
}

#[test]
fn a_full_blocking_pool_is_503_and_recovers() {
    let directory = TempDir::new();
    let settings =
        [("MAYPOLE_RUNTIME_BLOCKING_THREADS", "1"), ("MAYPOLE_RUNTIME_BLOCKING_QUEUE", "2")];
    let testee = Testee::start(directory.path(), &settings);
    let mut wires: Vec<_> = (0..20).map(|_| testee.connect()).collect();
    for wire in &mut wires {
        wire.send("GET /blocked/1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // What needs no thread is served meanwhile.
    assert_eq!(testee.connect().get("/").text(), "home");
    let statuses: Vec<_> = wires.iter_mut().map(|wire| wire.answer().status).collect();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!((10..=18).contains(&refused), "{statuses:?}");
    assert_eq!(testee.connect().get("/blocked/1").status, 200);
    assert_eq!(testee.browser().get("/count").text(), "1");
}

/// How many descriptors this process may have.
fn descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills in the structure it is given.
    #[expect(unsafe_code, reason = "std does not tell")]
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if asked == 0 { limit.rlim_cur } else { 1024 }
}
