//! The contract between sessions and whatever keeps their bytes.
//!
//! A store keeps opaque bytes with a version and a deadline. It knows no HTTP, no cookie, no merge,
//! no lock and no user: those are built above it, once, from [`swap`](SessionStore::swap).

use std::error::Error as StdError;
use std::fmt;
use std::time::SystemTime;

/// The name a record has in a store: the SHA-256 of a session id, or of a reserved name.
///
/// Stores never see a session id, so a leaked store opens no session. [`fmt::Display`] gives 64
/// lower-case hex digits: safe as a file name and as part of a redis key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of this key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key written as 64 hex digits, as [`fmt::Display`] writes it.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The first 8 hex digits: what logs show of a session.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({}..)", self.short())
    }
}

/// A record as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Opaque bytes; what they mean is not the store's business.
    pub bytes: Vec<u8>,
    /// Chosen by the caller, greater with every swap of one key; never repeated for a key, since a
    /// new record starts at a random version.
    pub version: u64,
    /// When the record is gone. The only copy of it; enforced at every read.
    pub deadline: SystemTime,
    /// When the session was last used, to the precision of `touch_every`.
    pub last_seen: SystemTime,
    /// Whether a full store may drop this record to make room: an anonymous session seen once.
    pub evictable: bool,
}

/// What a [`swap`](SessionStore::swap) may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: the record is created. Fails with [`Swap::Conflict`] if the key holds a record
    /// whose deadline has not passed.
    Absent,
    /// The record with exactly this version. **Never creates**: a missing record is
    /// [`Swap::Missing`]. This is what makes a logout stick.
    Version(u64),
}

/// The outcome of a [`swap`](SessionStore::swap) that reached the store.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The new record is stored, whole, and survives a kill -9 of this process.
    Done,
    /// Another record is there than the one expected; nothing was changed.
    Conflict,
    /// A version was expected and there is no record (or its deadline has passed); nothing was
    /// created.
    Missing,
}

/// The outcome of a [`touch`](SessionStore::touch).
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Deadline and last-seen are renewed; bytes and version are as they were.
    Done,
    /// The record has another version, or is missing or expired; nothing was changed or created.
    Stale,
}

/// What one call of [`sweep`](SessionStore::sweep) did.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Records looked at.
    pub examined: usize,
    /// Expired records deleted.
    pub removed: usize,
    /// Whether the whole store has been passed since the sweep last began at its start.
    pub finished: bool,
}

/// Why a store could not do what it was asked. Absence is never an error.
#[non_exhaustive]
#[derive(Debug)]
pub enum StoreError {
    /// The store cannot be reached or failed; whether a swap took place is unknown. The client
    /// gets a 503, its cookie is left alone, and nothing is minted.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// The store is full and nothing in it may be evicted: a new session is refused with 503.
    Full,
    /// The record is larger than this store takes.
    TooLarge,
    /// This store does not offer the optional method.
    Unsupported,
}

impl StoreError {
    /// An [`Unavailable`](Self::Unavailable) with its cause.
    pub fn unavailable(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable(_) => "the session store is unavailable",
            Self::Full => "the session store is full",
            Self::TooLarge => "the record is too large for the session store",
            Self::Unsupported => "the session store does not offer this",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unavailable(cause) => Some(&**cause),
            Self::Full | Self::TooLarge | Self::Unsupported => None,
        }
    }
}

/// Keeps records. Everything in the session contract rests on these methods keeping their word.
///
/// **Where it runs.** Methods are called on a request's coroutine, from many at once. They may
/// yield; they must not block the thread. A store made of blocking calls is wrapped in
/// `Blocking`, which moves each call to the pool.
///
/// **Time.** `now` is the caller's clock; times are kept to the millisecond, rounded down. A record whose `deadline <= now` does not exist: `load`
/// gives `None`, `swap(Version)` gives `Missing`, `swap(Absent)` creates in its place. Deleting
/// its bytes may wait for a sweep.
///
/// **Atomicity.** `swap` is one compare-and-swap: of two calls that expect the same state exactly
/// one is `Done`, across threads, processes and nodes that share the store. A reader sees the old
/// record or the new one, never a mixture, and never a record without a deadline. A record that
/// cannot be read back (damaged bytes, foreign data) is absent, with one warning; it is not an
/// error, and it does not come back.
///
/// **Panics.** A panic in a store fails the one request it served, like
/// [`StoreError::Unavailable`].
///
/// # Errors
/// Every method fails with [`StoreError::Unavailable`] when the answer is not known. "No such
/// record" is an answer, not an error.
#[expect(clippy::missing_errors_doc, reason = "the errors of all methods are above")]
pub trait SessionStore: Send + Sync + 'static {
    /// The record under `key`, if there is one and its deadline has not passed.
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError>;

    /// The records under several keys, in their order: what [`load`](Self::load) gives for each,
    /// not all at one moment. A store whose calls are dear (a round trip, a thread) does it in one.
    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        keys.iter().map(|key| self.load(key, now)).collect()
    }

    /// Replaces what is under `key` by `new` if it is what `expected` says; see [`Swap`].
    ///
    /// Acknowledged (`Ok(Swap::Done)`) means: survives a kill -9 of this process.
    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError>;

    /// Renews deadline and last-seen of the record with exactly this version, without a new
    /// version. Never creates.
    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError>;

    /// Deletes what is under `key`, whatever it is. True if there was a record.
    ///
    /// Only for housekeeping: ending a session is a swap to a tombstone, made above the store.
    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError>;

    /// Deletes expired records, looking at no more than `budget` of them; the next call goes on
    /// where this one stopped.
    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError>;

    /// Up to `limit` keys greater than `after` (all, from the start, with `None`), ascending, with
    /// their records. Optional.
    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let _ = (after, limit, now);
        Err(StoreError::Unsupported)
    }
}

/// The times a [`touch`](SessionStore::touch) writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// The new deadline.
    pub deadline: SystemTime,
    /// When the session was used.
    pub last_seen: SystemTime,
}
