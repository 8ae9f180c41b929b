//! Many sockets at once, and a client others wrote.

use std::process::Command;

use super::{FIN, close, echoing, expect_text, frame, open, take_close, text};
use crate::support::{PATIENCE, is_installed, output, wait_until};

#[test]
fn hundreds_of_sockets_wait_and_answer() {
    let server = echoing("");
    let mut wires: Vec<_> = (0..500).map(|_| open(&server, "/echo")).collect();
    assert_eq!(server.server().connections(), 500);
    for round in 0..3 {
        for (at, wire) in wires.iter_mut().enumerate() {
            wire.send(text(&format!("{round}.{at}")));
        }
        for (at, wire) in wires.iter_mut().enumerate() {
            expect_text(wire, &format!("{round}.{at}"));
        }
    }
    for wire in &mut wires {
        wire.send(close(1000, ""));
    }
    for wire in &mut wires {
        assert_eq!(take_close(wire), 1000);
    }
    drop(wires);
    wait_until("all are closed", PATIENCE, || server.server().connections() == 0);
    let mut wire = open(&server, "/echo");
    wire.send(frame(FIN | 0x1, b"still there"));
    expect_text(&mut wire, "still there");
}

/// Node's own WebSocket client, an implementation of its own of the other side.
const NODE: &str = r#"
const assert = require("node:assert");
const open = (path, protocols) => new Promise((resolve, reject) => {
  const ws = new WebSocket(process.env.BASE + path, protocols);
  ws.binaryType = "arraybuffer";
  const waiting = [], come = [];
  ws.next = () => come.length ? Promise.resolve(come.shift()) : new Promise(resolve => waiting.push(resolve));
  const give = it => waiting.length ? waiting.shift()(it) : come.push(it);
  ws.onmessage = ({ data }) => give(data);
  ws.onclose = ({ code, reason, wasClean }) => give({ code, reason, wasClean });
  ws.onerror = () => reject(new Error("refused"));
  ws.onopen = () => resolve(ws);
});
(async () => {
  const ws = await open("/echo");
  for (const text of ["hello", "", "grüße 👋", "x".repeat(100000)]) {
    ws.send(text);
    assert.equal(await ws.next(), text);
  }
  ws.send(new Uint8Array([0, 255, 7]));
  assert.deepEqual([...new Uint8Array(await ws.next())], [0, 255, 7]);
  ws.send("bye");
  assert.deepEqual(await ws.next(), { code: 4001, reason: "as you wish", wasClean: true });
  const other = await open("/echo");
  other.close(3001, "enough");
  assert.deepEqual(await other.next(), { code: 3001, reason: "enough", wasClean: true });
  await assert.rejects(open("/nowhere"));
  await assert.rejects(open("/members/echo"));
  console.log("node is content");
  process.exit(0);
})().catch(error => { console.error(error); process.exit(1); });
"#;

#[test]
fn node_is_a_client() {
    if !is_installed("node") {
        return;
    }
    let server = echoing("");
    let mut command = Command::new("node");
    command.env("BASE", format!("ws://{}", server.addr()));
    // Nodes before 22 want to be asked for it; some before 20.10 have none at all.
    let probe = ["--experimental-websocket", "-e", "process.exit(globalThis.WebSocket ? 0 : 1)"];
    if !output(Command::new("node").args(probe)).0 {
        eprintln!("skipped: this node has no WebSocket");
        return;
    }
    let (succeeded, text) = output(command.args(["--experimental-websocket", "-e", NODE]));
    assert!(succeeded && text.ends_with("node is content\n"), "{text}");
    server.expect_no_connections();
}
