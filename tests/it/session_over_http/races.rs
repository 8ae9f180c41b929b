//! Requests of one session at once: nothing that was acknowledged is lost.

use super::shop;
use crate::support::{Browser, TempDir, TestServer, Testee, Wire};

/// Starts a request that records its write and then waits, and comes back when it waits.
fn begin_slow(server: &TestServer, browser: &Browser, key: &str) -> Wire {
    let mut wire = server.connect();
    let head = browser.head("POST", &format!("/slow/{key}"));
    wire.send(head + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(wire.answer().status, 100);
    wire
}

#[test]
fn parallel_increments_all_count() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/count");
    let (connections, each) = (16, 25);
    std::thread::scope(|scope| {
        for _ in 0..connections {
            let (server, mut browser) = (&server, browser.clone());
            scope.spawn(move || {
                let mut wire = server.connect();
                for _ in 0..each {
                    assert_eq!(browser.send_on(&mut wire, "GET", "/count", "").status, 200);
                }
            });
        }
    });
    assert_eq!(browser.get("/read").text(), (1 + connections * each).to_string());
}

#[test]
fn two_processes_on_one_directory_count_together() {
    let directory = TempDir::new();
    let first = Testee::start(directory.path(), &[]);
    let second = Testee::start(directory.path(), &[]);
    let mut browser = first.browser();
    browser.get("/count");
    let (connections, each) = (8, 25);
    std::thread::scope(|scope| {
        for number in 0..connections {
            let testee = if number % 2 == 0 { &first } else { &second };
            let mut browser = browser.clone().at(testee.addr);
            scope.spawn(move || {
                let mut wire = testee.connect();
                for _ in 0..each {
                    assert_eq!(browser.send_on(&mut wire, "GET", "/count", "").status, 200);
                }
            });
        }
    });
    let expected = (1 + connections * each).to_string();
    assert_eq!(browser.get("/read").text(), expected);
    assert_eq!(browser.at(second.addr).get("/read").text(), expected);
}

#[test]
fn different_keys_written_at_once_both_stay() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/set/base/1");
    let slow = begin_slow(&server, &browser, "a");
    let other = begin_slow(&server, &browser, "b");
    assert_eq!(browser.get("/set/c/fast").status, 204);
    for mut wire in [other, slow] {
        wire.send("x");
        assert_eq!(wire.answer().status, 200);
    }
    for (key, value) in [("base", "1"), ("a", "slow"), ("b", "slow"), ("c", "fast")] {
        assert_eq!(browser.get(&format!("/get/{key}")).text(), value, "{key}");
    }
}

#[test]
fn a_logout_is_not_undone_by_a_request_in_flight() {
    for path in ["/logout", "/destroy"] {
        let server = shop();
        let mut browser = server.browser();
        browser.get("/login/ada");
        let before = browser.clone();
        let mut slow = begin_slow(&server, &browser, "late");
        assert_eq!(browser.get(path).status, 204);
        slow.send("x");
        let late = slow.answer();
        assert_eq!(late.headers("set-cookie"), Vec::<&str>::new(), "{path}: {}", late.head);
        for what in ["/get/late", "/user"] {
            let text = before.clone().get(what).text();
            assert!(text == "none" || text == "nobody", "{path} {what}: {text}");
        }
    }
}

#[test]
fn a_login_is_not_undone_by_a_request_in_flight() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/count");
    let before = browser.clone();
    let mut slow = begin_slow(&server, &before, "late");
    assert_eq!(browser.get("/login/ada").status, 204);
    slow.send("x");
    let late = slow.answer();
    assert_eq!(late.headers("set-cookie"), Vec::<&str>::new(), "it would replace the new cookie");
    assert_eq!(browser.get("/user").text(), "ada");
    assert_eq!(browser.get("/get/late").text(), "none");
    assert_eq!(before.clone().get("/user").text(), "nobody");
}

#[test]
fn first_visits_at_once_are_sessions_of_their_own() {
    let server = shop();
    let browser = server.browser();
    let mut wires: Vec<_> = (0..10).map(|_| begin_slow(&server, &browser, "first")).collect();
    for wire in &mut wires {
        wire.send("x");
    }
    let mut ids = std::collections::BTreeSet::new();
    for wire in &mut wires {
        let mut visitor = server.browser();
        visitor.keep_cookies(&wire.answer());
        assert_eq!(visitor.get("/get/first").text(), "slow");
        ids.insert(visitor.session().expect("a session").to_owned());
    }
    assert_eq!(ids.len(), 10);
}

#[test]
fn a_flash_message_is_shown_once() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/flash");
    let texts: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..5)
            .map(|_| {
                let mut browser = browser.clone();
                scope.spawn(move || browser.get("/flashed").text())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(texts.iter().filter(|text| *text == "saved").count(), 1, "{texts:?}");
    assert_eq!(texts.iter().filter(|text| *text == "-").count(), 4, "{texts:?}");
}
