//! The live counter on two servers behind one redis, in tabs of a real browser: cookies do not tell
//! ports apart, so both tabs have one session.

use crate::support::{
    Chromium, PATIENCE, Process, Redis, Tab, TempDir, Testee, free_port, wait_until,
};

/// One of the servers; started again on its old address when that is given.
fn start(redis: &Redis, directory: &TempDir, backend: &str, listen: &str) -> Testee {
    let settings = [
        ("TESTEE_IS_LIVE_COUNTER", "yes"),
        ("MAYPOLE_SESSION_BACKEND", backend),
        ("MAYPOLE_REDIS_DEFAULT_URL", &redis.url()),
        ("MAYPOLE_SERVER_LISTEN", listen),
    ];
    Testee::start(directory.path(), &settings)
}

fn kill(process: &mut Process) {
    process.signal(libc::SIGKILL);
    process.end();
}

#[track_caller]
fn expect_in_both(tabs: [&Tab<'_>; 2], count: &str) {
    for tab in tabs {
        tab.wait_for("#count", count);
    }
}

fn one_counter_on_two_servers(backend: &str) {
    let Some(chromium) = Chromium::start() else { return };
    let (redis, directory) = (Redis::start(), TempDir::new());
    let here = start(&redis, &directory, backend, "127.0.0.1:0");
    let address = format!("127.0.0.1:{}", free_port());
    let mut there = start(&redis, &directory, backend, &address);
    let open = |testee: &Testee| {
        let tab = chromium.open(&format!("http://{}/", testee.addr));
        tab.wait_for("#state", "connected");
        tab
    };
    let (first, second) = (open(&here), open(&there));
    for (clicked, count) in [(&first, "1"), (&second, "2"), (&second, "3"), (&first, "4")] {
        clicked.click("#click");
        expect_in_both([&first, &second], count);
    }

    // Fast clicks on both at once: none is lost, and both tabs come to the same number.
    let clicks = "for (let left = 20; left > 0; left--) document.getElementById('click').click()";
    first.run(clicks);
    second.run(clicks);
    expect_in_both([&first, &second], "44");

    // One server dies: its tab waits for it, and has missed nothing when it is back.
    kill(&mut there.process);
    second.wait_for("#state", "not connected");
    first.click("#click");
    first.wait_for("#count", "45");
    there = start(&redis, &directory, backend, &address);
    second.wait_for("#state", "connected");
    second.wait_for("#count", "45");
    second.click("#click");
    expect_in_both([&first, &second], "46");

    // The end of the session on one server is its end on the other.
    first.click("#logout");
    first.wait_for("#bye", "Bye.");
    second.wait_for("#state", "logged out");
    second.reload();
    second.wait_for("#count", "0");
    wait_until("the other server still runs", PATIENCE, || there.process.is_running());
}

#[test]
fn two_servers_on_redis_show_one_counter() {
    one_counter_on_two_servers("redis");
}

#[test]
fn two_servers_with_tiered_sessions_show_one_counter() {
    one_counter_on_two_servers("tiered");
}
