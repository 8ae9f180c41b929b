//! What is looked at when a server starts: whether redis is there, lets us in and lets us tell
//! what we save, and keeps what it is given.

use redis::cmd;

use super::RedisStore;
use super::answers::bytes;
use crate::config::RedisSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::redis::RedisError;

/// Older ones lack commands that the store and its connections use.
const OLDEST_MAJOR: u32 = 6;

impl RedisStore {
    /// Looks at the server once. One that is down is a warning: sessions are answered with 503
    /// until it is there.
    ///
    /// # Errors
    /// When redis refuses this user or password, or that it tells what it saves, or is too old.
    pub(crate) fn look_at_server(&self) -> Result<()> {
        let settings = self.redis.settings();
        let info = match self.redis.ask(&cmd("INFO")) {
            Err(error @ RedisError::Refused(_)) if is_about_commands(&error) => {
                log::warn!(
                    "redis does not let this user ask for INFO: its memory policy, its \
                     persistence and max_total_bytes are not checked"
                );
                return self.check_news();
            }
            // Waiting mends none of these.
            Err(
                error @ (RedisError::Refused(_) | RedisError::Server(_) | RedisError::Protocol(_)),
            ) => return Err(Error::new(ErrorKind::Start, blame(settings, &error)).caused_by(error)),
            Err(error) => {
                let place = settings.place_of_servers();
                log::warn!("{place}: sessions are unavailable until redis is there: {error}");
                return Ok(());
            }
            answer => bytes(answer).ok().flatten().unwrap_or_default(),
        };
        let info = String::from_utf8_lossy(&info);
        let version = field(&info, "redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < OLDEST_MAJOR) {
            let place = settings.place_of_servers();
            let what =
                format!("{place}: redis is {version}; sessions need {OLDEST_MAJOR}.0 or later");
            return Err(Error::new(ErrorKind::Start, what));
        }
        self.check_news()?;
        self.check_replicas();
        for warning in doubts(&info).into_iter().chain(self.fullness(&info)) {
            log::warn!("{warning}");
        }
        if field(&info, "aof_enabled") == Some("1") && self.appendfsync().contains("everysec") {
            log::warn!(
                "redis may answer up to two seconds before it writes (appendfsync everysec): killed on \
                 a busy disk it may lose saved sessions; appendfsync always keeps them"
            );
        }
        Ok(())
    }

    /// What keeps new sessions out, perhaps because others use this redis as well.
    fn fullness(&self, info: &str) -> Option<String> {
        let (used, max_bytes) = (used_of(info), self.options.max_total_bytes);
        let keys = match self.redis.ask(&cmd("DBSIZE")) {
            Ok(redis::Value::Int(keys)) => u64::try_from(keys).unwrap_or_default(),
            Err(RedisError::Refused(_)) => {
                return Some(
                    "redis does not let this user ask for DBSIZE: max_sessions is not \
                             checked"
                        .to_owned(),
                );
            }
            _ => 0,
        };
        let what = if used >= max_bytes {
            format!("redis uses {used} bytes of memory, and max_total_bytes is {max_bytes}")
        } else if keys >= self.options.max_sessions {
            let max = self.options.max_sessions;
            format!("the database of redis holds {keys} keys, and max_sessions is {max}")
        } else {
            return None;
        };
        Some(format!("{what}: new sessions are refused until there is room"))
    }

    /// Whether this user may tell others what it saves. The script tells it after the save, so for
    /// a user who may not every save would fail with its record changed: nobody else would hear
    /// of it, and each would be looked up and made twice.
    fn check_news(&self) -> Result<()> {
        let channel = self.names.news();
        // No news at all: nobody takes it for any.
        let nothing = cmd("PUBLISH").arg(&channel).arg("").take();
        // Every master of a cluster has users of its own; one that is down will tell by itself.
        for node in self.redis.nodes().unwrap_or_default() {
            let answer = node.send(std::slice::from_ref(&nothing));
            let answer = answer.map(|answers| answers.into_iter().next());
            let (Ok(Some(Err(error))) | Err(error)) = answer else { continue };
            if is_about_commands(&error) {
                let what = format!(
                    "{}: redis does not let this user PUBLISH on {channel}, which every save does: \
                     it needs +publish and &{}*",
                    self.redis.settings().place(&["username", "password", "url"]),
                    self.options.prefix
                );
                return Err(Error::new(ErrorKind::Start, what).caused_by(error));
            }
        }
        Ok(())
    }

    /// Empty if this user may not ask.
    pub(super) fn appendfsync(&self) -> String {
        match self.redis.ask(cmd("CONFIG").arg("GET").arg("appendfsync")) {
            Ok(redis::Value::Map(pairs)) => pairs.first().map(|(_, value)| format!("{value:?}")),
            Ok(redis::Value::Array(items)) => items.get(1).map(|value| format!("{value:?}")),
            _ => None,
        }
        .unwrap_or_default()
    }
}

/// What a refusal is about, where that is written, and what would be right.
fn blame(settings: &RedisSettings, error: &RedisError) -> String {
    match error {
        RedisError::Refused(why) if why.starts_with("the sentinel ") => {
            let place =
                settings.place(&["sentinel_password", "sentinel_username", "sentinels", "url"]);
            format!(
                "{place}: a sentinel does not let us in; sentinels have users and passwords of their \
                 own: sentinel_username and sentinel_password"
            )
        }
        RedisError::Refused(why) if why.starts_with("NOAUTH") => {
            let place = settings.place(&["password", "username", "url"]);
            format!(
                "{place}: redis wants a password; write password = .. (and username = .. for a user \
                 of its ACL)"
            )
        }
        RedisError::Refused(_) => {
            let place = settings.place(&["password", "username", "url"]);
            format!(
                "{place}: redis refuses this user or password; it takes the one of its requirepass, \
                 or a user of its ACL"
            )
        }
        RedisError::Server(why) if why.contains("DB index") || why.contains("SELECT") => {
            let (place, database) = (settings.place(&["database", "url"]), settings.database);
            format!("{place}: redis has no database {database}; 0 is always there")
        }
        _ => format!(
            "{}: what answers there does not do what is asked of it",
            settings.place_of_servers()
        ),
    }
}

/// Redis says NOPERM both of a user who may not run a command and of nothing else.
fn is_about_commands(error: &RedisError) -> bool {
    matches!(error, RedisError::Refused(why) if why.starts_with("NOPERM"))
}

/// What an operator should know about the way redis keeps sessions.
fn doubts(info: &str) -> Vec<String> {
    let mut doubts = Vec::new();
    if field(info, "aof_enabled") == Some("0") {
        doubts.push(
            "redis writes no append-only file: when it is killed, saved sessions are lost \
             (appendonly yes keeps them)"
                .to_owned(),
        );
    }
    // All our keys expire, so the volatile policies take them too.
    let policy = field(info, "maxmemory_policy").filter(|policy| *policy != "noeviction");
    if let (Some(policy), true) = (policy, field(info, "maxmemory") != Some("0")) {
        doubts.push(format!(
            "redis evicts keys when it is full (maxmemory-policy {policy}): visitors may lose their \
             sessions; noeviction refuses new sessions instead"
        ));
    }
    doubts
}

/// What a server uses beside what it uses when it is empty.
pub(super) fn used_of(info: &str) -> u64 {
    let number = |name| field(info, name).and_then(|value| value.parse::<u64>().ok());
    let used = number("used_memory").unwrap_or_default();
    used.saturating_sub(number("used_memory_startup").unwrap_or_default())
}

/// The value of a line `name:value`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::{doubts, field};

    #[test]
    fn what_loses_sessions_is_told() {
        let info =
            "# Memory\r\nmaxmemory:100\r\nmaxmemory_policy:volatile-lru\r\naof_enabled:0\r\n";
        assert_eq!(field(info, "maxmemory"), Some("100"));
        let told = doubts(info);
        assert!(told.len() == 2 && told[1].contains("volatile-lru"), "{told:?}");
        let good = "maxmemory:100\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n";
        assert!(doubts(good).is_empty());
        let unlimited = "maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n";
        assert!(doubts(unlimited).is_empty(), "nothing is evicted without a limit");
    }
}
