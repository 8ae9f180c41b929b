//! The contract between sessions and whatever keeps their bytes.
//!
//! A store keeps opaque bytes with a version and a deadline. It knows no HTTP, no cookie, no merge,
//! no lock and no user: those are built above it, once, from [`swap`](SessionStore::swap).

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
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
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != 32 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit_value(*high)? << 4 | digit_value(*low)?;
        }
        Some(Self(bytes))
    }

    /// The 64 hex digits. In one piece: a `{:02x}` for each byte costs six thousand instructions,
    /// and redis is told the key at every load and save.
    pub(crate) fn hex(&self) -> [u8; 64] {
        let mut digits = [0; 64];
        let (pairs, _) = digits.as_chunks_mut::<2>();
        for ([high, low], byte) in pairs.iter_mut().zip(self.0) {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
        digits
    }

    /// The first 8 hex digits: what logs show of a session.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

/// The lower-case hex digit of a value below 16.
const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

const fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
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
    /// Whether a full store may drop this record to make room: an anonymous session seen once. One
    /// that is created with this mark is a newcomer, and the only one whom a quota refuses.
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
    /// Deadline, last-seen and the mark are renewed; bytes and version are as they were.
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
    /// The store cannot be reached or failed; whether a swap took place is unknown, so the record
    /// is looked at and the swap tried again. The client gets a 503 if that fails too, its cookie
    /// is left alone, and nothing is minted.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// The store cannot do it now, and **surely** changed nothing under this key: the call was never
    /// sent, or failed before the first write, or what it wrote is gone again. Also later nothing
    /// may come of it, after a crash and a restart included; with the least doubt it is
    /// [`Unavailable`](Self::Unavailable). The client gets a 503 at once, and its cookie is left
    /// alone. Of calls that change nothing, and of [`settle`](SessionStore::settle), it says no
    /// more than `Unavailable` does.
    Refused(Box<dyn StdError + Send + Sync>),
    /// The store is full and nothing in it may be evicted: a new session is refused with 503. A
    /// quota says it to anonymous newcomers only; see [`SessionStore`].
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

    /// A [`Refused`](Self::Refused) with its cause.
    ///
    /// # Examples
    /// ```
    /// use std::fs::File;
    /// use maypole::session::StoreError;
    ///
    /// // Before the first write: it cannot have changed anything.
    /// let file = File::open("/no/such/file").map_err(StoreError::refused);
    /// assert!(matches!(file, Err(StoreError::Refused(_))));
    /// ```
    pub fn refused(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused(cause.into())
    }

    /// The same failure of a step that followed a write: what was refused then is not the write.
    pub(crate) fn after_a_write(self) -> Self {
        match self {
            Self::Refused(cause) => Self::Unavailable(cause),
            error => error,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable(_) => "the session store is unavailable",
            Self::Refused(_) => "the session store cannot do it now; it changed nothing",
            Self::Full => "the session store is full",
            Self::TooLarge => "the record is too large for the session store",
            Self::Unsupported => "the session store does not offer this",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unavailable(cause) | Self::Refused(cause) => Some(&**cause),
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
/// **Quotas.** A store may bound what it keeps. Such a bound refuses newcomers only, that is
/// `swap(Absent)` with a record that is [`evictable`](Stored::evictable), with
/// [`StoreError::Full`]; only records that are evictable are dropped to let one in. All else goes
/// on beyond the bound, so that nobody loses what he has: records grow, and others are created. Each
/// of these belongs to a session or a user that is there: the new id of a session, whose old one is
/// a tombstone from then on and gone after a minute or the grace time; one lock a session; one index
/// and one epoch a user, and his sessions, of which `max_sessions_per_user` says how many.
/// [`store_quota_conformance`](crate::testing::store_quota_conformance) checks it.
///
/// **Panics.** A panic in a store is taken for [`StoreError::Unavailable`]: whether the call was
/// carried out is unknown.
///
/// # Errors
/// Every method fails with [`StoreError::Unavailable`] when the answer is not known. "No such
/// record" is an answer, not an error. A store that knows that it changed nothing may say so with
/// [`StoreError::Refused`]; one that does not tell the two apart is right with `Unavailable`.
#[expect(clippy::missing_errors_doc, reason = "the errors of all methods are above")]
pub trait SessionStore: Send + Sync + 'static {
    /// The record under `key`, if there is one and its deadline has not passed.
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError>;

    /// What [`load`](Self::load) gives, if that is known without waiting for anything; `None` if not,
    /// which is the default. [`Blocking`](super::Blocking) asks here before it goes to the pool.
    fn load_now(
        &self,
        key: &StoreKey,
        now: SystemTime,
    ) -> Option<Result<Option<Stored>, StoreError>> {
        let _ = (key, now);
        None
    }

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
    /// version, and takes the mark [`evictable`](Renewed::evictable) off it if told so. Never
    /// creates.
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

    /// Returns when no reader of this store, on any node, is given a state of `key` that is older
    /// than what it holds now. Called after a session was ended, revoked or got another id, before
    /// the response leaves. A store without copies elsewhere has nothing to do, which is the
    /// default; one that keeps copies (memory in front of a server) or replicas waits for them here.
    ///
    /// An error, whichever, means that this is not known; the change itself stands.
    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        let _ = key;
        Ok(())
    }

    /// Drops the copies of `key` that this store keeps, so that the next [`load`](Self::load) gives
    /// the present state, whatever other processes did. Called where a session is loaded once more:
    /// by `reload`, and when its lock was taken. A store without copies has nothing to do, which
    /// is the default.
    fn forget(&self, key: &StoreKey) {
        let _ = key;
    }

    /// From now on tells `listener` of changes that other processes make to the keys that are
    /// [followed](Self::follow); of changes by this process it may. Called once, at start.
    /// Optional: true if the store can do it. Without it a change made by another process is seen
    /// by those who load the record again.
    fn watch(&self, listener: Arc<dyn ChangeListener>) -> bool {
        let _ = listener;
        false
    }

    /// Begins or ends the interest of the [watching](Self::watch) listener in `key`. Neither waits
    /// nor fails: what cannot be followed just now is followed as soon as it can, after a call of
    /// [`ChangeListener::missed`].
    fn follow(&self, key: &StoreKey, is_followed: bool) {
        let _ = (key, is_followed);
    }
}

/// Hears from a store what other processes changed; see [`SessionStore::watch`].
///
/// It is called on any thread or coroutine of the store's, must not wait there, and may be told of
/// one change several times.
pub trait ChangeListener: Send + Sync + 'static {
    /// The record under `key` has this version now, or one after it.
    fn changed(&self, key: &StoreKey, version: u64);

    /// Some changes may not have been told: every followed key is to be looked at again.
    fn missed(&self);
}

/// What a [`touch`](SessionStore::touch) writes beside the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// The new deadline.
    pub deadline: SystemTime,
    /// When the session was used.
    pub last_seen: SystemTime,
    /// Whether an [evictable](Stored::evictable) record stays so. False takes the mark off for good;
    /// true leaves it as it is and **never sets it**, since the touch may come late.
    pub evictable: bool,
}

#[cfg(test)]
mod tests {
    use super::StoreKey;

    #[test]
    fn a_key_is_written_as_64_digits_and_read_back() {
        let mut bytes = [0; 32];
        bytes[..5].copy_from_slice(&[0x00, 0x09, 0xa0, 0x9f, 0xff]);
        let key = StoreKey::from_bytes(bytes);
        let hex = key.to_string();
        assert_eq!(hex, format!("0009a09fff{}", "0".repeat(54)));
        assert_eq!(StoreKey::from_hex(&hex), Some(key));
        for wrong in [&hex[1..], &hex[2..], &format!("{hex}00"), &hex.to_uppercase(), "", "0"] {
            assert_eq!(StoreKey::from_hex(wrong), None, "{wrong}");
        }
        for wrong in ["g", "`", "/", ":", "+", "é"] {
            let filled = format!("{wrong}{}", &hex[wrong.len()..]);
            assert_eq!(StoreKey::from_hex(&filled), None, "{filled}");
        }
    }
}
