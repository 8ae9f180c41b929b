//! Bytes in, answers out: the one way of the wire tests.

use super::{Answer, TestServer, Wire};

const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Sends `input` and, in the same breath, one more request; compares what comes back.
///
/// `expected` is a line per answer, `200 body` (`\n` at the end of a body is not shown), and at
/// the end `open` if the extra request was answered or `closed` if it was not: whatever follows a
/// message that is refused must never be taken for a request.
#[track_caller]
pub(crate) fn check(server: &TestServer, input: impl AsRef<[u8]>, expected: &str) {
    let input = input.as_ref();
    let mut wire = server.connect();
    wire.send([input, PROBE].concat());
    let got = transcript(&mut wire, input);
    assert_eq!(got, expected, "for {:?}", String::from_utf8_lossy(input));
}

/// As [`check`], for `input` as a whole and cut in two at every byte.
#[track_caller]
pub(crate) fn check_split(server: &TestServer, input: impl AsRef<[u8]>, expected: &str) {
    let input = input.as_ref();
    check(server, input, expected);
    // All first halves go out before the first second half does, so the server sees two pieces.
    let mut wires = Vec::new();
    for at in 1..input.len() {
        let (first, second) = input.split_at(at);
        let mut wire = server.connect();
        wire.send(first);
        wires.push((at, wire, second));
    }
    for (_, wire, second) in &mut wires {
        wire.send([second, PROBE].concat());
    }
    for (at, mut wire, _) in wires {
        let got = transcript(&mut wire, input);
        assert_eq!(got, expected, "cut at {at}: {:?}", String::from_utf8_lossy(input));
    }
}

/// Sends `input`, then nothing more, and gives all bytes that come back, without `date` lines.
pub(crate) fn talk(server: &TestServer, input: impl AsRef<[u8]>) -> String {
    let mut wire = server.connect();
    wire.send(input);
    wire.finish_sending();
    let bytes = wire.rest();
    let text = String::from_utf8(bytes).expect("an answer in UTF-8");
    let mut lines = text.split_inclusive('\n').collect::<Vec<_>>();
    lines.retain(|line| !line.starts_with("date: "));
    lines.concat()
}

fn transcript(wire: &mut Wire, input: &[u8]) -> String {
    let mut lines = Vec::new();
    let mut is_head = input.starts_with(b"HEAD ");
    while let Some(answer) = wire.try_answer_to(is_head) {
        is_head = false;
        if answer.text() == "probe" {
            wire.expect_end();
            lines.push("open".to_owned());
            return lines.join("\n");
        }
        lines.push(line(&answer));
    }
    lines.push("closed".to_owned());
    lines.join("\n")
}

fn line(answer: &Answer) -> String {
    let cut = if answer.is_whole { "" } else { " (cut)" };
    let body = answer.text();
    format!("{} {}{cut}", answer.status, body.trim_end()).trim_end().to_owned()
}
