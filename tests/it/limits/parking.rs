//! Idle connections give their coroutine back and are woken by their next bytes.

use crate::support::{PATIENCE, TestServer, crowds_turn, serve, wait_until};

fn parking() -> TestServer {
    serve("[server]\nlinger = 20ms\n", |app| {
        app.get("/", |_ctx| "home");
        app.post("/echo", |ctx| ctx.body_bytes());
    })
}

fn wait_until_parked(server: &TestServer, count: usize) {
    wait_until("the connections are parked", PATIENCE, || {
        server.server().parked_connections() == count
    });
    assert_eq!(server.server().connections(), count);
}

#[test]
fn a_parked_connection_answers_its_next_request() {
    let server = parking();
    let mut wires: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for _ in 0..4 {
        for wire in &mut wires {
            assert_eq!(wire.get("/").text(), "home");
        }
        wait_until_parked(&server, 50);
    }
    wires.truncate(20);
    wait_until_parked(&server, 20);
    for wire in &mut wires {
        wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(wire.answer().text(), "hello");
    }
    drop(wires);
    server.expect_no_connections();
}

#[test]
fn a_part_of_a_head_is_parked_and_completed() {
    let server = parking();
    let head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut wires: Vec<_> = (1..head.len()).map(|at| (at, server.connect())).collect();
    for (at, wire) in &mut wires {
        wire.send(&head[..*at]);
    }
    wait_until_parked(&server, wires.len());
    for (at, wire) in &mut wires {
        let middle = (*at + head.len()) / 2;
        wire.send(&head[*at..middle]);
    }
    wait_until_parked(&server, wires.len());
    for (at, wire) in &mut wires {
        let middle = (*at + head.len()) / 2;
        wire.send(&head[middle..]);
        assert_eq!(wire.answer().text(), "home", "cut at {at} and {middle}");
        assert_eq!(wire.get("/probe").text(), "probe");
    }
}

#[test]
fn two_thousand_idle_connections_hinder_nobody() {
    let _turn = crowds_turn();
    let server = parking();
    let mut wires: Vec<_> = (0..2000).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for wire in &mut wires {
        assert_eq!(wire.answer().text(), "home");
    }
    wait_until_parked(&server, 2000);
    for _ in 0..200 {
        assert_eq!(server.connect().get("/probe").text(), "probe");
    }
    for wire in wires.iter_mut().rev() {
        assert_eq!(wire.get("/probe").text(), "probe");
    }
    drop(wires);
    server.expect_no_connections();
}
