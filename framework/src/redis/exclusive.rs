//! Connections that belong to one user at a time: for WATCH, WAIT, blocking commands.
//!
//! r2d2 keeps them. Its `get` would block a worker, so a semaphore of ours lets in as many as there
//! are connections, and only `try_get` is called; connecting is done by r2d2's own threads.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use r2d2::{ManageConnection, PooledConnection};
use redis::{Cmd, Parser, Value};

use super::dial::Dialer;
use super::error::{Answer, RedisError, sorted, unreadable};
use super::transport::{Incoming, Transport};
use crate::runtime::sleep;
use crate::runtime::sync::{Semaphore, ShortLock};

/// r2d2 tries again after a failure at most after half of this.
const R2D2_PATIENCE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(20);

/// The exclusive connections of one `[redis.NAME]`.
pub(super) struct Pool {
    dialer: Arc<Dialer>,
    permits: Semaphore,
    /// Made at the first use, since r2d2 begins to connect at once.
    connections: OnceLock<r2d2::Pool<Manager>>,
    last_failure: Arc<ShortLock<Option<RedisError>>>,
}

impl Pool {
    pub(super) fn new(dialer: Arc<Dialer>) -> Arc<Self> {
        let permits = Semaphore::new(dialer.settings().pool_size as usize);
        Arc::new(Self {
            dialer,
            permits,
            connections: OnceLock::new(),
            last_failure: Arc::default(),
        })
    }

    /// Waits for a connection until the time-out of commands.
    pub(super) fn take(self: &Arc<Self>) -> Result<Exclusive, RedisError> {
        let limit = self.dialer.settings().command_timeout;
        let until = Instant::now() + limit;
        if !self.permits.take_timeout(limit) {
            return Err(RedisError::Timeout { sent: false });
        }
        // From here on its destructor gives the permit back.
        let mut exclusive = Exclusive { connection: None, pool: Arc::clone(self) };
        let connections = self.connections.get_or_init(|| self.build());
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(mut connection) = connections.try_get() {
                if connection.is_alive() {
                    exclusive.connection = Some(connection);
                    return Ok(exclusive);
                }
                continue;
            }
            if Instant::now() >= until {
                let failure = self.last_failure.with(|failure| failure.clone());
                return Err(failure.unwrap_or(RedisError::Timeout { sent: false }));
            }
            sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn build(&self) -> r2d2::Pool<Manager> {
        let manager = Manager {
            dialer: Arc::clone(&self.dialer),
            last_failure: Arc::clone(&self.last_failure),
        };
        r2d2::Pool::builder()
            .max_size(self.dialer.settings().pool_size)
            .connection_timeout(R2D2_PATIENCE)
            .test_on_check_out(false)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(manager)
    }
}

struct Manager {
    dialer: Arc<Dialer>,
    last_failure: Arc<ShortLock<Option<RedisError>>>,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    fn connect(&self) -> Result<Connection, RedisError> {
        let outcome = self.dialer.dial();
        self.last_failure.with(|failure| *failure = outcome.as_ref().err().cloned());
        Ok(Connection {
            transport: outcome?,
            parser: Parser::new(),
            is_broken: false,
            is_marked: false,
        })
    }

    fn is_valid(&self, _connection: &mut Connection) -> Result<(), RedisError> {
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken || connection.is_marked
    }
}

struct Connection {
    transport: Transport,
    parser: Parser,
    /// An answer may still come, or none ever: nobody else may have it.
    is_broken: bool,
    /// The server remembers something about it, such as a WATCH.
    is_marked: bool,
}

impl Connection {
    /// Whether the server has not closed it since it was last used, and is still the master.
    fn is_alive(&mut self) -> bool {
        self.is_broken |= self.transport.is_closed() || self.transport.is_deposed();
        !self.is_broken
    }

    fn send(&mut self, commands: &[Cmd], limit: Duration) -> Result<Vec<Answer>, RedisError> {
        if self.is_broken {
            return Err(RedisError::Down("this connection has failed before".to_owned()));
        }
        // Until the last answer is there, also if the coroutine is unwound meanwhile.
        self.is_broken = true;
        self.transport.set_deadline(Some(limit));
        let mut bytes = Vec::new();
        for command in commands {
            command.write_packed_command(&mut bytes);
            self.mark(command);
        }
        self.transport.write_all(bytes).map_err(|error| lost(&error))?;
        let mut answers = Vec::with_capacity(commands.len().min(64));
        while answers.len() < commands.len() {
            let value = self.parser.parse_value(Incoming(&self.transport));
            let value = value.map_err(|error| {
                if error.is_timeout() {
                    RedisError::Timeout { sent: true }
                } else {
                    unreadable(&error)
                }
            })?;
            if !matches!(value, Value::Push { .. }) {
                answers.push(sorted(value));
            }
        }
        // A replica that was a master is of no use to the next one.
        self.is_broken = answers.contains(&Err(RedisError::ReadOnly));
        Ok(answers)
    }

    fn mark(&mut self, command: &Cmd) {
        let Some(redis::Arg::Simple(name)) = command.args_iter().next() else { return };
        let is =
            |words: &[&str]| words.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
        if is(&["WATCH", "MULTI", "SELECT", "CLIENT", "MONITOR", "SUBSCRIBE", "PSUBSCRIBE"]) {
            self.is_marked = true;
        } else if is(&["EXEC", "DISCARD", "UNWATCH", "RESET"]) {
            self.is_marked = is(&["RESET"]);
        }
    }
}

fn lost(error: &std::io::Error) -> RedisError {
    match error.kind() {
        std::io::ErrorKind::TimedOut => RedisError::Timeout { sent: true },
        _ => RedisError::Lost(error.to_string()),
    }
}

/// A connection of one's own, until it is dropped. One that failed, timed out or still watches
/// something is closed then; any other one goes back to the pool.
pub(crate) struct Exclusive {
    connection: Option<PooledConnection<Manager>>,
    pool: Arc<Pool>,
}

impl Exclusive {
    /// Sends `commands` in one piece and waits for their answers, for the usual time-out.
    #[cfg(test)]
    pub(crate) fn send(&mut self, commands: &[Cmd]) -> Result<Vec<Answer>, RedisError> {
        let limit = self.pool.dialer.settings().command_timeout;
        self.send_within(commands, limit)
    }

    /// As [`send`](Self::send), with a time-out of its own, for commands that block.
    pub(crate) fn send_within(
        &mut self,
        commands: &[Cmd],
        limit: Duration,
    ) -> Result<Vec<Answer>, RedisError> {
        match &mut self.connection {
            Some(connection) => connection.send(commands, limit),
            None => Err(RedisError::Timeout { sent: false }),
        }
    }

    /// Sends one command.
    #[cfg(test)]
    pub(crate) fn ask(&mut self, command: &Cmd) -> Answer {
        let answers = self.send(std::slice::from_ref(command))?;
        answers.into_iter().next().unwrap_or(Ok(Value::Nil))
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // First the connection, then the permit: who gets the permit finds the connection.
        drop(self.connection.take());
        self.pool.permits.give_back();
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exclusive")
    }
}
