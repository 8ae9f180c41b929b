//! What the tests are made of: a server of one's own, a raw connection, a browser, a process.

mod browser;
mod check;
mod chromium;
mod directory;
mod journal;
mod nginx;
mod nodes;
mod process;
mod redis;
mod server;
mod wire;

pub(crate) use browser::Browser;
pub(crate) use check::{check, check_split, talk};
pub(crate) use chromium::{Chromium, Tab};
pub(crate) use directory::TempDir;
pub(crate) use journal::Journal;
pub(crate) use nginx::{Nginx, is_nginx_installed, readme_block};
pub(crate) use nodes::{Backend, Nodes, Sent, Visitor, WITH_PATIENCE};
pub(crate) use process::{Process, Testee, copy_program, is_installed, output, wait_until};
pub(crate) use redis::{Cluster, MASTER_NAME, OddSentinel, Redis, Replicated, free_port};
pub(crate) use server::{TestServer, serve};
pub(crate) use wire::{Answer, Wire};

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The right to thousands of connections: all tests of this process share its descriptors. Held
/// until it is dropped.
pub(crate) fn crowds_turn() -> impl Sized {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a test waits for what should come at once, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
