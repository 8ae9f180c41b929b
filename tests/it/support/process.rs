//! Programs as processes: started, signalled, killed, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::{Browser, PATIENCE, Wire};

/// Asks again and again until `is_so`, for at most `limit`.
#[track_caller]
pub(crate) fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Where nobody reads what the program says.
    _stderr: Option<ChildStderr>,
    lines: Mutex<Receiver<String>>,
    seen: Vec<String>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, _stderr: None, lines: Mutex::new(lines), seen: Vec::new() }
    }

    /// As [`start`](Self::start), with a pipe on stderr that nobody reads.
    pub(crate) fn start_unread(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take();
        Self { child, _stderr: stderr, lines: Mutex::new(channel().1), seen: Vec::new() }
    }

    /// The next line on stderr that contains `needle`.
    #[track_caller]
    pub(crate) fn line_with(&mut self, needle: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self.lines.get_mut().expect("nobody panicked with it").recv_timeout(left);
            let Ok(line) = next else {
                panic!("no line with {needle:?} came, but: {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(needle) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        let id = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: the call takes two numbers; the child is not waited for yet, so the id is its.
        #[expect(unsafe_code, reason = "std cannot send signals")]
        let sent = unsafe { libc::kill(id, signal) };
        assert_eq!(sent, 0, "signal {signal}");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_none()
    }

    /// Waits for the end of the program.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the program ends", PATIENCE, || {
            status = self.child.try_wait().expect("a state");
            status.is_some()
        });
        status.expect("just seen")
    }

    /// All it has said until now.
    pub(crate) fn words_so_far(&mut self) -> &[String] {
        self.seen.extend(self.lines.get_mut().expect("nobody panicked with it").try_iter());
        &self.seen
    }

    /// Waits for the end and gives the exit code and all it said.
    pub(crate) fn end_with_words(mut self) -> (Option<i32>, String) {
        let code = self.end().code();
        let mut words = std::mem::take(&mut self.seen);
        words.extend(self.lines.get_mut().expect("nobody panicked with it").iter());
        (code, words.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The `testee` program as a server on a port the system chose.
#[derive(Debug)]
pub(crate) struct Testee {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
}

impl Testee {
    /// A command that runs the program with sessions in `sessions` and no settings of this shell.
    pub(crate) fn command(sessions: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testee"));
        command
            .current_dir(sessions)
            .env_clear()
            .env("MAYPOLE_SERVER_LISTEN", "127.0.0.1:0")
            .env("MAYPOLE_SESSION_FILE_PATH", sessions.join("sessions"))
            .env("MAYPOLE_SESSION_NEW_SESSIONS_PER_MINUTE", "0")
            .env("MAYPOLE_LOG_ACCESS", "false");
        command
    }

    pub(crate) fn start(sessions: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_by(Self::command(sessions).envs(settings.iter().copied()))
    }

    /// As [`start`](Self::start), with at most so much address space.
    pub(crate) fn start_within(sessions: &Path, kib: u32, settings: &[(&str, &str)]) -> Self {
        let testee = Self::command(sessions);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("ulimit -v {kib} && exec \"$0\"")])
            .arg(testee.get_program())
            .current_dir(sessions)
            .env_clear()
            .envs(testee.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .envs(settings.iter().copied());
        Self::start_by(&mut command)
    }

    fn start_by(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let line = process.line_with("listens on http://");
        let (_, rest) = line.split_once("http://").expect("an address");
        let addr = rest.split(',').next().and_then(|addr| addr.parse().ok());
        Self { process, addr: addr.expect("an address") }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.addr)
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.addr)
    }
}

/// Runs a client program to its end and gives what it wrote.
pub(crate) fn output(command: &mut Command) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).ok();
    child.stderr.take().expect("piped").read_to_string(&mut text).ok();
    (child.wait().expect("a status").success(), text)
}

/// Copies a program that is started from there at once.
///
/// Another process does it: what this one has open for writing, a child that another test begins at
/// that moment has open too, until it is the program it is to be; and nobody can start a file that
/// somebody has open for writing.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let (succeeded, words) = output(Command::new("cp").args([from, to]));
    assert!(succeeded, "{words}");
}

/// Whether the program is there. Where tests are run for others to rely on, it must be.
pub(crate) fn is_installed(program: &str) -> bool {
    let is_there =
        Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    is_there
}
