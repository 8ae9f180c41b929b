//! The redis store: sessions of any number of servers in one redis, Sentinel set or cluster.
//!
//! A record is one string; loading is one GET, saving one script that compares, swaps, sets the
//! expiry and tells the others. What is loaded and saved at the same time goes out as one
//! command. This room knows keys and scripts; connections are [`crate::redis`]'s.

mod access;
mod answers;
mod header;
mod list;
mod names;
mod news;
mod options;
mod replicas;
mod room;
mod scripts;
mod start;
mod sweep;
#[cfg(test)]
pub(super) mod tests;
mod walk;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

pub(super) use answers::list as list_of;
pub(super) use names::Names;
pub(super) use news::News;
pub use options::RedisStoreOptions;
pub(super) use watch::Followed;

use crate::config::RedisSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::redis::Redis;
use crate::runtime::sync::ShortLock;
use list::Window;
use room::Room;
use scripts::Scripts;
use sweep::Sweeping;
use watch::Watching;

/// Sessions in redis: shared by any number of servers, as durable as redis is set up to be.
///
/// **Durability.** A save survives kill -9 of redis only with its append-only file on (`appendonly
/// yes`), and surely only with `appendfsync always`: with `everysec` redis answers before it
/// has written anything while a slow fsync is under way, for two seconds at most. A failover loses
/// what had not reached the new master: `wait_replicas` narrows that.
///
/// **Memory** is redis's: set `maxmemory`, with `maxmemory-policy noeviction`. When it is full, new
/// sessions are refused, saves that make a session larger fail with 503, all others go on.
///
/// **Quotas.** [`max_sessions`](RedisStoreOptions::max_sessions) is checked by redis as it creates a
/// session, exactly, whichever server asks; it counts all keys of its database.
/// [`max_total_bytes`](RedisStoreOptions::max_total_bytes) is checked once a second. At either limit
/// an anonymous session seen once is evicted for a new one (not on a cluster); if there is none, the
/// new one is refused. Who has a session can always go on: log in, change the id, take a lock.
///
/// **Time.** A record's deadline is compared with the caller's clock at each call; redis keeps a
/// record a minute longer, to free its memory by itself.
///
/// [`list`](crate::session::SessionStore::list) walks through all keys (SCAN) once for each 65,536
/// sessions it gives out.
pub struct RedisStore {
    redis: Redis,
    names: Names,
    scripts: Scripts,
    options: RedisStoreOptions,
    /// Who our swaps say they are by. It is another one after a swap without an answer, so that
    /// one that happens after all counts as somebody else's.
    writer: Arc<AtomicU64>,
    /// The caller's clock and the system's at one moment; see `sweep`.
    clocks: OnceLock<ShortLock<(SystemTime, Instant)>>,
    sweeping: ShortLock<Sweeping>,
    window: Box<ShortLock<Window>>,
    room: Box<ShortLock<Room>>,
    watching: Watching,
    has_warned: AtomicBool,
    has_warned_of_replicas: AtomicBool,
    has_warned_of_too_few: AtomicBool,
}

impl RedisStore {
    /// A store in the redis of these settings. It does not wait for the server: calls fail while
    /// it is down, and work when it is there.
    ///
    /// # Errors
    /// When the prefix holds what it may not, or files for encryption cannot be read.
    ///
    /// # Examples
    /// ```
    /// use maypole::config::Config;
    /// use maypole::session::stores::{RedisStore, RedisStoreOptions, TieredOptions, TieredStore};
    ///
    /// let config = Config::parse("[redis.default]\nurl = redis://10.0.0.7:6379\n", "config.ini")?;
    /// let settings = &config.redis[0];
    /// let store = RedisStore::open(settings, RedisStoreOptions::default())?;
    /// let with_memory = TieredStore::new(store, &TieredOptions::default())?;
    /// assert_eq!(with_memory.usage().records, 0);
    /// # Ok::<(), maypole::Error>(())
    /// ```
    pub fn open(settings: &RedisSettings, options: RedisStoreOptions) -> Result<Self> {
        Self::new(Redis::open(settings)?, options)
    }

    /// As [`open`](Self::open), on connections that others use as well.
    pub(crate) fn new(redis: Redis, options: RedisStoreOptions) -> Result<Self> {
        if let Some(found) = options.prefix.chars().find(|c| !is_plain(*c)) {
            let what = format!("the prefix of a redis store may not hold {found:?}");
            return Err(Error::new(ErrorKind::Start, what));
        }
        let names = Names::new(&options.prefix);
        let writer = Arc::new(AtomicU64::new(random()?));
        Ok(Self {
            redis,
            scripts: Scripts::new(&names),
            names,
            options,
            watching: Watching::new(Arc::clone(&writer)),
            writer,
            clocks: OnceLock::new(),
            sweeping: ShortLock::default(),
            window: Box::default(),
            room: Box::default(),
            has_warned: AtomicBool::new(false),
            has_warned_of_replicas: AtomicBool::new(false),
            has_warned_of_too_few: AtomicBool::new(false),
        })
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.redis
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn writer(&self) -> u64 {
        self.writer.load(Ordering::Acquire)
    }

    /// What we said under the old name may still come true.
    fn change_writer(&self) {
        // Any number not used before will do; the random start keeps nodes apart.
        self.writer.fetch_add(1, Ordering::AcqRel);
    }
}

/// Whether a prefix may hold it: nothing that means something in a pattern or, as braces do, in a
/// cluster.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-' | '/')
}

pub(super) fn random() -> Result<u64> {
    getrandom::u64().map_err(|error| {
        Error::new(ErrorKind::Start, "the system gives no random numbers").caused_by(error)
    })
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("redis", &self.redis)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
