//! What can become of a command that got no answer, or an answer that is an error.

use std::fmt;

use redis::{ServerError, ServerErrorKind, Value};

/// An answer to one command.
pub(crate) type Answer = Result<Value, RedisError>;

/// What redis calls a script by where it ended with an error.
const IN_A_SCRIPT: &str = "@user_script";

/// How Redis up to 7.0, and later ones and Valkey, tell a script that its user may not do what it
/// wants to do.
const NOT_FOR_THIS_USER: [&str; 2] =
    ["The user executing the script can't run this command", "ACL failure in script: "];

/// Why a command has no value. [`is_unknown_outcome`](Self::is_unknown_outcome) tells whether it
/// may have been carried out nevertheless.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedisError {
    /// There is no connection; the command was not sent.
    Down(String),
    /// The connection was lost after the command was sent.
    Lost(String),
    /// No answer, or no free connection, in time.
    Timeout {
        /// Whether the command was sent.
        sent: bool,
    },
    /// As many commands wait as may; it was not sent.
    Busy,
    /// The server refuses this user, password or command.
    Refused(String),
    /// The server is reading its data after a start.
    Loading,
    /// The server is a replica and does not write.
    ReadOnly,
    /// The server is full.
    OutOfMemory,
    /// The cluster, or the master of a replica, cannot answer for this key now.
    Unavailable(String),
    /// The key lives on another node: the new place, as the server wrote it.
    Moved(String),
    /// The key is just moving to another node, which is to be asked this once.
    Ask(String),
    /// The script has to be sent in full.
    NoScript,
    /// Any other error of the server: a command was refused as a whole, a script ended there, and
    /// what it had written stays.
    Server(String),
    /// The server does not speak redis.
    Protocol(String),
}

impl RedisError {
    /// What it is for those who had sent nothing: lost is just down for them.
    pub(super) fn for_others(self) -> Self {
        match self {
            Self::Lost(why) | Self::Protocol(why) => Self::Down(why),
            failure => failure,
        }
    }

    /// Whether the command may have been carried out although there is no answer.
    pub(crate) fn is_unknown_outcome(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Timeout { sent: true } | Self::Protocol(_))
    }

    /// Whether the command surely changed nothing, and nothing will come of it.
    ///
    /// A server that is no master, or full, says so at a script's first write, and not again after
    /// that: nothing was written then. Other refusals may come after one.
    pub(crate) fn is_surely_not_done(&self) -> bool {
        match self {
            Self::Down(_)
            | Self::Timeout { sent: false }
            | Self::Busy
            | Self::Loading
            | Self::ReadOnly
            | Self::OutOfMemory
            | Self::Moved(_)
            | Self::Ask(_)
            | Self::NoScript => true,
            Self::Refused(why) | Self::Unavailable(why) => !why.contains(IN_A_SCRIPT),
            Self::Lost(_) | Self::Timeout { sent: true } | Self::Server(_) | Self::Protocol(_) => {
                false
            }
        }
    }

    /// Whether this says that there is nothing to talk to at the moment, which may pass by itself.
    #[cfg(test)]
    pub(crate) fn is_outage(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::NoScript | Self::Server(_) | Self::OutOfMemory)
    }

    fn from_server(error: &ServerError) -> Self {
        let text = |error: &ServerError| {
            let details = error.details().unwrap_or_default();
            format!("{} {details}", error.code()).trim_end().to_owned()
        };
        let details = || error.details().unwrap_or_default().to_owned();
        match error.kind() {
            Some(ServerErrorKind::BusyLoading) => Self::Loading,
            Some(ServerErrorKind::NoScript) => Self::NoScript,
            Some(ServerErrorKind::Moved) => Self::Moved(details()),
            Some(ServerErrorKind::Ask) => Self::Ask(details()),
            Some(
                ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ) => Self::Unavailable(text(error)),
            Some(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            Some(ServerErrorKind::NoPerm) => Self::Refused(text(error)),
            _ => match error.code() {
                "OOM" => Self::OutOfMemory,
                "NOAUTH" | "WRONGPASS" | "DENIED" => Self::Refused(text(error)),
                "ERR" if NOT_FOR_THIS_USER.iter().any(|words| details().starts_with(words)) => {
                    Self::Refused(text(error))
                }
                // The disk or too few replicas keep the server from writing.
                "MISCONF" | "NOREPLICAS" | "BUSY" | "UNBLOCKED" => Self::Unavailable(text(error)),
                _ => from_script(error).unwrap_or_else(|| Self::Server(text(error))),
            },
        }
    }
}

/// Redis 6 and 7 wrap errors that a script's own commands met into an `ERR` of the script.
fn from_script(error: &ServerError) -> Option<RedisError> {
    let details = error.details()?;
    if details.contains("-OOM ") || details.contains("OOM command not allowed") {
        return Some(RedisError::OutOfMemory);
    }
    details.contains("-READONLY ").then_some(RedisError::ReadOnly)
}

/// A value as it came, errors sorted out.
pub(super) fn sorted(value: Value) -> Answer {
    match value {
        Value::ServerError(error) => Err(RedisError::from_server(&error)),
        Value::Attribute { data, .. } => sorted(*data),
        value => Ok(value),
    }
}

/// What the parser says when there is no value.
pub(super) fn unreadable(error: &redis::RedisError) -> RedisError {
    if error.is_io_error() {
        RedisError::Lost(error.to_string())
    } else {
        RedisError::Protocol(error.to_string())
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(why) => write!(f, "redis is not connected: {why}"),
            Self::Lost(why) => write!(f, "the connection to redis was lost: {why}"),
            Self::Timeout { sent: true } => f.write_str("redis did not answer in time"),
            Self::Timeout { sent: false } => f.write_str("no connection to redis was free in time"),
            Self::Busy => f.write_str("too many commands wait for redis"),
            Self::Refused(why) => write!(f, "redis refuses: {why}"),
            Self::Loading => f.write_str("redis is loading its data"),
            Self::ReadOnly => f.write_str("redis is a replica and does not write"),
            Self::OutOfMemory => f.write_str("redis is full (maxmemory)"),
            Self::Unavailable(why) => write!(f, "redis cannot answer now: {why}"),
            Self::Moved(place) => write!(f, "the key lives elsewhere: {place}"),
            Self::Ask(place) => write!(f, "the key is moving: {place}"),
            Self::NoScript => f.write_str("redis does not know the script"),
            Self::Server(why) => write!(f, "redis answers with an error: {why}"),
            Self::Protocol(why) => write!(f, "not an answer of redis: {why}"),
        }
    }
}

impl std::error::Error for RedisError {}

#[cfg(test)]
mod tests {
    use super::{RedisError, sorted};

    fn said(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        sorted(value).unwrap_err()
    }

    #[test]
    fn only_what_came_before_any_write_is_surely_not_done() {
        for line in [
            "NOPERM User guest has no permissions to run the 'evalsha' command",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk",
            "BUSY Redis is busy running a script.",
            "READONLY You can't write against a read only replica.",
            "LOADING Redis is loading the dataset in memory",
            "CLUSTERDOWN The cluster is down",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MOVED 1 127.0.0.1:7001",
            "ERR The user executing the script can't run this command or subcommand",
            "ERR ACL failure in script: User guest has no permissions to run the 'set' command",
        ] {
            assert!(said(line).is_surely_not_done(), "{line}");
        }
        for line in [
            "NOPERM The user executing the script can't run this command script: 5f, on @user_script:44.",
            "ERR The user executing the script can't run this command script: 5f, on @user_script:44.",
            "ERR ACL failure in script: No permissions script: 5f, on @user_script:44.",
            "MISCONF Errors writing to the AOF file script: 5f, on @user_script:39.",
            "ERR Error running script (call to f_5f): @user_script:44: @user_script: 44: not allowed",
            "ERR max number of clients reached",
        ] {
            assert!(!said(line).is_surely_not_done(), "{line}");
        }
        assert!(RedisError::Timeout { sent: false }.is_surely_not_done());
        for unknown in [RedisError::Timeout { sent: true }, RedisError::Lost(String::new())] {
            assert!(!unknown.is_surely_not_done(), "{unknown}");
        }
    }
}
