//! Processes that start, stop, refuse to start, and are killed.

use std::path::Path;
use std::time::Duration;

use crate::support::{Browser, PATIENCE, Process, TempDir, Testee, Wire, free_port, wait_until};

/// A request that is being answered and waits for its body.
fn in_flight(testee: &Testee, path: &str) -> Wire {
    let mut wire = testee.connect();
    wire.send(format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ));
    assert_eq!(wire.answer().status, 100);
    wire
}

fn wait_until_closed(testee: &Testee) {
    wait_until("the port is closed", PATIENCE, || {
        std::net::TcpStream::connect(testee.addr).is_err()
    });
}

#[test]
fn it_says_where_it_listens_and_where_sessions_lie() {
    let directory = TempDir::new();
    let mut process = Process::start(&mut Testee::command(directory.path()));
    let line = process.line_with("listens on");
    let sessions = directory.path().join("sessions");
    assert!(line.contains("http://127.0.0.1:"), "{line}");
    assert!(line.contains(&sessions.display().to_string()), "{line}");
}

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let directory = TempDir::new();
        let mut testee = Testee::start(directory.path(), &[]);
        let mut idle = testee.connect();
        assert_eq!(idle.get("/").text(), "home");
        let mut slow = in_flight(&testee, "/count-and-wait");
        testee.process.signal(signal);
        wait_until_closed(&testee);
        idle.expect_end();
        assert!(testee.process.is_running(), "it waits for the request");
        slow.send("hello");
        let answer = slow.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
        assert_eq!(answer.header("connection"), Some("close"));
        let mut browser = testee.browser();
        browser.keep_cookies(&answer);
        slow.expect_end();
        assert_eq!(testee.process.end().code(), Some(0));
        let again = Testee::start(directory.path(), &[]);
        assert_eq!(browser.at(again.addr).get("/read").text(), "1");
    }
}

#[test]
fn after_the_grace_time_it_ends_anyway() {
    let directory = TempDir::new();
    let mut testee = Testee::start(directory.path(), &[("MAYPOLE_SERVER_SHUTDOWN_GRACE", "1s")]);
    let _slow = in_flight(&testee, "/wait");
    let mut deaf = testee.connect();
    deaf.send("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    testee.process.signal(libc::SIGTERM);
    assert_eq!(testee.process.end().code(), Some(0));
}

/// `timeout`, and some init processes, signal the process and right after that its whole group.
#[test]
fn signals_that_come_together_are_one() {
    let directory = TempDir::new();
    let mut testee = Testee::start(directory.path(), &[("MAYPOLE_SERVER_SHUTDOWN_GRACE", "1h")]);
    let mut slow = in_flight(&testee, "/count-and-wait");
    // Nobody comes between the two, however busy the machine is.
    testee.process.signal(libc::SIGSTOP);
    testee.process.signal(libc::SIGTERM);
    testee.process.signal(libc::SIGINT);
    testee.process.signal(libc::SIGCONT);
    wait_until_closed(&testee);
    slow.send("hello");
    assert_eq!(slow.answer().text(), "1");
    assert_eq!(testee.process.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let directory = TempDir::new();
    let mut testee = Testee::start(directory.path(), &[("MAYPOLE_SERVER_SHUTDOWN_GRACE", "1h")]);
    let _slow = in_flight(&testee, "/wait");
    testee.process.signal(libc::SIGTERM);
    wait_until_closed(&testee);
    assert!(testee.process.is_running());
    // One that comes with the first does not count, so it is sent until it does.
    wait_until("it ends at once", PATIENCE, || {
        testee.process.signal(libc::SIGTERM);
        !testee.process.is_running()
    });
    assert_eq!(testee.process.end().code(), Some(130));
}

#[test]
fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let directory = TempDir::new();
    kill_9_under_load(directory.path(), &[]);
}

#[test]
fn kill_9_under_load_loses_nothing_from_the_table_either() {
    let directory = TempDir::new();
    let journal = directory.path().join("table");
    let journal = journal.to_str().expect("a path in UTF-8");
    let settings = [("MAYPOLE_SESSION_BACKEND", "table"), ("MAYPOLE_SESSION_TABLE_PATH", journal)];
    kill_9_under_load(directory.path(), &settings);
}

fn kill_9_under_load(directory: &Path, settings: &[(&str, &str)]) {
    let mut testee = Testee::start(directory, settings);
    let mut visitors: Vec<(Browser, i64)> = (0..6).map(|_| (testee.browser(), 0)).collect();
    for round in 0_u64..5 {
        std::thread::scope(|scope| {
            for (browser, acknowledged) in &mut visitors {
                *browser = browser.clone().at(testee.addr);
                scope.spawn(move || count_until_killed(browser, acknowledged));
            }
            std::thread::sleep(Duration::from_millis(150 + 70 * round));
            testee.process.signal(libc::SIGKILL);
        });
        testee = Testee::start(directory, settings);
        for (browser, acknowledged) in &mut visitors {
            *browser = browser.clone().at(testee.addr);
            let found: i64 = browser.get("/read").text().parse().expect("a number");
            // One more may have been stored when the kill came before its answer.
            assert!(
                (*acknowledged..=*acknowledged + 1).contains(&found),
                "round {round}: {found} of {acknowledged}"
            );
            *acknowledged = found;
        }
    }
    assert!(visitors.iter().all(|(_, acknowledged)| *acknowledged > 5), "there was no load");
}

/// Counts on one connection until it breaks; remembers the last number that was answered.
fn count_until_killed(browser: &mut Browser, acknowledged: &mut i64) {
    let Some(mut wire) = Wire::try_connect(browser.addr()) else { return };
    loop {
        wire.send(browser.head("GET", "/count") + "\r\n");
        let Some(answer) = wire.try_answer() else { return };
        if !answer.is_whole {
            return;
        }
        assert_eq!(answer.status, 200, "{}", answer.head);
        browser.keep_cookies(&answer);
        *acknowledged = answer.text().parse().expect("a number");
    }
}

#[test]
fn a_port_in_use_is_an_error_at_start() {
    let directory = TempDir::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("its address").to_string();
    let mut command = Testee::command(directory.path());
    let (code, words) =
        Process::start(command.env("MAYPOLE_SERVER_LISTEN", &addr)).end_with_words();
    assert_eq!(code, Some(1), "{words}");
    let told = format!("MAYPOLE_SERVER_LISTEN: [server] listen: cannot listen on {addr}, where");
    assert!(words.contains(&told), "{words}");
    assert!(words.contains("in use"), "{words}");
}

#[test]
fn cookies_that_browsers_will_drop_are_told_at_start() {
    let everywhere = ("MAYPOLE_SERVER_LISTEN", "0.0.0.0:0");
    let said = |settings: &[(&str, &str)]| {
        let directory = TempDir::new();
        let mut testee = Testee::start(directory.path(), settings);
        testee.process.words_so_far().join("\n").contains("each visit begins a new session")
    };
    assert!(said(&[everywhere]));
    assert!(!said(&[]), "a loopback address");
    assert!(!said(&[everywhere, ("MAYPOLE_COOKIE_SECURE", "false")]));
    assert!(!said(&[everywhere, ("MAYPOLE_SERVER_TRUSTED_PROXIES", "127.0.0.1")]));
}

#[test]
fn a_directory_that_cannot_hold_sessions_is_told_with_its_setting() {
    for (setting, key) in [
        ("MAYPOLE_SESSION_FILE_PATH", "[session.file] path: the directory /dev/null"),
        ("MAYPOLE_ADMIN_PATH", "[admin] path: cannot open an admin socket in /dev/null"),
    ] {
        let directory = TempDir::new();
        let mut command = Testee::command(directory.path());
        let (code, words) = Process::start(command.env(setting, "/dev/null")).end_with_words();
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains(&format!("{setting}: {key}")), "{words}");
        assert!(words.contains("is not a directory"), "{words}");
        assert!(!words.contains("session directory"), "it is about one of them: {words}");
    }
}

#[test]
fn a_redis_that_is_not_there_is_told_in_one_line() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    for backend in ["redis", "tiered"] {
        let directory = TempDir::new();
        let settings = [("MAYPOLE_SESSION_BACKEND", backend), ("MAYPOLE_REDIS_DEFAULT_URL", &url)];
        let testee = Testee::start(directory.path(), &settings);
        assert_eq!(testee.browser().get("/count").status, 503);
        // Each way to redis has failed many times by then, and would have told it.
        std::thread::sleep(Duration::from_millis(1500));
        testee.process.signal(libc::SIGTERM);
        let (code, words) = testee.process.end_with_words();
        assert_eq!(code, Some(0), "{words}");
        let told = words.lines().filter(|line| line.contains("WARN") && line.contains("refused"));
        let told: Vec<_> = told.filter(|line| !line.contains("/count")).collect();
        assert!(told.len() == 1 && told[0].contains("sessions are unavailable"), "{told:#?}");
    }
}

#[test]
fn two_servers_cannot_share_a_port() {
    let directory = TempDir::new();
    let first = Testee::start(directory.path(), &[]);
    let mut command = Testee::command(directory.path());
    let (code, words) =
        Process::start(command.env("MAYPOLE_SERVER_LISTEN", first.addr.to_string()))
            .end_with_words();
    assert_eq!(code, Some(1), "{words}");
    assert_eq!(first.connect().get("/").text(), "home");
}

#[test]
fn a_mistake_in_the_settings_stops_the_start_and_says_where() {
    let cases = [
        ("[server]\n\nkeepalive = 5s\n", ["config.ini:3", "keepalive", "keep_alive"]),
        ("[session]\nbackend = flie\n", ["config.ini:2", "flie", "file"]),
        ("[sesion]\n", ["config.ini:1", "sesion", "session"]),
        ("[server]\nkeep_alive = 5\n", ["config.ini:2", "keep_alive", "5s"]),
        ("[limits]\n; a comment\nhead = lots\n", ["config.ini:3", "head", "32K"]),
    ];
    for (text, expected) in cases {
        let directory = TempDir::new();
        std::fs::write(directory.path().join("config.ini"), text).expect("a file");
        let (code, words) = Process::start(&mut Testee::command(directory.path())).end_with_words();
        assert_eq!(code, Some(1), "{words}");
        for part in expected {
            assert!(words.contains(part), "{part:?} is missing: {words}");
        }
        assert!(!words.contains("panicked") && !words.contains("listens"), "{words}");
    }
}

#[test]
fn settings_come_from_the_file_and_then_from_the_environment() {
    let directory = TempDir::new();
    let file = "[session]\ncookie_name = from_file\ncookie_lifespan = 100\n";
    std::fs::write(directory.path().join("config.ini"), file).expect("a file");
    let testee = Testee::start(directory.path(), &[("MAYPOLE_SESSION_COOKIE_LIFESPAN", "200")]);
    let answer = testee.connect().get("/count");
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("from_file=") && cookie.contains("Max-Age=200"), "{cookie}");
}

#[test]
fn a_directory_open_to_others_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new();
    let sessions = directory.path().join("sessions");
    std::fs::create_dir(&sessions).expect("a directory");
    std::fs::set_permissions(&sessions, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    let (code, words) = Process::start(&mut Testee::command(directory.path())).end_with_words();
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("sessions") && words.contains("0777"), "{words}");
}

#[test]
fn a_full_pipe_for_the_log_does_not_keep_it_from_ending() {
    let directory = TempDir::new();
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Testee::command(directory.path());
    command.env("MAYPOLE_SERVER_LISTEN", addr.to_string()).env("MAYPOLE_LOG_ACCESS", "true");
    let mut process = Process::start_unread(&mut command);
    wait_until("it listens", PATIENCE, || std::net::TcpStream::connect(addr).is_ok());
    let mut wire = Wire::connect(addr);
    for _ in 0..3000 {
        assert_eq!(wire.get("/").text(), "home");
    }
    process.signal(libc::SIGTERM);
    assert_eq!(process.end().code(), Some(0));
}

#[test]
fn it_lives_on_when_the_system_has_no_memory_for_stacks() {
    let directory = TempDir::new();
    let settings = [("MAYPOLE_RUNTIME_STACK", "16M"), ("MAYPOLE_RUNTIME_COROUTINE_POOL", "1")];
    let testee = Testee::start_within(directory.path(), 2_000_000, &settings);
    let mut waiting: Vec<_> = (0..300).map(|_| testee.connect()).collect();
    for wire in &mut waiting {
        wire.send("POST /wait HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n");
        wire.send("Content-Length: 5\r\n\r\n");
    }
    let served = waiting.iter_mut().filter_map(Wire::try_answer).count();
    assert!((1..300).contains(&served), "{served} of 300 had a stack, so nothing was tested");
    drop(waiting);
    wait_until("it serves again", PATIENCE, || {
        let Some(mut wire) = Wire::try_connect(testee.addr) else { return false };
        wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        wire.try_answer().is_some_and(|answer| answer.text() == "home")
    });
}
