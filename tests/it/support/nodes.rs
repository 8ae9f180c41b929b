//! Several maypole processes that share their sessions, and visitors who roam between them.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::redis::MASTER_NAME;
use super::{Answer, Browser, Cluster, Redis, Replicated, TempDir, Testee, Wire};

/// Where the nodes keep their sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    File,
    Redis,
    Tiered,
}

impl Backend {
    /// The settings that choose it.
    fn settings(self) -> Vec<(String, String)> {
        let name = match self {
            Self::File => "file",
            Self::Redis => "redis",
            Self::Tiered => "tiered",
        };
        vec![pair("MAYPOLE_SESSION_BACKEND", name)]
    }
}

/// For nodes whose redis never fails, though it may be late: its disk, or the whole machine, may stand
/// still for longer than the second that a command has otherwise.
pub(crate) const WITH_PATIENCE: (&str, &str) = ("MAYPOLE_REDIS_DEFAULT_COMMAND_TIMEOUT", "15s");

/// The `testee` program several times, on one store.
#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Mutex<Testee>>,
    backend: Backend,
    settings: Vec<(String, String)>,
    /// Dropped after the nodes.
    redis: Option<Redis>,
    directory: TempDir,
}

impl Nodes {
    pub(crate) fn start(backend: Backend, count: usize) -> Self {
        Self::start_with(backend, count, &[])
    }

    /// As [`start`](Self::start), for tests in which redis never fails: on a machine where everything
    /// is late it may take its time.
    pub(crate) fn patient(backend: Backend, count: usize) -> Self {
        Self::patient_with(backend, count, &[])
    }

    /// As [`patient`](Self::patient), with more settings for all nodes.
    pub(crate) fn patient_with(backend: Backend, count: usize, more: &[(&str, &str)]) -> Self {
        Self::start_with(backend, count, &[&[WITH_PATIENCE], more].concat())
    }

    /// As [`start`](Self::start), with more settings for all nodes.
    pub(crate) fn start_with(backend: Backend, count: usize, more: &[(&str, &str)]) -> Self {
        let redis = (backend != Backend::File).then(Redis::start);
        let mut settings = backend.settings();
        settings.extend(redis.iter().map(|redis| pair("MAYPOLE_REDIS_DEFAULT_URL", &redis.url())));
        settings.extend(more.iter().map(|(name, value)| pair(name, value)));
        Self::start_on((backend, redis), count, settings)
    }

    /// On the master that these sentinels name, whoever it is.
    pub(crate) fn on_sentinel(
        backend: Backend,
        count: usize,
        redis: &Replicated,
        more: &[(&str, &str)],
    ) -> Self {
        Self::on_sentinels(backend, count, &redis.sentinels(), more)
    }

    /// On the master that the first of these sentinels names.
    pub(crate) fn on_sentinels(
        backend: Backend,
        count: usize,
        sentinels: &[String],
        more: &[(&str, &str)],
    ) -> Self {
        let mut settings = backend.settings();
        settings.push(pair("MAYPOLE_REDIS_DEFAULT_SENTINELS", &sentinels.join(", ")));
        settings.push(pair("MAYPOLE_REDIS_DEFAULT_MASTER_NAME", MASTER_NAME));
        settings.extend(more.iter().map(|(name, value)| pair(name, value)));
        Self::start_on((backend, None), count, settings)
    }

    /// On a cluster of which no node fails.
    pub(crate) fn on_cluster(backend: Backend, count: usize, cluster: &Cluster) -> Self {
        let mut settings = backend.settings();
        settings.push(pair(WITH_PATIENCE.0, WITH_PATIENCE.1));
        settings.push(pair("MAYPOLE_REDIS_DEFAULT_CLUSTER", "true"));
        settings.push(pair("MAYPOLE_REDIS_DEFAULT_NODES", &cluster.addrs().join(", ")));
        Self::start_on((backend, None), count, settings)
    }

    /// On a store that these settings describe.
    fn start_on(
        (backend, redis): (Backend, Option<Redis>),
        count: usize,
        settings: Vec<(String, String)>,
    ) -> Self {
        let directory = TempDir::new();
        let start = |_| Mutex::new(start_node(&directory, &settings));
        let nodes = (0..count).map(start).collect();
        Self { nodes, backend, settings, redis, directory }
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn addr(&self, node: usize) -> SocketAddr {
        self.node(node).addr
    }

    /// How late a node may see what another one wrote; never an end, a login or a revocation.
    pub(crate) fn lateness(&self) -> Duration {
        // The lease of 250 ms, on a busy machine.
        if self.backend == Backend::Tiered { Duration::from_secs(2) } else { Duration::ZERO }
    }

    pub(crate) fn has_redis(&self) -> bool {
        self.redis.is_some()
    }

    /// The redis behind the nodes.
    pub(crate) fn redis(&self) -> &Redis {
        self.redis.as_ref().expect("there is a redis behind these nodes")
    }

    /// What a node has logged up to now.
    pub(crate) fn words(&self, node: usize) -> Vec<String> {
        self.node(node).process.words_so_far().to_vec()
    }

    pub(crate) fn signal(&self, node: usize, signal: libc::c_int) {
        self.node(node).process.signal(signal);
    }

    /// Kills a node and waits until it is gone.
    pub(crate) fn kill(&self, node: usize) {
        let mut node = self.node(node);
        node.process.signal(libc::SIGKILL);
        node.process.end();
    }

    /// Starts a node anew, on another port, in the place of a dead one.
    pub(crate) fn restart(&self, node: usize) {
        *self.node(node) = start_node(&self.directory, &self.settings);
    }

    /// Somebody without cookies.
    pub(crate) fn visitor(&self) -> Visitor<'_> {
        let wires = self.nodes.iter().map(|_| None).collect();
        Visitor { nodes: self, browser: Browser::new(self.addr(0)), wires }
    }

    fn node(&self, node: usize) -> MutexGuard<'_, Testee> {
        self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (number, node) in self.nodes.iter_mut().enumerate() {
                let node = node.get_mut().unwrap_or_else(PoisonError::into_inner);
                for line in node.process.words_so_far().iter().rev().take(30).rev() {
                    eprintln!("node {number}: {line}");
                }
            }
        }
    }
}

fn start_node(directory: &TempDir, settings: &[(String, String)]) -> Testee {
    let settings: Vec<_> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Testee::start(directory.path(), &settings)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Answered(Answer),
    /// The connection ended before the answer did: nobody knows what was done.
    Cut,
    /// There was no connection, so nothing was done.
    Nothing,
}

/// A visitor with a cookie jar and an open connection to each node; a clone has the same cookies
/// and connections of its own.
#[derive(Debug)]
pub(crate) struct Visitor<'a> {
    nodes: &'a Nodes,
    pub(crate) browser: Browser,
    wires: Vec<Option<(SocketAddr, Wire)>>,
}

impl Clone for Visitor<'_> {
    fn clone(&self) -> Self {
        Self { browser: self.browser.clone(), ..self.nodes.visitor() }
    }
}

impl Visitor<'_> {
    /// A request to a node that is expected to live.
    #[track_caller]
    pub(crate) fn get(&mut self, node: usize, path: &str) -> Answer {
        match self.try_get(node, path) {
            Sent::Answered(answer) => answer,
            other => panic!("node {node} gave no answer to {path}: {other:?}"),
        }
    }

    /// The body of an answer that must be 200 or 204.
    #[track_caller]
    pub(crate) fn text(&mut self, node: usize, path: &str) -> String {
        let answer = self.get(node, path);
        assert!(matches!(answer.status, 200 | 204), "{path}: {}{}", answer.head, answer.text());
        answer.text()
    }

    /// Waits until a node answers so: at once, unless it may read what others wrote a little late.
    #[track_caller]
    pub(crate) fn expect(&mut self, node: usize, path: &str, expected: impl AsRef<str>) {
        let deadline = Instant::now() + self.nodes.lateness();
        loop {
            let text = self.text(node, path);
            if text == expected.as_ref() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{path} on node {node}: {text:?}, not {:?}",
                expected.as_ref()
            );
        }
    }

    /// A request to a node that may die of it.
    pub(crate) fn try_get(&mut self, node: usize, path: &str) -> Sent {
        let addr = self.nodes.addr(node);
        let kept = self.wires[node].take().filter(|(its_addr, _)| *its_addr == addr);
        let mut wire = match kept {
            Some((_, wire)) => wire,
            None => match Wire::try_connect(addr) {
                Some(wire) => wire,
                None => return Sent::Nothing,
            },
        };
        wire.send(self.browser.head("GET", path) + "\r\n");
        let Some(answer) = wire.try_answer().filter(|answer| answer.is_whole) else {
            return Sent::Cut;
        };
        self.browser.keep_cookies(&answer);
        if answer.header("connection") != Some("close") {
            self.wires[node] = Some((addr, wire));
        }
        Sent::Answered(answer)
    }

    /// Begins a request whose handler waits for the body, and comes back when it waits.
    #[track_caller]
    pub(crate) fn begin(&self, node: usize, path: &str) -> Held {
        let mut held = self.begin_unseen(node, path);
        let answer = held.wire.answer();
        assert_eq!(answer.status, 100, "{path}: {}", answer.head);
        held
    }

    /// As [`begin`](Self::begin), without waiting for the handler.
    pub(crate) fn begin_unseen(&self, node: usize, path: &str) -> Held {
        let mut wire = Wire::connect(self.nodes.addr(node));
        let head = self.browser.head("POST", path);
        wire.send(head + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        Held { wire }
    }
}

/// A request that is under way; its handler waits for the body.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) wire: Wire,
}

impl Held {
    /// Sends the body and gives the answer.
    pub(crate) fn finish(&mut self) -> Answer {
        self.wire.send("x");
        self.wire.answer()
    }
}
