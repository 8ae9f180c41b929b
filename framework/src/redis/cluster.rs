//! A cluster: shared connections to each master, and the map from slots to masters.
//!
//! The `redis` crate's own cluster connection carries one command at a time, so a pool of them would
//! cost what exclusive connections cost, four times a shared one. Of the cluster's protocol a
//! client needs little: the slot of a key, and to follow MOVED and ASK.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Arg, Cmd, Value};

use super::dial::Dialer;
use super::error::{Answer, RedisError};
use super::link::{Link, LinkLimits, LinkState};
use super::links::Links;
use super::outage::Outage;
use crate::config::{RedisAddress, RedisServers};
use crate::runtime::sleep;
use crate::runtime::sync::{Mutex, ShortLock};

const SLOTS: u16 = 16_384;
/// So often a command is sent again before its last error stands.
const MAX_ATTEMPTS: usize = 6;
/// While a slot moves, half of a request's keys may be here and half there.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// The map is asked for at most so often.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// The connections to one cluster.
pub(super) struct Cluster {
    dialer: Arc<Dialer>,
    limits: LinkLimits,
    map: ShortLock<Map>,
    /// Held while the map is asked for; the moment of the last answer.
    refreshed: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Map {
    links: HashMap<RedisAddress, Links>,
    /// The address of each slot's master; empty until the first refresh.
    slots: Vec<Option<RedisAddress>>,
}

/// One command on its way.
struct Task<'a> {
    place: usize,
    command: &'a Cmd,
    /// Where to go instead of the slot's master, once.
    ask: Option<RedisAddress>,
    last: RedisError,
}

impl Cluster {
    pub(super) fn new(dialer: Arc<Dialer>, limits: LinkLimits) -> Self {
        let map = ShortLock::default();
        Self { dialer, limits, map, refreshed: Mutex::new(None) }
    }

    /// Sends each command to the master of its key; all masters work at the same time.
    pub(super) fn send(&self, commands: &[Cmd]) -> Result<Vec<Answer>, RedisError> {
        if self.map.with(|map| map.slots.is_empty()) {
            self.refresh()?;
        }
        let mut answers: Vec<Answer> = vec![Ok(Value::Nil); commands.len()];
        let unsent = || RedisError::Down("no node was asked".to_owned());
        let mut tasks: Vec<Task<'_>> = commands
            .iter()
            .enumerate()
            .map(|(place, command)| Task { place, command, ask: None, last: unsent() })
            .collect();
        for _ in 0..MAX_ATTEMPTS {
            tasks = self.attempt(tasks, &mut answers);
            if tasks.is_empty() {
                return Ok(answers);
            }
        }
        for task in tasks {
            put(&mut answers, task.place, Err(task.last));
        }
        Ok(answers)
    }

    /// Sends every task once; gives those that have to be sent again.
    fn attempt<'a>(&self, tasks: Vec<Task<'a>>, answers: &mut [Answer]) -> Vec<Task<'a>> {
        let mut by_node: Vec<(Arc<Link>, Vec<Task<'a>>)> = Vec::new();
        for task in tasks {
            let link = self.link_for(&task);
            match by_node.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &link)) {
                Some((_, group)) => group.push(task),
                None => by_node.push((link, vec![task])),
            }
        }
        by_node.iter().for_each(|(link, _)| link.wait_for_first_attempt());
        let asking = redis::cmd("ASKING");
        let mut sent = Vec::with_capacity(by_node.len());
        for (link, group) in by_node {
            let commands: Vec<&Cmd> = group
                .iter()
                .flat_map(|task| {
                    task.ask.is_some().then_some(&asking).into_iter().chain([task.command])
                })
                .collect();
            let ticket = link.submit(&commands);
            sent.push((link, group, ticket));
        }
        for (link, _, ticket) in &sent {
            if let Ok(ticket) = ticket {
                link.flush_soon(ticket);
            }
        }
        let mut again = Vec::new();
        let mut is_stale = false;
        for (_, group, ticket) in sent {
            let outcome = ticket.and_then(super::link::Ticket::wait);
            let mut received = outcome.as_ref().map(|list| list.clone().into_iter());
            for mut task in group {
                if task.ask.take().is_some() {
                    received.as_mut().map(Iterator::next).ok();
                }
                let answer = match &mut received {
                    Ok(list) => list.next().unwrap_or(Ok(Value::Nil)),
                    Err(error) => Err((*error).clone()),
                };
                match answer {
                    Err(error) if self.learn(&mut task, &error, &mut is_stale) => {
                        task.last = error;
                        again.push(task);
                    }
                    answer => put(answers, task.place, answer),
                }
            }
        }
        if is_stale {
            self.refresh().ok();
        }
        again
    }

    /// What an error says about the map. True when the command was not carried out and may be
    /// sent again.
    fn learn(&self, task: &mut Task<'_>, error: &RedisError, is_stale: &mut bool) -> bool {
        match error {
            RedisError::Moved(place) => {
                if let Some((slot, address)) = moved(place) {
                    self.map.with(|map| {
                        if let Some(entry) = map.slots.get_mut(usize::from(slot)) {
                            *entry = Some(address);
                        }
                    });
                }
                *is_stale = true;
                true
            }
            RedisError::Ask(place) => {
                task.ask = moved(place).map(|(_, address)| address);
                true
            }
            RedisError::Unavailable(why) if why.starts_with("TRYAGAIN") => {
                sleep(TRY_AGAIN);
                true
            }
            // The node may have a successor already; if not, this fails again at once.
            RedisError::Down(_) | RedisError::ReadOnly => {
                let before = key_slot(task.command).map(|slot| self.address_of(slot));
                self.refresh().ok();
                let after = key_slot(task.command).map(|slot| self.address_of(slot));
                before != after
            }
            RedisError::Unavailable(_) | RedisError::Lost(_) => {
                *is_stale = true;
                false
            }
            _ => false,
        }
    }

    fn address_of(&self, slot: u16) -> Option<RedisAddress> {
        self.map.with(|map| map.slots.get(usize::from(slot)).cloned().flatten())
    }

    fn link_for(&self, task: &Task<'_>) -> Arc<Link> {
        let address = task.ask.clone().or_else(|| match key_slot(task.command) {
            Some(slot) => self.address_of(slot),
            None => self.map.with(|map| map.slots.iter().flatten().next().cloned()),
        });
        let seeds = self.seeds();
        self.link(&address.or_else(|| seeds.first().cloned()).unwrap_or_else(nowhere))
    }

    fn link(&self, address: &RedisAddress) -> Arc<Link> {
        let here = |links: &Links| Arc::clone(links.here());
        if let Some(link) = self.map.with(|map| map.links.get(address).map(here)) {
            return link;
        }
        let (dialer, at) = (Arc::clone(&self.dialer), address.clone());
        let count = self.dialer.settings().shared_connections;
        // Of each node its own: one that is gone for good never ends its outage.
        let outage = Outage::of(&format!("{} {address}", self.dialer.settings().name));
        let fresh = Links::new(count, self.limits, &outage, move || dialer.dial_at(&at));
        // Somebody else may have been faster; then his are the ones.
        self.map.with(|map| here(map.links.entry(address.clone()).or_insert(fresh)))
    }

    fn seeds(&self) -> Vec<RedisAddress> {
        match &self.dialer.settings().servers {
            RedisServers::Cluster(nodes) => nodes.clone(),
            _ => Vec::new(),
        }
    }

    /// Asks the nodes one after the other for the map, unless somebody just did.
    fn refresh(&self) -> Result<(), RedisError> {
        let mut refreshed = self.refreshed.lock();
        if refreshed.is_some_and(|at| at.elapsed() < REFRESH_PAUSE) {
            return Ok(());
        }
        let known =
            self.map.with(|map| map.slots.iter().flatten().cloned().collect::<BTreeSet<_>>());
        let mut error = RedisError::Down("no node of the cluster is known".to_owned());
        for node in known.into_iter().chain(self.seeds()) {
            let link = self.link(&node);
            match link.send(&[redis::cmd("CLUSTER").arg("SLOTS").take()]) {
                Ok(answers) => match answers.into_iter().next() {
                    Some(Ok(value)) => {
                        *refreshed = Some(Instant::now());
                        self.take_map(&value, &node);
                        return Ok(());
                    }
                    Some(Err(refusal)) => error = refusal,
                    None => {}
                },
                Err(failure) => error = failure,
            }
        }
        // Also a failure is not repeated by everybody who waited for it.
        if self.map.with(|map| !map.slots.is_empty()) {
            *refreshed = Some(Instant::now());
        }
        Err(error)
    }

    fn take_map(&self, value: &Value, asked: &RedisAddress) {
        let mut slots = vec![None; usize::from(SLOTS)];
        for (first, last, address) in ranges(value, asked) {
            let range = usize::from(first)..usize::from(last).saturating_add(1);
            for entry in slots.get_mut(range).into_iter().flatten() {
                *entry = Some(address.clone());
            }
        }
        let mut wanted: BTreeSet<_> = slots.iter().flatten().cloned().collect();
        wanted.extend(self.seeds());
        let gone = self.map.with(|map| {
            map.slots = slots;
            let gone: Vec<_> =
                map.links.keys().filter(|address| !wanted.contains(address)).cloned().collect();
            gone.iter().filter_map(|address| map.links.remove(address)).collect::<Vec<_>>()
        });
        // Their connections end here, or with the last request that uses them.
        drop(gone);
    }

    /// The connections to all masters.
    pub(super) fn masters(&self) -> Result<Vec<Arc<Link>>, RedisError> {
        self.refresh()?;
        let masters =
            self.map.with(|map| map.slots.iter().flatten().cloned().collect::<BTreeSet<_>>());
        Ok(masters.iter().map(|address| self.link(address)).collect())
    }

    /// The shared connection to the master of `key`.
    pub(super) fn link_of(&self, key: &[u8]) -> Result<Arc<Link>, RedisError> {
        if self.map.with(|map| map.slots.is_empty()) {
            self.refresh()?;
        }
        let address = self.address_of(slot(key));
        let unknown = || RedisError::Down("no node of the cluster has this key".to_owned());
        address.map(|address| self.link(&address)).ok_or_else(unknown)
    }

    /// Up while one node is.
    pub(super) fn state(&self) -> LinkState {
        self.map.with(|map| LinkState::best(map.links.values().map(Links::state)))
    }
}

fn put(answers: &mut [Answer], place: usize, answer: Answer) {
    if let Some(entry) = answers.get_mut(place) {
        *entry = answer;
    }
}

fn nowhere() -> RedisAddress {
    RedisAddress::Tcp("127.0.0.1".to_owned(), 6379)
}

/// `3999 127.0.0.1:6381`
fn moved(place: &str) -> Option<(u16, RedisAddress)> {
    let (slot, address) = place.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((slot.parse().ok()?, RedisAddress::Tcp(host, port.parse().ok()?)))
}

/// What CLUSTER SLOTS answers: first and last slot, and the master. A node that does not know its
/// own address leaves it out: it is the one that was asked.
fn ranges(value: &Value, asked: &RedisAddress) -> Vec<(u16, u16, RedisAddress)> {
    let Value::Array(list) = value else { return Vec::new() };
    let range = |entry: &Value| {
        let Value::Array(parts) = entry else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let asked_host = || match asked {
            RedisAddress::Tcp(host, _) => host.clone(),
            RedisAddress::Unix(_) => "127.0.0.1".to_owned(),
        };
        let host = match redis::from_redis_value_ref::<Option<String>>(host).ok()? {
            Some(host) if !host.is_empty() && host != "?" => host,
            _ => asked_host(),
        };
        let address = RedisAddress::Tcp(host, u16::try_from(*port).ok()?);
        Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, address))
    };
    list.iter().filter_map(range).collect()
}

/// The slot of a command's first key; `None` for commands that have none.
fn key_slot<C: Borrow<Cmd>>(command: C) -> Option<u16> {
    let mut parts = command.borrow().args_iter().map(|part| match part {
        Arg::Simple(bytes) => bytes,
        _ => &[],
    });
    let name = parts.next()?.to_ascii_uppercase();
    let key = match name.as_slice() {
        b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => {
            let count = parts.nth(1)?;
            if count == b"0" { None } else { parts.next() }
        }
        b"PING" | b"ECHO" | b"INFO" | b"TIME" | b"SCRIPT" | b"CLUSTER" | b"CONFIG" | b"CLIENT"
        | b"PUBLISH" | b"DBSIZE" | b"SCAN" | b"WAIT" | b"ROLE" | b"FLUSHALL" | b"FLUSHDB" => None,
        _ => parts.next(),
    }?;
    Some(slot(key))
}

/// Only what stands in the first braces counts, so that keys can be kept together.
fn slot(key: &[u8]) -> u16 {
    let tagged = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    };
    crc16::State::<crc16::XMODEM>::calculate(tagged().unwrap_or(key)) % SLOTS
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cluster")
    }
}
