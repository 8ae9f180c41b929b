//! A master with a replica, watched by three sentinels that promote the replica when the master
//! dies.

use std::path::PathBuf;
use std::process::Command;

use super::{Redis, RedisClient, free_port};
use crate::support::process::{Process, wait_until};
use crate::support::{PATIENCE, TempDir};

/// The name under which the sentinels know the master.
pub(crate) const MASTER_NAME: &str = "sessions";

/// Two servers and three sentinels; all end when it is dropped.
#[derive(Debug)]
pub(crate) struct Replicated {
    pub(crate) master: Redis,
    pub(crate) replica: Redis,
    sentinels: Vec<(u16, Process)>,
    _directory: TempDir,
}

impl Replicated {
    /// Comes back when all know each other and the replica has everything.
    pub(crate) fn start() -> Self {
        let master = Redis::start();
        let port = master.port().to_string();
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]);
        let directory = TempDir::new();
        let sentinels = (0..3).map(|_| sentinel(&directory, master.port())).collect();
        let it = Self { master, replica, sentinels, _directory: directory };
        it.wait_until_in_sync();
        wait_until("the sentinels know everybody", PATIENCE, || {
            it.sentinels.iter().all(|(port, _)| {
                let master = master_as_seen_by(*port).unwrap_or_default();
                let value = |name: &str| {
                    let at = master.iter().position(|word| word == name)?;
                    master.get(at + 1).cloned()
                };
                value("num-slaves").as_deref() == Some("1")
                    && value("num-other-sentinels").as_deref() == Some("2")
                    && value("flags").as_deref() == Some("master")
            })
        });
        it
    }

    /// Where the sentinels listen.
    pub(crate) fn sentinels(&self) -> Vec<String> {
        self.sentinels.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect()
    }

    /// An administrator tells the sentinels, one after the other, that another server is the master.
    ///
    /// All of them forget the master before: every two seconds each tells the others whom it knows, and
    /// who was told already would believe those who were not, for the sake of their later election.
    pub(crate) fn name_by_hand(&self, master: &Redis) {
        let tell_all = |command: &str| {
            for (sentinel, _) in &self.sentinels {
                RedisClient::connect(*sentinel).expect("it runs").run(command);
            }
        };
        tell_all(&format!("SENTINEL REMOVE {MASTER_NAME}"));
        tell_all(&format!("SENTINEL MONITOR {MASTER_NAME} 127.0.0.1 {} 2", master.port()));
    }

    /// Waits until the replica has all that the master has.
    pub(crate) fn wait_until_in_sync(&self) {
        wait_until("the replica has everything", PATIENCE, || {
            self.replica.info("master_link_status") == "up"
                && self.replica.info("slave_repl_offset") == self.master.info("master_repl_offset")
        });
    }

    /// Gives the promoted replica a replica of its own, and waits until it has everything.
    pub(crate) fn add_replica(&self) -> Redis {
        let port = self.replica.port().to_string();
        let next = Redis::start_with(&["--replicaof", "127.0.0.1", &port]);
        wait_until("the new replica has everything", PATIENCE, || {
            next.info("master_link_status") == "up"
        });
        next
    }

    /// Has the sentinels promote the replica while the master lives.
    pub(crate) fn plan_failover(&self) {
        let command = format!("SENTINEL FAILOVER {MASTER_NAME}");
        wait_until("the sentinels begin", PATIENCE, || {
            let sentinel = self.sentinels.first().and_then(|it| RedisClient::connect(it.0));
            sentinel.is_some_and(|mut it| it.run(&command).text() == "OK")
        });
    }

    /// Waits until all sentinels name the former replica as the master, and it is one.
    pub(crate) fn wait_until_promoted(&self) {
        let port = self.replica.port().to_string();
        wait_until("the replica is promoted", PATIENCE, || {
            self.replica.info("role") == "master"
                && self.sentinels.iter().all(|(sentinel, _)| {
                    let master = master_as_seen_by(*sentinel).unwrap_or_default();
                    master.contains(&port)
                })
        });
    }
}

/// Words of `SENTINEL MASTER`.
fn master_as_seen_by(sentinel: u16) -> Option<Vec<String>> {
    let mut client = RedisClient::connect(sentinel)?;
    let reply = client.try_run(&format!("SENTINEL MASTER {MASTER_NAME}"))?;
    Some(reply.list().iter().map(super::Reply::text).collect())
}

fn sentinel(directory: &TempDir, master: u16) -> (u16, Process) {
    for _ in 0..20 {
        let port = free_port();
        let file = write_settings(directory, port, &monitor("127.0.0.1", master));
        if let Some(process) = launch(port, &file) {
            return (port, process);
        }
    }
    panic!("no sentinel starts");
}

/// The settings of a sentinel that watches a master, to be found at this host.
fn monitor(host: &str, port: u16) -> String {
    format!(
        "sentinel monitor {MASTER_NAME} {host} {port} 2\n\
         sentinel down-after-milliseconds {MASTER_NAME} 500\n\
         sentinel failover-timeout {MASTER_NAME} 3000\n"
    )
}

/// Gives the file, which the sentinel rewrites itself.
fn write_settings(directory: &TempDir, port: u16, settings: &str) -> PathBuf {
    let file = directory.path().join(format!("{port}.conf"));
    let dir = directory.path().display();
    let text = format!("port {port}\nbind 127.0.0.1\ndir {dir}\nlogfile {port}.log\n{settings}");
    std::fs::write(&file, text).expect("a file");
    file
}

/// Starts a sentinel and waits until it answers; `None` if it ends at once.
fn launch(port: u16, settings: &PathBuf) -> Option<Process> {
    let mut process = Process::start(Command::new("redis-server").arg(settings).arg("--sentinel"));
    let mut is_up = false;
    wait_until("the sentinel is up or gone", PATIENCE, || {
        is_up = super::is_ready(port, process.id());
        is_up || !process.is_running()
    });
    (is_up && process.is_running()).then_some(process)
}

/// One more sentinel, which does not say what the others say.
#[derive(Debug)]
pub(crate) struct OddSentinel {
    port: u16,
    settings: PathBuf,
    process: Option<Process>,
    _directory: TempDir,
}

impl OddSentinel {
    /// One that watches nothing.
    pub(crate) fn that_knows_nobody() -> Self {
        Self::prepare("")
    }

    /// One that watches this server.
    pub(crate) fn that_watches(server: &Redis) -> Self {
        Self::prepare(&monitor("127.0.0.1", server.port()))
    }

    /// One that watches this server, and calls it by the name of its host.
    pub(crate) fn that_names_the_host_of(server: &Redis) -> Self {
        let words = "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n";
        Self::prepare(&format!("{words}{}", monitor("localhost", server.port())))
    }

    fn prepare(settings: &str) -> Self {
        let (directory, port) = (TempDir::new(), free_port());
        let settings = write_settings(&directory, port, settings);
        Self { port, settings, process: None, _directory: directory }
    }

    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn start(&mut self) {
        let process = launch(self.port, &self.settings);
        self.process = Some(process.expect("its port is still free"));
    }

    pub(crate) fn run(&self, command: &str) -> super::Reply {
        RedisClient::connect(self.port).expect("it is started").run(command)
    }

    /// Where it says the master is: its host and its port.
    pub(crate) fn master(&self) -> [String; 2] {
        let reply = self.run(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {MASTER_NAME}"));
        [0, 1].map(|at| reply.list()[at].text())
    }
}
