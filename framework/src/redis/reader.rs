//! The coroutine that reads the answers of a shared connection.

use std::sync::Arc;

use redis::Parser;

use super::error::unreadable;
use super::link::Shared;
use super::transport::{Incoming, Transport};

/// Reads until the connection ends, whoever ends it.
pub(super) fn run(shared: &Arc<Shared>, wire: &Transport, epoch: u64) {
    let mut parser = Parser::new();
    loop {
        match parser.parse_value(Incoming(wire)) {
            Ok(value) => {
                if !shared.receive(epoch, value) {
                    return;
                }
            }
            Err(error) => return shared.fail(epoch, &unreadable(&error)),
        }
        if wire.wants_write() {
            shared.flush_own(epoch);
        }
    }
}
