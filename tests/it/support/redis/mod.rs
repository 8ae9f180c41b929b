//! A redis-server of the test's own: started, killed, restarted, paused and filled up.

mod client;
mod cluster;
mod sentinel;

use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::process::{Process, wait_until};
use super::{PATIENCE, TempDir};

pub(crate) use client::{RedisClient, Reply};
pub(crate) use cluster::Cluster;
pub(crate) use sentinel::{MASTER_NAME, OddSentinel, Replicated};

/// A server with an append-only file, on a port and in a directory that outlive its kills.
#[derive(Debug)]
pub(crate) struct Redis {
    process: Mutex<Process>,
    port: u16,
    directory: TempDir,
    arguments: Vec<String>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more command-line arguments, such as `--maxmemory`, `1mb`.
    pub(crate) fn start_with(more: &[&str]) -> Self {
        let directory = TempDir::new();
        let arguments: Vec<String> = more.iter().map(|&word| word.to_owned()).collect();
        // Between the choice of a port and its use another program may take it.
        for _ in 0..20 {
            let port = free_port();
            if let Some(process) = launch(port, &directory, &arguments) {
                return Self { process: Mutex::new(process), port, directory, arguments };
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> RedisClient {
        RedisClient::connect(self.port).expect("redis takes connections")
    }

    /// Runs one command, such as `CLIENT PAUSE 500`, on a connection of its own.
    #[track_caller]
    pub(crate) fn run(&self, command: &str) -> Reply {
        self.client().run(command)
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        self.process().signal(signal);
    }

    /// kill -9, and waits until it is gone.
    pub(crate) fn kill(&self) {
        let mut process = self.process();
        process.signal(libc::SIGKILL);
        process.end();
    }

    /// Starts the killed server again, on its port and with its files, and waits until it answers.
    pub(crate) fn start_again(&self) {
        let started = launch(self.port, &self.directory, &self.arguments);
        *self.process() = started.expect("its port and its files are still its own");
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value of `INFO`; empty if there is none such.
    #[track_caller]
    pub(crate) fn info(&self, name: &str) -> String {
        // A server that changes its role cuts its clients off.
        let client = RedisClient::connect(self.port);
        let info = client.and_then(|mut client| client.try_run("INFO everything"));
        let info = info.map(|info| info.text()).unwrap_or_default();
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    }
}

/// Starts a server and waits until it has loaded its files; `None` if it ends at once.
fn launch(port: u16, directory: &TempDir, arguments: &[String]) -> Option<Process> {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--dir", directory.path().to_str().expect("a path in UTF-8")])
        .args(["--logfile", "redis.log", "--save", "", "--appendonly", "yes"])
        // With everysec redis answers before it has written while an fsync is under way.
        .args(["--appendfsync", "always"])
        .args(["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"])
        .args(arguments);
    let mut process = Process::start(&mut command);
    let mut is_up = false;
    wait_until("redis is up or gone", PATIENCE, || {
        is_up = is_ready(port, process.id());
        is_up || !process.is_running()
    });
    (is_up && process.is_running()).then_some(process)
}

/// Whether this process answers, and no other one that was faster to take the port.
fn is_ready(port: u16, process: u32) -> bool {
    let Some(mut client) = RedisClient::connect(port) else { return false };
    let mut answers = |command, expected: &str| matches!(client.try_run(command), Some(Reply::Text(text)) if text.contains(expected));
    answers("PING", "PONG") && answers("INFO server", &format!("\nprocess_id:{process}\r"))
}

/// A port below those the system gives to outgoing connections, so that a killed server finds it
/// free again; the one for the bus of a cluster, 10,000 above, is free as well.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another test that begins at the same time has the next process id, or nearly so.
    let seed = u16::try_from(std::process::id() % 37).expect("less than 37") * 324;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + seed.wrapping_add(step) % 12_000;
        let is_free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}
