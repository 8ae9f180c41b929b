//! Connections to redis on the sockets of [`runtime`](crate::runtime): one a worker that everybody
//! on it shares, a few exclusive ones, and one that listens.
//!
//! This room knows commands, answers and what may go wrong on the way. It knows no session and
//! gives no meaning to a key.

mod cluster;
mod dial;
mod error;
mod exclusive;
mod gather;
mod link;
mod links;
mod listen;
mod outage;
mod reader;
mod requests;
mod script;
mod sentinel;
mod stranger;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

pub(crate) use error::{Answer, RedisError};
use gather::Call;
pub(crate) use gather::EachKey;
pub(crate) use link::LinkState;
pub(crate) use listen::{Listening, Sink};
pub(crate) use script::Script;

use crate::config::{RedisServers, RedisSettings};
use crate::error::Result;
use cluster::Cluster;
use dial::Dialer;
use exclusive::{Exclusive, Pool};
use link::{Link, LinkLimits};
use links::Links;
use outage::Outage;

/// One `[redis.NAME]`; clones share its connections.
#[derive(Clone)]
pub(crate) struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    dialer: Arc<Dialer>,
    outage: Arc<Outage>,
    way: Way,
    pool: Arc<Pool>,
}

/// Where commands go.
enum Way {
    One(Links),
    Many(Cluster),
}

impl Redis {
    /// Gets ready to connect, which happens at the first command. A server that is down is no
    /// error; files for encryption that cannot be read are one.
    pub(crate) fn open(settings: &RedisSettings) -> Result<Self> {
        let dialer = Arc::new(Dialer::new(settings)?);
        sentinel::watch(&dialer);
        let outage = Outage::of(&settings.name);
        let limits = LinkLimits {
            queue: settings.queue,
            timeout: settings.command_timeout,
            reconnect_max: settings.reconnect_max,
        };
        let way = if matches!(settings.servers, RedisServers::Cluster(_)) {
            Way::Many(Cluster::new(Arc::clone(&dialer), limits))
        } else {
            let dialer = Arc::clone(&dialer);
            Way::One(Links::new(settings.shared_connections, limits, &outage, move || {
                dialer.dial()
            }))
        };
        let pool = Pool::new(Arc::clone(&dialer));
        Ok(Self { inner: Arc::new(Inner { dialer, outage, way, pool }) })
    }

    /// Sends `commands` in one piece on a shared connection and waits for an answer to each, in
    /// order. The coroutine parks; a plain thread blocks.
    ///
    /// Only the first command of a worker waits for a connection, and only if no other worker has
    /// one. Later ones fail at once while no worker has one ([`RedisError::Down`]) and when too many
    /// wait ([`RedisError::Busy`]).
    ///
    /// In a cluster each command goes to the master of its key, which is its first argument or the
    /// first key of its script; the order holds for commands of one key only.
    ///
    /// # Errors
    /// When there are no answers. Errors that redis answers with stand in their places; in a cluster
    /// those of single nodes do so too.
    pub(crate) fn send(&self, commands: &[Cmd]) -> Result<Vec<Answer>, RedisError> {
        match &self.inner.way {
            Way::One(links) => links.here().send(commands),
            Way::Many(cluster) => cluster.send(commands),
        }
    }

    /// The server, or each master of a cluster.
    ///
    /// # Errors
    /// When no node of a cluster tells which those are.
    pub(crate) fn nodes(&self) -> Result<Vec<Node>, RedisError> {
        match &self.inner.way {
            Way::One(links) => Ok(vec![Node(Arc::clone(links.here()))]),
            Way::Many(cluster) => Ok(cluster.masters()?.into_iter().map(Node).collect()),
        }
    }

    /// In a cluster, the master that `key` lives on.
    ///
    /// # Errors
    /// When no node of a cluster tells which that is.
    pub(crate) fn master_of(&self, key: &[u8]) -> Result<Option<Node>, RedisError> {
        match &self.inner.way {
            Way::One(_) => Ok(None),
            Way::Many(cluster) => cluster.link_of(key).map(Node).map(Some),
        }
    }

    /// Sends one command; as [`send`](Self::send).
    pub(crate) fn ask(&self, command: &Cmd) -> Answer {
        let answers = self.send(std::slice::from_ref(command))?;
        answers.into_iter().next().unwrap_or(Ok(Value::Nil))
    }

    /// The string under `key`; in one command with others that are asked for at the same time.
    pub(crate) fn get(&self, key: &[u8]) -> Answer {
        match &self.inner.way {
            Way::One(links) => links.call(Call::Get(key)),
            Way::Many(_) => self.ask(redis::cmd("GET").arg(key)),
        }
    }

    /// The strings under `keys`, in one round trip.
    pub(crate) fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Answer>, RedisError> {
        let calls = keys.iter().map(|key| Call::Get(key.as_ref()));
        match &self.inner.way {
            Way::One(links) => Ok(links.calls(calls)),
            Way::Many(cluster) => {
                let get = |key: &K| redis::cmd("GET").arg(key.as_ref()).take();
                cluster.send(&keys.iter().map(get).collect::<Vec<_>>())
            }
        }
    }

    /// Runs a script on one key, in one command with others that run at the same time; in a
    /// cluster, alone. Answers the digit it said, as a number.
    pub(crate) fn each(&self, each: &EachKey<'_>) -> Answer {
        let answer = match &self.inner.way {
            Way::One(links) => links.call(Call::Each(each)),
            Way::Many(_) => gather::verdict(self.ask(&each.alone(Script::by_hash))),
        };
        match answer {
            Err(RedisError::NoScript) => gather::verdict(self.ask(&each.alone(Script::in_full))),
            answer => answer,
        }
    }

    /// Runs `script`, which is sent in full only to a server that does not know it.
    pub(crate) fn script(&self, script: &Script, keys: &[&[u8]], args: &[&[u8]]) -> Answer {
        match self.ask(&script.by_hash(keys, args)) {
            Err(RedisError::NoScript) => self.ask(&script.in_full(keys, args)),
            answer => answer,
        }
    }

    /// Waits for a connection of one's own: for WATCH, WAIT and commands that block.
    ///
    /// # Errors
    /// When none gets free in time, or none can be made.
    fn exclusive(&self) -> Result<Exclusive, RedisError> {
        self.inner.pool.take()
    }

    /// Sends `commands` on a connection of their own, and gives them so long.
    ///
    /// # Errors
    /// As [`exclusive`](Self::exclusive) and [`send`](Self::send).
    pub(crate) fn send_alone(
        &self,
        commands: &[Cmd],
        limit: Duration,
    ) -> Result<Vec<Answer>, RedisError> {
        self.exclusive()?.send_within(commands, limit)
    }

    /// Listens to published messages, on a connection of its own.
    pub(crate) fn listen(&self, sink: Arc<dyn Sink>) -> Listening {
        let settings = self.inner.dialer.settings();
        let dialer = Arc::clone(&self.inner.dialer);
        let dial = Box::new(move || dialer.dial());
        Listening::new(settings, Arc::clone(&self.inner.outage), dial, sink)
    }

    /// What it was opened with.
    pub(crate) fn settings(&self) -> &RedisSettings {
        self.inner.dialer.settings()
    }

    /// Whether a shared connection works.
    pub(crate) fn state(&self) -> LinkState {
        match &self.inner.way {
            Way::One(links) => links.state(),
            Way::Many(cluster) => cluster.state(),
        }
    }
}

/// One server, for commands that mean a server and not a key, such as SCAN.
#[derive(Debug)]
pub(crate) struct Node(Arc<Link>);

impl Node {
    /// As [`Redis::send`].
    pub(crate) fn send(&self, commands: &[Cmd]) -> Result<Vec<Answer>, RedisError> {
        self.0.send(commands)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, state) = (&self.settings().name, self.state());
        f.debug_struct("Redis").field("name", name).field("state", &state).finish()
    }
}
