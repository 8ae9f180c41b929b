//! What the tests are made of: a server of one's own, a raw connection, a browser, a process.

mod browser;
mod check;
mod directory;
mod journal;
mod process;
mod server;
mod wire;

pub(crate) use browser::Browser;
pub(crate) use check::{check, check_split, talk};
pub(crate) use directory::TempDir;
pub(crate) use journal::Journal;
pub(crate) use process::{Process, Testee, output, wait_until};
pub(crate) use server::{TestServer, serve};
pub(crate) use wire::{Answer, Wire};

use std::time::Duration;

/// How long a test waits for what should come at once, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
