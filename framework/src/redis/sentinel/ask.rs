//! The questions to sentinels, and the way to the master. They block: on plain threads only.

use std::collections::HashMap;

use redis::Value;

use super::Named;
use crate::config::{RedisAddress, RedisServers};
use crate::redis::dial::{Dialer, ask, at, greet};
use crate::redis::error::RedisError;
use crate::redis::transport::Transport;

impl Dialer {
    /// Where the sentinels listen, if there are any.
    pub(super) fn sentinels(&self) -> &[RedisAddress] {
        match &self.settings().servers {
            RedisServers::Sentinel { sentinels, .. } => sentinels,
            RedisServers::Single(_) | RedisServers::Cluster(_) => &[],
        }
    }

    /// What the sentinels call the master and its replicas.
    fn master_name(&self) -> &str {
        match &self.settings().servers {
            RedisServers::Sentinel { master_name, .. } => master_name,
            RedisServers::Single(_) | RedisServers::Cluster(_) => "",
        }
    }

    /// Connects to the master that the sentinels name: the first one's answer is good, unless it
    /// contradicts what is known; then the others are asked as well.
    pub(in crate::redis) fn dial_master(&self) -> Result<Transport, RedisError> {
        let mut outcome = Err(RedisError::Down("no address is known".to_owned()));
        let mut others = Vec::new();
        for sentinel in self.sentinels() {
            outcome = self.ask_sentinel(sentinel).map(|said| {
                let is_known = self.masters().hear(&said, None);
                others.push(said);
                is_known
            });
            if outcome == Ok(true) {
                others.clear();
                break;
            }
        }
        // One dead sentinel says nothing, and one that lives may know nothing of this master.
        if others.is_empty() {
            outcome?;
        }
        let unknown = || RedisError::Down("no sentinel names a master".to_owned());
        let (master, reign) = self.masters().known().ok_or_else(unknown)?;
        let dialed = self.dial_at(&master).and_then(|transport| {
            transport.set_deadline(Some(self.settings().connect_timeout));
            check_role(&transport, &master)?;
            transport.set_deadline(None);
            Ok(transport)
        });
        if dialed.is_ok() {
            self.masters().reached(&master);
        } else if !others.is_empty() {
            self.masters().desert(&master, &others, self.sentinels().len());
        }
        Ok(dialed?.under(reign))
    }

    fn ask_sentinel(&self, address: &RedisAddress) -> Result<Named, RedisError> {
        let sentinel = self.open_sentinel(address)?;
        let said = self.master_of(&sentinel, None);
        let said = said.map_err(|error| of_sentinel(address, error))?;
        let unknown = || format!("{address}: it knows no master {:?}", self.master_name());
        said.ok_or_else(|| RedisError::Down(unknown()))
    }

    pub(super) fn open_sentinel(&self, address: &RedisAddress) -> Result<Transport, RedisError> {
        let transport = self.open(address)?;
        let settings = self.settings();
        greet(&transport, &settings.sentinel_login, &settings.name)
            .map_err(|error| of_sentinel(address, error))?;
        Ok(transport)
    }

    /// Whom this sentinel calls master, if it knows of one. One that does not tell the election's
    /// number, as it showed `before`, is not asked for it again.
    pub(super) fn master_of(
        &self,
        sentinel: &Transport,
        before: Option<&Named>,
    ) -> Result<Option<Named>, RedisError> {
        let master_name = self.master_name();
        sentinel.set_deadline(Some(self.settings().connect_timeout));
        // The number first: an election between the two answers then looks older than it is, and
        // is seen at the next question. A sentinel that has a new master under an old number
        // would never be believed.
        let epoch = match before {
            Some(Named { epoch: None, .. }) => None,
            _ => epoch_of(sentinel, master_name)?,
        };
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(master_name);
        let named: Option<(String, u16)> = redis::from_redis_value(ask(sentinel, &question)?)
            .map_err(|_| RedisError::Down("its answer is no address".to_owned()))?;
        let named = named.map(|(host, port)| RedisAddress::Tcp(host, port));
        Ok(named.map(|master| Named { master, epoch }))
    }
}

/// What a sentinel refuses is no refusal of the server's, whose users are others.
fn of_sentinel(address: &RedisAddress, error: RedisError) -> RedisError {
    match error {
        RedisError::Refused(why) => RedisError::Refused(format!("the sentinel {address}: {why}")),
        error => at(address, error),
    }
}

/// The number of the election that made the master; `None` if this user may not know, or the
/// sentinel knows no such master.
fn epoch_of(sentinel: &Transport, master_name: &str) -> Result<Option<u64>, RedisError> {
    let answer = match ask(sentinel, redis::cmd("SENTINEL").arg("MASTER").arg(master_name)) {
        Ok(answer) => answer,
        Err(RedisError::Server(_) | RedisError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let facts: HashMap<String, String> = redis::from_redis_value(answer).unwrap_or_default();
    Ok(facts.get("config-epoch").and_then(|epoch| epoch.parse().ok()))
}

/// A master that was demoted a moment ago, or that sentinels still believe in, is no good.
fn check_role(transport: &Transport, address: &RedisAddress) -> Result<(), RedisError> {
    let answer = ask(transport, &redis::cmd("ROLE"))?;
    let role = match answer {
        Value::Array(parts) => parts.into_iter().next().unwrap_or_default(),
        other => other,
    };
    let role: String = redis::from_redis_value(role).unwrap_or_default();
    if role == "master" {
        return Ok(());
    }
    Err(RedisError::Down(format!("{address} is no master but a {role}")))
}
