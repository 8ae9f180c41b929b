//! Who may open a WebSocket, and what everybody else is told.

use super::{ACCEPT, KEY, echoing, expect_text, handshake, open_with, text};
use crate::support::check_split;

#[test]
fn the_answer_proves_that_the_request_was_understood() {
    let server = echoing("");
    let mut wire = server.connect();
    wire.send(handshake("/echo", ""));
    let answer = wire.answer();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(answer.header("sec-websocket-protocol"), None);
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
}

#[test]
fn names_and_tokens_may_be_spelt_in_any_case() {
    let server = echoing("");
    let mut wire = server.connect();
    wire.send(format!(
        "GET /echo HTTP/1.1\r\nhost: x\r\nCONNECTION: keep-alive, uPGRADE\r\nUpgrade: h2c, WebSocket\r\n\
         sec-websocket-VERSION: 13\r\nSEC-WEBSOCKET-KEY: {KEY}\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    ));
    assert_eq!(wire.answer().status, 101);
    wire.send(text("hello"));
    expect_text(&mut wire, "hello");
}

#[test]
fn frames_right_behind_the_handshake_belong_to_the_socket() {
    let server = echoing("");
    let mut wire = server.connect();
    wire.send([handshake("/echo", "").as_bytes(), &text("one"), &text("two")].concat());
    assert_eq!(wire.answer().status, 101);
    expect_text(&mut wire, "one");
    expect_text(&mut wire, "two");
}

#[test]
fn what_is_no_handshake_is_refused() {
    let server = echoing("");
    let good = handshake("/echo", "");
    let without = |line: &str| {
        assert!(good.contains(line), "{line}");
        good.replace(line, "")
    };
    let key_line = format!("Sec-WebSocket-Key: {KEY}\r\n");
    let no_upgrade = "426 this is a WebSocket: ask with Upgrade: websocket\nopen";
    let no_version = "426 this is a WebSocket of version 13\nopen";
    let no_key = "400 Sec-WebSocket-Key must be 16 bytes in base64\nopen";
    for (request, expected) in [
        (good.replace("GET", "POST"), "405 405 Method Not Allowed\nopen"),
        (without("Upgrade: websocket\r\n"), no_upgrade),
        (without("Connection: Upgrade\r\n"), no_upgrade),
        (good.replace("Upgrade: websocket", "Upgrade: h2c"), no_upgrade),
        (good.replace("Upgrade: websocket", "Upgrade: websockets"), no_upgrade),
        (without("Sec-WebSocket-Version: 13\r\n"), no_version),
        (good.replace("Version: 13", "Version: 12"), no_version),
        (good.replace("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8"), no_version),
        (without(&key_line), no_key),
        (good.replace(KEY, "dGhlIHNhbXBsZSBub25jZQ"), no_key),
        (good.replace(KEY, "c2hvcnQ="), no_key),
        (good.replace(KEY, ""), no_key),
        (good.replace(&key_line, &key_line.repeat(2)), no_key),
        (good.replace("/echo", "/nowhere"), "404 404 Not Found\nopen"),
    ] {
        crate::support::check(&server, &request, expected);
    }
    check_split(&server, good.replace("Version: 13", "Version: 7"), no_version);
    // HTTP/1.0 knows no upgrade, and closes.
    let mut wire = server.connect();
    wire.send(good.replace("HTTP/1.1", "HTTP/1.0"));
    assert_eq!(wire.answer().status, 426);
}

#[test]
fn a_refusal_tells_what_would_be_taken() {
    let server = echoing("");
    let mut wire = server.connect();
    wire.send(handshake("/echo", "").replace("Version: 13", "Version: 14"));
    let answer = wire.answer();
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    let answer = wire.get("/echo");
    assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
}

/// HEAD is answered as GET would be, but opens nothing, whatever it asks for.
#[test]
fn head_is_told_what_a_plain_get_is() {
    let server = echoing("");
    let get = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let mut wire = server.connect();
    wire.send(&get);
    let expected = wire.answer();
    for request in [get, handshake("/echo", ""), handshake("/echo", "Origin: http://evil\r\n")] {
        let request = request.replace("GET", "HEAD");
        wire.send(&request);
        let answer = wire.try_answer_to(true).expect("an answer");
        assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
        for name in ["connection", "content-length", "content-type", "allow"] {
            assert_eq!(answer.header(name), expected.header(name), "{name}");
        }
        crate::support::check(&server, &request, "426\nopen");
    }
}

#[test]
fn what_is_allowed_is_the_same_for_who_asks_and_who_is_refused() {
    let server = crate::support::serve("", |app| {
        app.get("/ws", |ctx| ctx.websocket(|ws| ws.close(1000, "")));
        app.post("/mixed", |ctx| ctx.websocket(|ws| ws.close(1000, "")));
        app.get("/mixed", |ctx| ctx.websocket(|ws| ws.close(1000, "")));
    });
    for (method, path, status) in [
        ("OPTIONS", "/ws", 204),
        ("POST", "/ws", 405),
        // Here the handler itself refuses: what it answers, whatever the routes are.
        ("POST", "/mixed", 405),
    ] {
        let mut wire = server.connect();
        wire.send(handshake(path, "").replace("GET", method));
        let answer = wire.answer();
        let told = (answer.status, answer.header("allow"));
        assert_eq!(told, (status, Some("GET, HEAD, OPTIONS")), "{method} {path}");
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    let status = |config: &str, host: &str, lines: &str| {
        let server = echoing(config);
        let mut wire = server.connect();
        wire.send(handshake("/echo", lines).replace("Host: x", &format!("Host: {host}")));
        wire.answer().status
    };
    let listed = "[websocket]\norigins = https://app.example, http://localhost:3000\n";
    let proxied = "[server]\ntrusted_proxies = 127.0.0.1\n";
    for (config, host, lines, expected) in [
        ("", "x", "", 101),
        ("", "x", "Origin: http://x\r\n", 101),
        ("", "x", "Origin: HTTP://X\r\n", 101),
        ("", "x:80", "Origin: http://x\r\n", 101),
        ("", "x:8080", "Origin: http://x:8080\r\n", 101),
        ("", "x", "Origin: http://x:8080\r\n", 403),
        ("", "x", "Origin: https://x\r\n", 403),
        ("", "x", "Origin: http://evil.example\r\n", 403),
        ("", "x", "Origin: http://x.evil.example\r\n", 403),
        ("", "x", "Origin: null\r\n", 403),
        ("", "x", "Origin:\r\n", 403),
        ("", "x", "Origin: http://x\r\nOrigin: http://evil.example\r\n", 403),
        (listed, "x", "Origin: https://app.example\r\n", 101),
        (listed, "x", "Origin: http://localhost:3000\r\n", 101),
        (listed, "x", "Origin: http://x\r\n", 101),
        (listed, "x", "Origin: http://app.example\r\n", 403),
        ("[websocket]\norigins = *\n", "x", "Origin: http://evil.example\r\n", 101),
        ("[websocket]\nrequire_origin = true\n", "x", "", 403),
        ("[websocket]\nrequire_origin = true\n", "x", "Origin: http://x\r\n", 101),
        // A client cannot give itself another scheme or host; a trusted proxy can.
        ("", "x", "X-Forwarded-Proto: https\r\nOrigin: https://x\r\n", 403),
        ("", "x", "X-Forwarded-Host: evil.example\r\nOrigin: http://evil.example\r\n", 403),
        (proxied, "x", "X-Forwarded-Proto: https\r\nOrigin: https://x\r\n", 101),
        (
            proxied,
            "inner",
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\
             Origin: https://shop.example\r\n",
            101,
        ),
        (proxied, "x", "X-Forwarded-Proto: https\r\nOrigin: http://x\r\n", 403),
    ] {
        assert_eq!(status(config, host, lines), expected, "{config:?} {host} {lines:?}");
    }
}

#[test]
fn a_subprotocol_both_know_is_agreed_on() {
    let server = crate::support::serve("", |app| {
        app.get("/echo", |ctx| {
            let options = maypole::live::WebSocketOptions::new().protocols(["chat.v2", "chat.v1"]);
            ctx.websocket_with(&options, |ws| {
                let protocol = format!("{:?}", ws.protocol());
                ws.send(protocol)
            })
        });
    });
    for (offered, agreed) in [
        ("Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n", Some("chat.v1")),
        ("Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: chat.v2\r\n", Some("chat.v2")),
        ("Sec-WebSocket-Protocol: CHAT.V1\r\n", None),
        ("Sec-WebSocket-Protocol: other\r\n", None),
        ("", None),
    ] {
        let mut wire = server.connect();
        wire.send(handshake("/echo", offered));
        let answer = wire.answer();
        assert_eq!(answer.status, 101, "{offered}");
        assert_eq!(answer.header("sec-websocket-protocol"), agreed, "{offered}");
        expect_text(&mut wire, &format!("{agreed:?}"));
    }
}

#[test]
fn login_rules_hold_for_upgrades() {
    let server = echoing("");
    let mut stranger = server.connect();
    stranger.send(handshake("/members/echo", ""));
    assert_eq!(stranger.answer().status, 403);
    let mut wire = server.connect();
    let answer = wire.get("/in");
    let cookie = answer.header("set-cookie").and_then(|line| line.split(';').next()).unwrap();
    let mut member = open_with(&server, "/members/echo", &format!("Cookie: {cookie}\r\n"));
    member.send(text("hello"));
    expect_text(&mut member, "hello");
}

#[test]
fn the_session_is_saved_before_the_switch_and_its_cookie_comes_with_it() {
    let server = echoing("");
    let mut wire = server.connect();
    wire.send(handshake("/user", ""));
    let answer = wire.answer();
    assert_eq!(answer.status, 101);
    let cookie = answer.header("set-cookie").and_then(|line| line.split(';').next()).unwrap();
    let cookie = format!("Cookie: {cookie}\r\n");
    let mut other = server.connect();
    let count = format!("GET /count HTTP/1.1\r\nHost: x\r\n{cookie}\r\n");
    other.send(&count);
    let answer = other.answer();
    assert_eq!((answer.text().as_str(), answer.header("set-cookie")), ("1", None));
    // The socket reads what others wrote, and its own writes are there once they are saved.
    wire.send(text("look"));
    expect_text(&mut wire, "1");
    other.send(&count);
    assert_eq!(other.answer().text(), "2");
    wire.send(text("look"));
    expect_text(&mut wire, "2");
    wire.send(text("save"));
    expect_text(&mut wire, "12");
    other.send(&count);
    assert_eq!(other.answer().text(), "13");
    wire.send(text("forget"));
    expect_text(&mut wire, "1013");
    drop((wire, other));
    server.expect_no_connections();
    let unsaved = |events: &[(&str, u64)]| {
        events.iter().find(|(name, _)| name.contains("were not saved")).map(|(_, count)| *count)
    };
    assert_eq!(unsaved(&server.server().session_events()), Some(1));
    let mut other = server.connect();
    other.send(&count);
    assert_eq!(other.answer().text(), "14");
}

#[test]
fn no_more_sockets_are_opened_than_allowed() {
    let server = echoing("[websocket]\nmax_open = 2\n");
    let mut first = open_with(&server, "/echo", "");
    let _second = open_with(&server, "/echo", "");
    let mut third = server.connect();
    third.send(handshake("/echo", ""));
    let answer = third.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    first.send(super::close(1000, ""));
    assert_eq!(super::take_close(&mut first), 1000);
    first.expect_end();
    crate::support::wait_until("a place is free", crate::support::PATIENCE, || {
        third.send(handshake("/echo", ""));
        third.answer().status == 101
    });
}
