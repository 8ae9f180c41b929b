//! RFC 6455 frame by frame, as bytes.

use super::{
    BINARY, CLOSE, FIN, PING, PONG, TEXT, close, echoing, expect_close, expect_text, frame, open,
    take_close, take_frame, text,
};
use crate::support::TestServer;

/// Sends `input` to an echo, and what the server closes with; then the end.
#[track_caller]
fn check_close(server: &TestServer, input: &[u8], expected: u16) {
    let mut wire = open(server, "/echo");
    wire.send(input);
    assert_eq!(take_close(&mut wire), expected, "{input:02x?}");
    wire.finish_sending();
    wire.expect_end();
}

#[test]
fn messages_come_back_byte_by_byte_as_the_standard_writes_them() {
    let server = echoing("");
    let mut wire = open(&server, "/echo");
    // The examples of RFC 6455, section 5.7.
    wire.send([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    assert_eq!(wire.take(7), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    wire.send([0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    assert_eq!(wire.take(7), [0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    for (length, head) in [
        (0, vec![0x82, 0]),
        (125, vec![0x82, 125]),
        (126, vec![0x82, 126, 0, 126]),
        (0xffff, vec![0x82, 126, 0xff, 0xff]),
        (0x1_0000, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        wire.send(frame(FIN | BINARY, &payload));
        assert_eq!(wire.take(head.len()), head);
        assert_eq!(wire.take(length), payload);
    }
}

#[test]
fn a_conversation_may_be_cut_at_every_byte() {
    let server = echoing("");
    let conversation = [
        text("héllo"),
        frame(TEXT, "a".as_bytes()),
        frame(FIN | PING, b"p"),
        frame(0, "ü".as_bytes()),
        frame(FIN, b"z"),
        frame(FIN | BINARY, &[7; 200]),
        close(1000, "done"),
    ]
    .concat();
    let expected = [
        &[0x81, 6][..],
        "héllo".as_bytes(),
        &[0x8a, 1, b'p', 0x81, 4],
        "aüz".as_bytes(),
        &[0x82, 126, 0, 200],
        &[7; 200],
        &[0x88, 6, 0x03, 0xe8],
        b"done",
    ]
    .concat();
    let mut wires = Vec::new();
    for at in 0..=conversation.len() {
        let mut wire = open(&server, "/echo");
        wire.send(&conversation[..at]);
        wires.push((at, wire));
    }
    for (at, wire) in &mut wires {
        wire.send(&conversation[*at..]);
    }
    for (at, mut wire) in wires {
        assert_eq!(wire.rest(), expected, "cut at {at}");
    }
    server.expect_no_connections();
}

#[test]
fn every_byte_of_a_message_may_be_a_fragment() {
    let server = echoing("");
    let mut wire = open(&server, "/echo");
    let message = "grüße 👋 ∀x";
    let last = message.len() - 1;
    for (at, byte) in message.bytes().enumerate() {
        let first = if at == 0 { TEXT } else { 0 } | if at == last { FIN } else { 0 };
        wire.send(frame(first, &[byte]));
        wire.send(frame(FIN | PING, &[byte]));
    }
    for byte in message.bytes().take(last) {
        assert_eq!(take_frame(&mut wire), (FIN | PONG, vec![byte]));
    }
    expect_text(&mut wire, message);
    assert_eq!(take_frame(&mut wire), (FIN | PONG, message.as_bytes()[last..].to_vec()));
    // Empty fragments are fragments.
    wire.send([frame(TEXT, b""), frame(0, b""), frame(FIN, b"")].concat());
    expect_text(&mut wire, "");
}

#[test]
fn unasked_pongs_are_passed_over() {
    let server = echoing("");
    let mut wire = open(&server, "/echo");
    wire.send([frame(FIN | PONG, b"x"), frame(FIN | PONG, &[1; 125]), text("y")].concat());
    expect_text(&mut wire, "y");
}

#[test]
fn what_breaks_the_framing_closes_with_1002() {
    let server = echoing("");
    let mut unmasked = text("x");
    unmasked[1] &= 0x7f;
    unmasked.drain(2..6);
    for input in [
        unmasked,
        frame(FIN | 0x40 | TEXT, b"x"),
        frame(FIN | 0x20 | TEXT, b"x"),
        frame(FIN | 0x10 | TEXT, b"x"),
        frame(FIN | 0x3, b""),
        frame(FIN | 0x7, b"x"),
        frame(FIN | 0xb, b""),
        frame(FIN | 0xf, b"x"),
        frame(FIN, b"nothing to go on with"),
        frame(0, b"nothing to go on with"),
        [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(),
        [frame(TEXT, b"a"), frame(BINARY, b"b")].concat(),
        frame(PING, b"in pieces"),
        frame(CLOSE, b""),
        frame(FIN | PING, &[0; 126]),
        frame(FIN | PONG, &[0; 126]),
        frame(FIN | CLOSE, &[&1000_u16.to_be_bytes()[..], &[b'x'; 124]].concat()),
        frame(FIN | CLOSE, &[3]),
    ] {
        check_close(&server, &input, 1002);
    }
    server.expect_no_connections();
}

#[test]
fn text_that_is_no_utf8_closes_with_1007() {
    let server = echoing("");
    for input in [
        frame(FIN | TEXT, &[0xff]),
        frame(FIN | TEXT, &[0xc3]),
        frame(FIN | TEXT, &[0xed, 0xa0, 0x80]),
        frame(FIN | TEXT, &[0xf4, 0x90, 0x80, 0x80]),
        frame(FIN | TEXT, &[0xc0, 0x80]),
        [frame(TEXT, &[0xc3]), frame(FIN, b"x")].concat(),
        [frame(TEXT, &[0xe2, 0x88]), frame(FIN, b"")].concat(),
        // Seen at the fragment, not at the end of the message.
        frame(TEXT, &[b'a', 0x80]),
        frame(FIN | CLOSE, &[0x03, 0xe8, 0xff]),
    ] {
        check_close(&server, &input, 1007);
    }
}

#[test]
fn what_is_too_long_closes_with_1009() {
    let server = echoing("[websocket]\nmessage = 1000\nframe = 600\n");
    let mut wire = open(&server, "/echo");
    wire.send([frame(BINARY, &[1; 600]), frame(FIN, &[1; 400])].concat());
    assert_eq!(take_frame(&mut wire).1.len(), 1000);
    check_close(&server, &frame(FIN | BINARY, &[1; 601]), 1009);
    check_close(&server, &[frame(BINARY, &[1; 600]), frame(FIN, &[1; 401])].concat(), 1009);
    // The head alone is enough: nobody waits for, or makes room for, what it announces.
    for length in [u64::MAX >> 1, u64::MAX, 601] {
        let head = [&[0x82, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat();
        check_close(&server, &head, 1009);
    }
    check_close(&server, &[0x82, 0xfe, 0x02, 0x59, 1, 2, 3, 4], 1009);
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    let server = echoing("");
    for (input, expected) in [
        (frame(FIN | CLOSE, b""), 0),
        (close(1000, ""), 1000),
        (close(1001, "tab closed"), 1001),
        (close(1011, ""), 1011),
        (close(3000, ""), 3000),
        (close(4999, ""), 4999),
        (close(1000, &"x".repeat(123)), 1000),
        // Codes that must never be sent.
        (close(0, ""), 1002),
        (close(999, ""), 1002),
        (close(1004, ""), 1002),
        (close(1005, ""), 1002),
        (close(1006, ""), 1002),
        (close(1015, ""), 1002),
        (close(1016, ""), 1002),
        (close(2999, ""), 1002),
        (close(5000, ""), 1002),
        (close(65535, ""), 1002),
    ] {
        check_close(&server, &input, expected);
    }
    server.expect_no_connections();
}

#[test]
fn nothing_is_answered_after_a_close() {
    let server = echoing("");
    let mut wire = open(&server, "/echo");
    wire.send([close(1000, ""), text("late"), frame(FIN | PING, b"late")].concat());
    assert_eq!(take_close(&mut wire), 1000);
    wire.finish_sending();
    wire.expect_end();
}

#[test]
fn a_handler_closes_as_it_likes_or_as_it_ended() {
    let server = echoing("");
    for (order, expected) in [("bye", 4001), ("return", 1000), ("fail", 1011), ("panic", 1011)] {
        let mut wire = open(&server, "/echo");
        // What comes behind the order is thrown away, and the client's agreement waited for.
        wire.send([text(order), text("more"), frame(FIN | BINARY, &vec![0; 5000])].concat());
        assert_eq!(expect_close(&mut wire), expected, "{order}");
    }
    let mut wire = open(&server, "/echo");
    wire.send(text("bad close"));
    expect_text(&mut wire, "true");
    drop(wire);
    server.expect_no_connections();
    assert_eq!(server.connect().get("/probe").text(), "probe");
    let failures = crate::support::Journal::lines_with("GET /echo: ");
    assert!(failures.iter().any(|line| line.contains("on purpose") && line.starts_with("ERROR")));
}
