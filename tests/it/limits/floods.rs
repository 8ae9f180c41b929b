//! Clients that never pause: the others get their turn.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;

use crate::support::{PATIENCE, TestServer, Wire, serve, wait_until};

/// Requests that are there at once.
const TICKS: usize = 3000;
/// Enough of them for each worker to have one.
const OTHERS: usize = 8;

/// How far the one has come that floods the server.
#[derive(Default)]
struct Flood {
    has_begun: AtomicBool,
    worker: OnceLock<ThreadId>,
    goes_on: AtomicBool,
    done: AtomicUsize,
}

impl Flood {
    /// Holds the worker itself, so that the others cannot be served before.
    fn begin(&self) {
        self.worker.set(std::thread::current().id()).expect("one flood a test");
        self.has_begun.store(true, Ordering::Relaxed);
        while !self.goes_on.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }

    /// How far it is for those on its worker. When another one runs is the system's business.
    fn seen(&self) -> usize {
        let is_same = self.worker.get() == Some(&std::thread::current().id());
        if is_same { self.done.load(Ordering::Relaxed) } else { 0 }
    }
}

fn flooded(flood: &Arc<Flood>) -> TestServer {
    serve("", |app| {
        let ours = Arc::clone(flood);
        app.get("/begin", move |_ctx| ours.begin());
        let ours = Arc::clone(flood);
        app.get("/tick", move |_ctx| {
            ours.done.fetch_add(1, Ordering::Relaxed);
        });
        let ours = Arc::clone(flood);
        app.post("/drop", move |ctx| {
            ours.begin();
            let mut buffer = [0; 1024];
            let mut body = ctx.body();
            while body.read(&mut buffer)? > 0 {}
            ours.done.store(TICKS, Ordering::Relaxed);
            Ok(())
        })
        .body_limit(3 * 1024 * 1024);
        let ours = Arc::clone(flood);
        app.get("/done", move |_ctx| ours.seen().to_string());
    })
}

/// Floods the server with this, and says how far it had come when each of the others was answered.
fn flood(request: Vec<u8>, answers: usize) -> Vec<usize> {
    let flood = Arc::new(Flood::default());
    let server = flooded(&flood);
    let mut others: Vec<_> = (0..OTHERS).map(|_| server.connect()).collect();
    others.iter_mut().for_each(|other| assert_eq!(other.get("/probe").text(), "probe"));
    let mut wire = server.connect();
    let mut sender = wire.stream().try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        let sent = scope.spawn(move || sender.write_all(&request).is_ok());
        scope.spawn(move || (0..answers).for_each(|_| assert!(wire.answer().status < 300)));
        wait_until("the flood begins", PATIENCE, || {
            flood.has_begun.load(Ordering::Relaxed) && sent.is_finished()
        });
        others.iter_mut().for_each(|other| other.send("GET /done HTTP/1.1\r\nHost: x\r\n\r\n"));
        flood.goes_on.store(true, Ordering::Relaxed);
        let done = |other: &mut Wire| other.answer().text().parse().expect("a number");
        others.iter_mut().map(done).collect()
    })
}

#[test]
fn who_has_sent_thousands_of_requests_leaves_room_for_others() {
    let begin = b"GET /begin HTTP/1.1\r\nHost: x\r\n\r\n";
    let ticks = b"GET /tick HTTP/1.1\r\nHost: x\r\n\r\n".repeat(TICKS);
    let done = flood([&begin[..], &ticks].concat(), TICKS + 1);
    assert!(done.iter().all(|done| *done < TICKS), "{done:?} of {TICKS}");
}

#[test]
fn who_sends_a_long_body_without_a_pause_leaves_room_for_others() {
    // As much as the system takes in advance, so that no read of it has to wait.
    let size = 3 * 1024 * 1024;
    let head = format!("POST /drop HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n");
    let done = flood([head.into_bytes(), vec![b'x'; size]].concat(), 1);
    assert!(done.iter().all(|done| *done < TICKS), "{done:?}");
}
