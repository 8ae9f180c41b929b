//! Tabs of a real browser that stay connected: the live counter.

use maypole::Server;
use maypole::prelude::*;
use serde_json::Value;

use crate::examples::live_counter;
use crate::support::{Chromium, Journal, Tab, TempDir, free_port};

/// The live counter on a port; port 0 is the system's choice.
fn start(directory: &TempDir, listen: &str) -> Server {
    Journal::open();
    let config = format!("[server]\nlisten = {listen}\n");
    let mut app = App::with_config(Config::parse(&config, "test.ini").unwrap());
    app.config_mut().session_file.path = directory.path().join("sessions");
    live_counter::routes(&mut app);
    app.start().unwrap()
}

/// Two tabs, both connected.
fn tabs<'a>(chromium: &'a Chromium, url: &str) -> [Tab<'a>; 2] {
    // One after the other: the first visit makes the session that the second comes with.
    [(); 2].map(|()| {
        let tab = chromium.open(url);
        tab.wait_for("#state", "connected");
        tab
    })
}

/// Notes in the page every number it ever shows.
fn record(tab: &Tab<'_>) {
    tab.run(
        "window.shown = [];
         const note = () => window.shown.push(Number(document.getElementById('count').textContent));
         new MutationObserver(note).observe(document.querySelector('main'),
             {childList: true, subtree: true, characterData: true});",
    );
}

#[track_caller]
fn assert_never_set_back(tab: &Tab<'_>) {
    let shown = tab.run("return window.shown");
    let shown: Vec<_> = shown.as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    assert!(shown.is_sorted() && !shown.is_empty(), "{shown:?}");
}

#[test]
fn a_click_in_one_tab_moves_the_counter_in_all() {
    let Some(chromium) = Chromium::start() else { return };
    let directory = TempDir::new();
    let server = start(&directory, "127.0.0.1:0");
    let url = format!("http://{}/", server.local_addr());
    let [first, second] = tabs(&chromium, &url);
    for (clicked, number) in [(&first, "1"), (&second, "2"), (&second, "3"), (&first, "4")] {
        clicked.click("#click");
        first.wait_for("#count", number);
        second.wait_for("#count", number);
    }
    second.reload();
    second.wait_for("#count", "4");
    second.wait_for("#state", "connected");
    first.click("#click");
    second.wait_for("#count", "5");
}

#[test]
fn a_hundred_fast_clicks_in_two_tabs_make_a_hundred_in_both() {
    let Some(chromium) = Chromium::start() else { return };
    let directory = TempDir::new();
    let server = start(&directory, "127.0.0.1:0");
    let [first, second] = tabs(&chromium, &format!("http://{}/", server.local_addr()));
    for tab in [&first, &second] {
        record(tab);
    }
    let clicks = "let left = 50;
        const timer = setInterval(() => {
            document.getElementById('click').click();
            if (--left === 0) clearInterval(timer);
        }, 2);";
    first.run(clicks);
    second.run(clicks);
    for tab in [&first, &second] {
        tab.wait_for("#count", "100");
    }
    for tab in [&first, &second] {
        assert_never_set_back(tab);
        assert_eq!(tab.text("#count"), "100");
    }
}

#[test]
fn the_counter_goes_on_after_a_restart_and_tabs_connect_again() {
    let Some(chromium) = Chromium::start() else { return };
    let directory = TempDir::new();
    let addr = format!("127.0.0.1:{}", free_port());
    let server = start(&directory, &addr);
    let [first, second] = tabs(&chromium, &format!("http://{addr}/"));
    first.click("#click");
    second.wait_for("#count", "1");
    server.stop();
    second.wait_for("#state", "not connected");
    let _server = start(&directory, &addr);
    for tab in [&first, &second] {
        tab.wait_for("#state", "connected");
    }
    second.click("#click");
    for tab in [&first, &second] {
        tab.wait_for("#count", "2");
    }
}

#[test]
fn a_logout_in_one_tab_closes_the_socket_of_the_other() {
    let Some(chromium) = Chromium::start() else { return };
    let directory = TempDir::new();
    let server = start(&directory, "127.0.0.1:0");
    let [first, second] = tabs(&chromium, &format!("http://{}/", server.local_addr()));
    first.click("#click");
    second.wait_for("#count", "1");
    first.click("#logout");
    first.wait_for("#bye", "Bye.");
    second.wait_for("#state", "logged out");
    second.reload();
    second.wait_for("#count", "0");
}
