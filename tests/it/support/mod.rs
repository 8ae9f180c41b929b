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
pub(crate) use nodes::{Backend, Nodes, Sent, Visitor};
pub(crate) use process::{Process, Testee, is_installed, output, wait_until};
pub(crate) use redis::{Cluster, MASTER_NAME, OddSentinel, Redis, Replicated, free_port};
pub(crate) use server::{TestServer, serve};
pub(crate) use wire::{Answer, Wire};

use std::time::Duration;

/// How long a test waits for what should come at once, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
