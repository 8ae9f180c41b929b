//! Random bytes over sockets: every connection ends, answered or not, and the server lives on.

use super::ground_with;
use crate::support::{Journal, TestServer};

const CONNECTIONS: u64 = 2000;

/// A small generator with a fixed seed, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below as u64).expect("it fits")
    }
}

const PIECES: [&str; 36] = [
    "GET ",
    "POST ",
    "/",
    "/echo",
    "/ignore",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "Host: x\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    ":",
    " ",
    "\t",
    "Content-Length: 5\r\n",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "hello",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "Cookie: session=",
    "%",
    "%2e",
    "..",
    "http://",
    "*",
    "OPTIONS ",
    "HEAD ",
    "Upgrade: x\r\n",
    "\u{ff}",
    "ffffffffffffffff\r\n",
    ";",
];

fn noise(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    match random.next(4) {
        0 => bytes
            .extend((0..random.next(400)).map(|_| u8::try_from(random.next(256)).expect("a byte"))),
        1 => bytes
            .extend((0..random.next(30)).flat_map(|_| PIECES[random.next(PIECES.len())].bytes())),
        _ => {
            let good = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            bytes.extend(good.bytes());
            for _ in 0..=random.next(3) {
                let at = random.next(bytes.len());
                match random.next(3) {
                    0 => bytes[at] = u8::try_from(random.next(256)).expect("a byte"),
                    1 => drop(bytes.remove(at)),
                    _ => drop(bytes.splice(at..at, PIECES[random.next(PIECES.len())].bytes())),
                }
            }
        }
    }
    bytes
}

#[test]
fn random_bytes_are_answered_or_closed() {
    let server = ground_with("[limits]\nuri = 256\n");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for seed in (thread..CONNECTIONS).step_by(8) {
                    one(server, seed);
                }
            });
        }
    });
    server.expect_no_connections();
    assert_eq!(server.connect().get("/probe").text(), "probe");
    assert_eq!(Journal::framework_panics(), Vec::<String>::new());
}

fn one(server: &TestServer, seed: u64) {
    let bytes = noise(&mut Random(seed));
    let mut wire = server.connect();
    wire.send(&bytes);
    wire.finish_sending();
    let rest = wire.rest();
    let text = String::from_utf8_lossy(&rest);
    let is_answer = rest.is_empty() || text.starts_with("HTTP/1.1 ");
    assert!(is_answer, "seed {seed}: {:?} -> {text:?}", String::from_utf8_lossy(&bytes));
}
