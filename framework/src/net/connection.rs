//! The way of one request. Read this first.

use std::sync::Arc;

use super::Engine;
use super::read::{Connection, ReadHead};
use crate::context::Incoming;
use crate::runtime::{Carry, Ending, Socket};

/// Serves the requests of one connection, one after the other, until it idles or ends.
pub(crate) fn serve_connection(engine: &Engine, socket: &Arc<Socket>, carry: Carry) -> Ending {
    let app = &engine.service;
    let mut connection = Connection::new(engine, socket, carry);
    loop {
        let head = match connection.read_head() {
            ReadHead::Head(head) => head,
            ReadHead::Refused(refusal) => return connection.refuse(&refusal),
            ReadHead::Idle => return connection.park(),
            ReadHead::Ended => return Ending::Close,
        };
        let body = connection.begin_body(&head);
        let ctx = app.begin(Incoming { head, body, peer: socket.peer() });
        let mut response = app.handle(&ctx);
        app.commit_session(&ctx, &mut response);
        app.finish(&ctx, &mut response);
        let sent = connection.write_response(&ctx, response);
        app.log_access(&ctx, sent.status, sent.bytes);
        app.end(&ctx);
        if !connection.end_request(&sent) {
            return connection.close();
        }
    }
}
