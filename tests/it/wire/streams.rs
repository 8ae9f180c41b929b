//! Bodies that are written while the handler runs.

use std::io::Write;

use maypole::prelude::*;
use maypole::sync::{Receiver, Sender, channel};

use crate::support::{Journal, TestServer, check, serve, talk};

fn streams() -> TestServer {
    let (open, gate) = channel::<()>(8);
    serve("", move |app| {
        app.state::<(Sender<()>, Receiver<()>)>((open, gate));
        app.get("/stream", |_ctx| {
            Response::stream(|out| {
                out.write_all(b"one ")?;
                out.flush()?;
                out.write_all(b"")?;
                out.flush()?;
                out.write_all(b"two")?;
                Ok(())
            })
        });
        app.get("/nothing", |_ctx| Response::stream(|_out| Ok(())));
        app.get("/large", |_ctx| {
            Response::stream(|out| {
                for number in 0..200_000 {
                    write!(out, "{number} ")?;
                }
                out.write_all(&vec![b'x'; 200_000])?;
                Ok(())
            })
        });
        app.get("/error", |_ctx| {
            Response::stream(|out| {
                out.write_all(b"one")?;
                out.flush()?;
                Err(Error::new(ErrorKind::Internal, "it broke in the middle"))
            })
        });
        app.get("/panic", |_ctx| {
            Response::stream(|out| {
                out.write_all(b"one")?;
                out.flush()?;
                std::panic::panic_any("in a stream, on purpose")
            })
        });
        app.get("/gated", |ctx| {
            let ctx_again =
                request().ok_or_else(|| Error::new(ErrorKind::Internal, "no request"))?;
            assert_eq!(ctx_again.request_id(), ctx.request_id());
            Ok(Response::stream(move |out| {
                out.write_all(b"first")?;
                out.flush()?;
                let _ = ctx_again.state::<(Sender<()>, Receiver<()>)>()?.1.recv();
                out.write_all(b"second")?;
                Ok(())
            }))
        });
        app.post("/open", |ctx| {
            ctx.state::<(Sender<()>, Receiver<()>)>()?.0.send(()).ok();
            Ok("opened")
        });
    })
}

#[test]
fn http_1_1_gets_chunks_and_1_0_the_end_of_the_connection() {
    let server = streams();
    assert_eq!(
        talk(&server, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"
    );
    check(&server, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", "200 one two\nopen");
    check(&server, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "200\nopen");
    for connection in ["", "Connection: keep-alive\r\n"] {
        assert_eq!(
            talk(&server, format!("GET /stream HTTP/1.0\r\n{connection}\r\n")),
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none two"
        );
    }
    let head = talk(&server, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    check(&server, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n", "200\nopen");
}

#[test]
fn a_large_stream_arrives_whole() {
    let server = streams();
    let mut wire = server.connect();
    let answer = wire.get("/large");
    let mut expected: String = (0..200_000).map(|number| format!("{number} ")).collect();
    expected += &"x".repeat(200_000);
    assert!(answer.is_whole);
    assert!(answer.text() == expected, "{} of {} bytes", answer.body.len(), expected.len());
    assert_eq!(wire.get("/probe").text(), "probe");
}

#[test]
fn a_stream_that_fails_is_seen_to_fail() {
    let server = streams();
    for path in ["/error", "/panic"] {
        let text = talk(&server, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(
            text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
            "no last chunk after {path}"
        );
        check(&server, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"), "200 one (cut)\nclosed");
    }
    assert!(!Journal::lines_with("it broke in the middle").is_empty());
    assert!(!Journal::lines_with("in a stream, on purpose").is_empty());
    server.expect_no_connections();
}

#[test]
fn a_stream_that_fails_does_not_end_well_for_http_1_0_either() {
    let server = streams();
    for path in ["/error", "/panic"] {
        let mut wire = server.connect();
        wire.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
        let ended_well = wire.ends_well();
        assert!(!ended_well, "{path}: the end of the connection is the end of the body");
    }
}

#[test]
fn what_is_flushed_arrives_before_the_handler_goes_on() {
    let server = streams();
    let mut wire = server.connect();
    wire.send("GET /gated HTTP/1.0\r\n\r\n");
    let head =
        "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nconnection: close\r\n\r\n";
    let so_far = String::from_utf8(wire.take(head.len() + 5)).expect("text");
    assert!(so_far.ends_with("\r\n\r\nfirst"), "{so_far}");
    let mut other = server.connect();
    other.send("POST /open HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(other.answer().text(), "opened");
    assert_eq!(wire.rest(), b"second");
}
