//! Sockets that follow their session and topics: real servers, raw sockets.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use maypole::live::{Event, TopicEvent, Topics, WebSocket};
use maypole::prelude::*;

use super::{FIN, TEXT, expect_close, expect_text, handshake, open, open_with, take_frame, text};
use crate::support::{
    Browser, Journal, PATIENCE, TestServer, Wire, crowds_turn, serve, wait_until,
};

/// A counter whose sockets tell each change, with routes for all that happens to a session.
pub(super) fn counting(config: &str) -> TestServer {
    serve(config, |app| {
        app.get("/", |ctx| Ok(ctx.session.increment("count", 0)?.to_string()));
        app.get("/click", |ctx| Ok(ctx.session.increment("count", 1)?.to_string()));
        app.get("/rotate", |ctx| ctx.session.rotate());
        app.get("/login", |ctx| ctx.session.login("ada"));
        app.get("/logout", |ctx| ctx.session.logout());
        app.post("/slow-logout", |ctx| {
            ctx.session.logout()?;
            ctx.body_bytes().map(drop)
        });
        app.get("/everywhere", |ctx| ctx.session.revoke_all("ada"));
        app.get("/live", |ctx| ctx.websocket(tell_count));
        app.get("/silent", |ctx| {
            ctx.websocket(|ws| {
                ws.send(session().get_or("count", 0)?.to_string())?;
                while ws.recv()?.is_some() {}
                Ok(())
            })
        });
        app.get("/ticks", |ctx| {
            ctx.websocket(|ws| {
                ws.send(session().get_or("count", 0)?.to_string())?;
                loop {
                    ws.send("tick")?;
                    maypole::sleep(Duration::from_millis(10));
                }
            })
        });
        app.get("/tick-events", |ctx| {
            ctx.sse(|out| {
                out.send(session().get_or("count", 0)?.to_string())?;
                loop {
                    out.send("tick")?;
                    maypole::sleep(Duration::from_millis(10));
                }
            })
        });
        app.get("/undying", |ctx| {
            ctx.websocket(|ws| {
                ws.outlive_session();
                ws.follow(session().changes()?)?;
                ws.send("here")?;
                while let Some(event) = ws.recv()? {
                    ws.send(format!("{event:?}"))?;
                }
                Ok(())
            })
        });
        app.get("/events", |ctx| {
            let changes = ctx.session.changes()?;
            ctx.sse(|out| {
                out.follow(changes)?;
                loop {
                    out.send(session().get_or("count", 0)?.to_string())?;
                    if out.recv()?.is_none() {
                        return Ok(());
                    }
                }
            })
        });
    })
}

fn tell_count(ws: &mut WebSocket) -> Result<()> {
    let session = session();
    ws.follow(session.changes()?)?;
    loop {
        let version = session.version()?.unwrap_or_default();
        ws.send(session.get_or("count", 0)?.to_string())?;
        match ws.recv()? {
            None => return Ok(()),
            Some(Event::Change(change)) => {
                assert!(change.touches("count") && session.version()? >= Some(change.version()));
                assert!(session.version()? >= Some(version));
            }
            Some(_) => {}
        }
    }
}

/// A visitor with a session; and what their browser sends with a handshake.
pub(super) fn visitor(server: &TestServer) -> (Browser, String) {
    let mut browser = server.browser();
    assert_eq!(browser.get("/").text(), "0");
    let line = cookie_line(&browser);
    (browser, line)
}

pub(super) fn cookie_line(browser: &Browser) -> String {
    format!("Cookie: session={}\r\n", browser.session().expect("a session"))
}

#[test]
fn all_tabs_see_each_change_in_order() {
    let server = counting("");
    let (mut browser, cookie) = visitor(&server);
    let mut tabs: Vec<_> = (0..3).map(|_| open_with(&server, "/live", &cookie)).collect();
    tabs.iter_mut().for_each(|tab| expect_text(tab, "0"));
    for count in 1..=3 {
        assert_eq!(browser.get("/click").text(), count.to_string());
        tabs.iter_mut().for_each(|tab| expect_text(tab, &count.to_string()));
    }
    // The id changes, the tabs stay.
    browser.get("/rotate");
    assert_ne!(cookie_line(&browser), cookie);
    browser.get("/click");
    tabs.iter_mut().for_each(|tab| expect_text(tab, "4"));
    drop(tabs);
    server.expect_no_connections();
}

#[test]
fn sockets_close_when_their_session_ends() {
    for (path, config, code) in [
        ("/logout", "", 4401),
        ("/logout", "[live]\nsession_end_close = 4001\n", 4001),
        ("/login", "", 4401),
        ("/everywhere", "", 4401),
    ] {
        let server = counting(config);
        let (mut browser, _) = visitor(&server);
        browser.get("/login");
        let cookie = cookie_line(&browser);
        let mut following = open_with(&server, "/live", &cookie);
        expect_text(&mut following, "0");
        // It only used its session.
        let mut silent = open_with(&server, "/silent", &cookie);
        expect_text(&mut silent, "0");
        let mut stream = server.connect();
        stream.send(format!("GET /events HTTP/1.1\r\nHost: x\r\n{cookie}\r\n"));
        wait_until("the stream has begun", PATIENCE, || {
            let mut seen = [0; 1024];
            let count = stream.stream().peek(&mut seen).expect("an answer");
            seen[..count].windows(7).any(|seven| seven == b"data: 0")
        });
        let (mut other, _) = visitor(&server);
        let mut others = open_with(&server, "/live", &cookie_line(&other));
        expect_text(&mut others, "0");
        browser.get(path);
        assert_eq!((expect_close(&mut following), expect_close(&mut silent)), (code, code));
        let told = stream.answer();
        assert_eq!((told.status, told.text().as_str()), (200, "data: 0\n\n"), "{path}");
        other.get("/click");
        expect_text(&mut others, "1");
    }
}

#[test]
fn a_logout_with_an_id_that_changes_meanwhile_closes_the_sockets_of_the_new_one() {
    let server = counting("");
    for path in ["/login", "/rotate"] {
        let (mut browser, _) = visitor(&server);
        let mut leaver = server.connect();
        let head = browser.head("POST", "/slow-logout");
        leaver.send(head + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        assert_eq!(leaver.answer().status, 100);
        browser.get(path);
        let mut tab = open_with(&server, "/live", &cookie_line(&browser));
        expect_text(&mut tab, "0");
        leaver.send("x");
        assert_eq!(leaver.answer().status, 204);
        assert_eq!(expect_close(&mut tab), 4401, "{path}");
    }
}

#[test]
fn a_socket_may_outlive_its_session_and_one_without_session_is_refused() {
    let server = counting("");
    let (mut browser, cookie) = visitor(&server);
    let mut undying = open_with(&server, "/undying", &cookie);
    expect_text(&mut undying, "here");
    browser.get("/logout");
    expect_text(&mut undying, "SessionEnded(Destroyed)");
    undying.send(text("still?"));
    expect_text(&mut undying, "Text(\"still?\")");
    let mut nobody = server.connect();
    assert_eq!(nobody.get("/events").status, 409);
    assert_eq!(expect_close(&mut open(&server, "/live")), 4401);
}

/// Any visitor can do that at any time: it is no fault of the server's.
#[test]
fn a_handler_that_fails_by_its_clients_fault_says_so_and_logs_no_error() {
    type Fail = fn() -> Result<()>;
    let cases: [(&str, Fail, u16, &str); 4] = [
        ("/faults/watch", || session().changes().map(drop), 4401, "DEBUG"),
        ("/faults/user", || session().require_user().map(drop), 4401, "DEBUG"),
        (
            "/faults/room",
            || Err(Error::with_status(StatusCode::NOT_FOUND, "no room")),
            1008,
            "DEBUG",
        ),
        ("/faults/own", || Err(Error::new(ErrorKind::Internal, "own fault")), 1011, "ERROR"),
    ];
    let server = serve("", move |app| {
        for (path, fail, ..) in cases {
            app.get(path, move |ctx| ctx.websocket(move |_| fail()));
            let streamed = format!("{path}/streamed");
            app.get(&streamed, move |ctx| ctx.sse(move |_| fail()));
        }
    });
    for (path, _, code, level) in cases {
        assert_eq!(expect_close(&mut open(&server, path)), code, "{path}");
        let streamed = format!("{path}/streamed");
        assert_eq!(server.connect().get(&streamed).status, 200);
        for path in [path, &streamed] {
            let needle = format!("GET {path}: ");
            wait_until("it is logged", PATIENCE, || !Journal::lines_with(&needle).is_empty());
            let lines = Journal::lines_with(&needle);
            assert!(lines.iter().all(|line| line.starts_with(level)), "{path}: {lines:?}");
        }
    }
}

#[test]
fn a_change_by_another_process_on_the_same_files_is_found() {
    let server = counting("[live]\nsession_poll = 50ms\n");
    let (mut browser, cookie) = visitor(&server);
    let mut tab = open_with(&server, "/live", &cookie);
    expect_text(&mut tab, "0");
    // Another server on the same directory, with the settings of the first.
    let directory = server.session_path().join("sessions");
    let other = serve("", |app| {
        app.config_mut().session_file.path = directory;
        app.get("/click", |ctx| Ok(ctx.session.increment("count", 1)?.to_string()));
        app.get("/logout", |ctx| ctx.session.logout());
    });
    let mut elsewhere = browser.at(other.addr());
    assert_eq!(elsewhere.get("/click").text(), "1");
    expect_text(&mut tab, "1");
    elsewhere.get("/logout");
    assert_eq!(expect_close(&mut tab), 4401);
    browser = elsewhere;
    assert_eq!(browser.session(), None);
}

#[test]
fn a_thousand_tabs_get_a_change_and_hold_up_nobody() {
    const TABS: usize = 1000;
    let _turn = crowds_turn();
    let server = counting("");
    let (mut browser, cookie) = visitor(&server);
    let mut tabs: Vec<Wire> = (0..TABS)
        .map(|_| {
            let mut wire = server.connect();
            wire.send(handshake("/live", &cookie));
            wire
        })
        .collect();
    for tab in &mut tabs {
        assert_eq!(tab.answer().status, 101);
        expect_text(tab, "0");
    }
    let begun = Instant::now();
    assert_eq!(browser.get("/click").text(), "1");
    let answered = begun.elapsed();
    tabs.iter_mut().for_each(|tab| expect_text(tab, "1"));
    println!(
        "{TABS} tabs: the click was answered after {answered:?}, all told after {:?}",
        begun.elapsed()
    );
    // A burst ends at its last value in every tab, whatever was joined on the way.
    (0..10).for_each(|_| drop(browser.get("/click")));
    for tab in &mut tabs {
        let mut last = 1;
        while last < 11 {
            let (first, payload) = take_frame(tab);
            let next: i64 = String::from_utf8_lossy(&payload).parse().expect("a number");
            assert!(first == FIN | TEXT && next >= last, "{next} after {last}");
            last = next;
        }
    }
}

/// Changes a session many times, more often than `queue` holds, and then reads what it is told: the
/// keys of all changes, at the version of the last.
fn write_and_hear(mut recv: impl FnMut() -> Result<Option<Event>>) -> Result<String> {
    const SAVES: usize = 200;
    let session = session();
    for number in 0..SAVES {
        session.set(["a", "b", "c"][number % 3], number)?;
        session.save()?;
    }
    let (mut keys, mut events) = (Vec::new(), 0);
    loop {
        let event = recv()?;
        let Some(Event::Change(change)) = event else { return Ok(format!("{event:?}")) };
        events += 1;
        keys.extend_from_slice(change.keys());
        if Some(change.version()) >= session.version()? {
            keys.sort_unstable();
            keys.dedup();
            return Ok(format!("{} few: {}", keys.join(""), events < SAVES));
        }
    }
}

#[test]
fn who_follows_the_session_it_writes_is_not_closed_for_its_own_changes() {
    let server = serve("[sse]\nqueue = 2\n[websocket]\nqueue = 2\n", |app| {
        app.get("/", |ctx| Ok(ctx.session.increment("count", 0)?.to_string()));
        app.get("/ws", |ctx| {
            ctx.websocket(|ws| {
                ws.follow(session().changes()?)?;
                let heard = write_and_hear(|| ws.recv())?;
                ws.send(heard)
            })
        });
        app.get("/sse", |ctx| {
            ctx.sse(|out| {
                out.follow(session().changes()?)?;
                let heard = write_and_hear(|| out.recv())?;
                out.send(heard)
            })
        });
    });
    let (_browser, cookie) = visitor(&server);
    let mut socket = open_with(&server, "/ws", &cookie);
    expect_text(&mut socket, "abc few: true");
    assert_eq!(expect_close(&mut socket), 1000);
    let mut stream = server.connect();
    stream.send(format!("GET /sse HTTP/1.1\r\nHost: x\r\n{cookie}\r\n"));
    assert_eq!(stream.answer().text(), "data: abc few: true\n\n");
}

/// A chat, and what its background code has.
fn chatting() -> (TestServer, Topics) {
    chatting_on("")
}

pub(super) fn chatting_on(config: &str) -> (TestServer, Topics) {
    let topics = Mutex::new(None);
    let server = serve(config, |app| {
        *topics.lock().unwrap() = Some(app.topics());
        app.get("/rooms/{room}", |ctx| {
            let room = ctx.topic(ctx.param::<String>("room")?)?;
            ctx.websocket(move |ws| {
                ws.follow(maypole::live::topic(room.name())?)?;
                ws.send("joined")?;
                while let Some(event) = ws.recv()? {
                    match event {
                        Event::Text(said) => drop(room.publish(said)?),
                        Event::Message(message) => ws.send(message.text())?,
                        _ => {}
                    }
                }
                Ok(())
            })
        });
    });
    let topics = topics.lock().unwrap().take().unwrap();
    (server, topics)
}

#[test]
fn a_room_hears_what_is_said_in_it_and_no_other_room_or_app() {
    let ((server, topics), (other_server, other_topics)) = (chatting(), chatting());
    let join = |server: &TestServer, path: &str| {
        let mut wire = open(server, path);
        expect_text(&mut wire, "joined");
        wire
    };
    let mut tea = [join(&server, "/rooms/tea"), join(&server, "/rooms/tea")];
    let mut coffee = join(&server, "/rooms/coffee");
    let mut elsewhere = join(&other_server, "/rooms/tea");
    let room = topics.topic("tea").unwrap();
    let mut reader = room.subscribe().unwrap();
    tea[0].send(text("hello"));
    tea.iter_mut().for_each(|wire| expect_text(wire, "hello"));
    assert_eq!(room.publish("from a thread").unwrap(), 3);
    tea.iter_mut().for_each(|wire| expect_text(wire, "from a thread"));
    let heard = (0..2).map(|_| match reader.next_timeout(PATIENCE) {
        Some(TopicEvent::Message(message)) => message.text().to_owned(),
        other => panic!("{other:?}"),
    });
    assert_eq!(heard.collect::<Vec<_>>(), ["hello", "from a thread"]);
    coffee.send(text("only here"));
    expect_text(&mut coffee, "only here");
    other_topics.topic("tea").unwrap().publish("only there").unwrap();
    expect_text(&mut elsewhere, "only there");
    drop((tea, reader, coffee));
    wait_until("nobody is subscribed any more", PATIENCE, || room.subscribers() == 0);
    assert_eq!(room.publish("nobody").unwrap(), 0);
}
