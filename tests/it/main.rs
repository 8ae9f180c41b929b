//! The integration tests of maypole, one binary, a module per public idea.
//!
//! Everything goes in as bytes, requests or programs, and comes out as bytes or answers. Each test
//! makes its own server on a port the system chooses and its own directory, and nothing waits for
//! the clock but what is about time itself.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test stands outside of the coroutines, on plain threads and sockets"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test ends by a panic"
)]

mod browser;
mod browser_chat;
mod browser_live;
mod browser_nodes;
mod clients;
mod command;
mod examples;
mod isolation;
mod limits;
mod live;
mod nodes;
mod panics;
mod redis_at_start;
mod restart;
mod session_over_http;
mod stalls;
mod support;
mod tidy;
mod wire;
