//! A master with a replica, watched by three sentinels that promote the replica when the master
//! dies.

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
        let file = directory.path().join(format!("{port}.conf"));
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {port}.log\n\
             sentinel monitor {MASTER_NAME} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER_NAME} 500\n\
             sentinel failover-timeout {MASTER_NAME} 3000\n",
            directory.path().display()
        );
        std::fs::write(&file, text).expect("a file");
        let mut process = Process::start(Command::new("redis-server").arg(&file).arg("--sentinel"));
        let mut is_up = false;
        wait_until("the sentinel is up or gone", PATIENCE, || {
            is_up = super::is_ready(port);
            is_up || !process.is_running()
        });
        if is_up && process.is_running() {
            return (port, process);
        }
    }
    panic!("no sentinel starts");
}
