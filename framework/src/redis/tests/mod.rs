//! The room against real servers, which each test starts for itself.

mod exclusive;
mod failures;
mod gather;
mod listen;
pub(crate) mod many;
mod measure;
pub(crate) mod server;
mod shared;
mod waiting;
mod ways;
mod wrong_ports;
