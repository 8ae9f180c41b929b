//! Two servers on one real redis: what happens on one is told on the other.

use super::watching::{chatting_on, cookie_line, counting, visitor};
use super::{expect_close, expect_text, open, open_with, text};
use crate::support::{PATIENCE, Redis, wait_until};

fn on_redis(backend: &str, redis: &Redis) -> String {
    format!("[session]\nbackend = {backend}\n[redis.default]\nurl = {}\n", redis.url())
}

#[test]
fn tabs_of_one_server_see_what_happens_on_another() {
    for backend in ["redis", "tiered"] {
        let redis = Redis::start();
        let config = on_redis(backend, &redis);
        let (one, other) = (counting(&config), counting(&config));
        let (browser, cookie) = visitor(&one);
        let mut tabs = [open_with(&one, "/live", &cookie), open_with(&other, "/live", &cookie)];
        tabs.iter_mut().for_each(|tab| expect_text(tab, "0"));
        let mut elsewhere = browser.at(other.addr());
        for count in 1..=3 {
            assert_eq!(elsewhere.get("/click").text(), count.to_string());
            tabs.iter_mut().for_each(|tab| expect_text(tab, &count.to_string()));
        }
        elsewhere.get("/rotate");
        assert_ne!(cookie_line(&elsewhere), cookie);
        let mut browser = elsewhere.at(one.addr());
        assert_eq!(browser.get("/click").text(), "4");
        tabs.iter_mut().for_each(|tab| expect_text(tab, "4"));
        let mut elsewhere = browser.at(other.addr());
        elsewhere.get("/logout");
        tabs.iter_mut().for_each(|tab| assert_eq!(expect_close(tab), 4401, "{backend}"));
        // All sessions of a user, ended elsewhere.
        let (mut browser, _) = visitor(&one);
        browser.get("/login");
        let mut tab = open_with(&one, "/live", &cookie_line(&browser));
        expect_text(&mut tab, "0");
        visitor(&other).0.get("/everywhere");
        assert_eq!(expect_close(&mut tab), 4401, "{backend}");
        println!("{backend}: two servers told each other everything");
    }
}

#[test]
fn a_room_is_one_on_all_servers_of_one_redis() {
    let redis = Redis::start();
    let config = on_redis("redis", &redis);
    let ((one, here), (other, _there)) = (chatting_on(&config), chatting_on(&config));
    let mut wires = [open(&one, "/rooms/tea"), open(&other, "/rooms/tea")];
    wires.iter_mut().for_each(|wire| expect_text(wire, "joined"));
    wait_until("both servers listen", PATIENCE, || {
        format!("{:?}", redis.run("PUBSUB NUMSUB maypole:topic:tea")).contains('2')
    });
    wires[0].send(text("hello"));
    wires.iter_mut().for_each(|wire| expect_text(wire, "hello"));
    assert_eq!(here.topic("tea").unwrap().publish("from one").unwrap(), 1);
    wires.iter_mut().for_each(|wire| expect_text(wire, "from one"));
    wires[1].send(text("back"));
    wires.iter_mut().for_each(|wire| expect_text(wire, "back"));
}
