//! A redis-server of a test's own: on a free port, in a directory of its own, ended with the test.

#![expect(clippy::disallowed_methods, reason = "tests start processes and wait for them")]

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::{RedisAddress, RedisServers, RedisSettings};

/// How long a server may take to start, on a machine where everything is late.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running redis-server; dropping it kills it and removes its directory.
pub(crate) struct Server {
    port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
    settings_file: Option<PathBuf>,
    process: Option<Child>,
}

impl Server {
    /// A server that answers already.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more arguments of redis-server; `{dir}` in them is the
    /// server's own directory.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        // Another process may take the port between the choice and the start.
        for _ in 0..5 {
            let mut server = Self::prepare(arguments);
            server.launch();
            if server.wait_until_it_answers() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// A server that is not running yet: its port is chosen, its directory is there.
    pub(crate) fn prepare(arguments: &[&str]) -> Self {
        let directory = fresh_directory();
        let dir = directory.to_str().expect("a path of letters");
        let arguments = arguments.iter().map(|text| text.replace("{dir}", dir)).collect();
        Self { port: free_port(), directory, arguments, settings_file: None, process: None }
    }

    /// More arguments for the next [`launch`](Self::launch).
    pub(crate) fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|text| (*text).to_owned()));
    }

    /// Puts a file of settings before all arguments, as sentinels need one.
    pub(crate) fn write_settings(&mut self, text: &str) {
        let file = self.directory.join("settings.conf");
        std::fs::write(&file, text).expect("a temporary file");
        self.settings_file = Some(file);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn address(&self) -> RedisAddress {
        RedisAddress::Tcp("127.0.0.1".to_owned(), self.port)
    }

    /// Settings that lead to this server, with all the time that a busy machine may take: who is about
    /// time-outs sets them.
    pub(crate) fn settings(&self) -> RedisSettings {
        RedisSettings {
            connect_timeout: PATIENCE,
            command_timeout: PATIENCE,
            ..RedisSettings::with_defaults("test", RedisServers::Single(self.address()))
        }
    }

    /// Starts the process, also again after [`kill`](Self::kill); does not wait for it.
    pub(crate) fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.join("log"));
        let log = log.expect("a log file");
        let mut command = Command::new("redis-server");
        command.args(&self.settings_file);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--dir", self.directory.to_str().expect("a path of letters")]);
        // Debug commands make a server slow or broken on purpose; redis 7 asks for this word.
        command.args(["--enable-debug-command", "yes"]).args(&self.arguments);
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a log file")).stdout(log);
        self.process = Some(command.spawn().expect("redis-server is installed by tests/run"));
    }

    /// Starts the process again and waits until it answers.
    pub(crate) fn launch_and_wait(&mut self) {
        self.launch();
        assert!(self.wait_until_it_answers(), "redis-server does not come back");
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a running process");
            process.wait().expect("a child of ours");
        }
    }

    /// Stops (SIGSTOP) the process: connections stay, nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Runs one command with redis-cli and gives what it prints.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli comes with redis-server");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn signal(&self, signal: i32) {
        let id = self.process.as_ref().expect("a running process").id();
        let status = Command::new("kill").arg(format!("-{signal}")).arg(id.to_string()).status();
        assert!(status.expect("kill").success());
    }

    fn wait_until_it_answers(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let Some(process) = self.process.as_mut() else { return false };
            if process.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            // Another one may have been faster to take the port.
            let ours = format!("process_id:{}\r", process.id());
            let answer = self.cli(&["PING"]);
            let is_ours = || self.cli(&["INFO", "server"]).contains(&ours);
            if answer.starts_with("NOAUTH") || answer == "PONG" && is_ours() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            println!("redis-server on {} said:\n{log}", self.port);
        }
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

/// A directory nobody else uses.
fn fresh_directory() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("maypole-redis-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    directory
}

/// A port below those the system gives to outgoing connections, so that a killed server finds it free
/// again: also the many tries to reach it meanwhile take one each. That for the bus of a cluster,
/// 10,000 above, is free as well.
#[expect(clippy::disallowed_types, reason = "only to ask the system for a port")]
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another test that begins at the same time has the next process id, or nearly so.
    let seed = u16::try_from(std::process::id() % 37).expect("less than 37") * 324;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + seed.wrapping_add(step) % 12_000;
        let is_free = |port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// Waits until `is_so`, or fails after `limit`.
pub(crate) fn eventually(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    begin.elapsed()
}
