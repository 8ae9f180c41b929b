//! The contract of [`SessionStore`] as a suite that runs against any store. Each check asks for a
//! fresh store, states the sentence it checks, and fails with that sentence.

mod bytes;
mod quotas;
mod races;
mod swaps;
mod times;
mod walks;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::session::{Expected, SessionStore, StoreError, StoreKey, Stored, Swap};

pub use quotas::store_quota_conformance;

/// Runs every sentence of the [`SessionStore`] contract against a store.
///
/// `make` gives an **empty** store each time it is called, once for each check. The store is used
/// from plain threads, several at once. A store without [`list`](SessionStore::list) passes.
///
/// Times are handed in as `now`, close to the system's clock, so that a store whose server expires
/// records by itself passes as well, as long as it also compares the deadline with `now`.
///
/// # Panics
/// With the sentence that does not hold, if one does not.
///
/// # Examples
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
/// use std::time::SystemTime;
///
/// use maypole::session::{
///     Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch,
/// };
///
/// #[derive(Default)]
/// struct Memory(Mutex<BTreeMap<StoreKey, Stored>>);
///
/// impl SessionStore for Memory {
///     fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
///         Ok(self.0.lock().unwrap().get(key).filter(|found| found.deadline > now).cloned())
///     }
///
///     fn swap(
///         &self,
///         key: &StoreKey,
///         expected: Expected,
///         new: &Stored,
///         now: SystemTime,
///     ) -> Result<Swap, StoreError> {
///         let mut records = self.0.lock().unwrap();
///         let found = records.get(key).filter(|found| found.deadline > now);
///         match (found.map(|found| found.version), expected) {
///             (None, Expected::Version(_)) => return Ok(Swap::Missing),
///             (Some(_), Expected::Absent) => return Ok(Swap::Conflict),
///             (Some(found), Expected::Version(version)) if found != version => {
///                 return Ok(Swap::Conflict);
///             }
///             _ => records.insert(*key, new.clone()),
///         };
///         Ok(Swap::Done)
///     }
///
///     fn touch(
///         &self,
///         key: &StoreKey,
///         version: u64,
///         renewed: Renewed,
///         now: SystemTime,
///     ) -> Result<Touch, StoreError> {
///         let mut records = self.0.lock().unwrap();
///         let found = records.get_mut(key);
///         let live = found.filter(|found| found.deadline > now && found.version == version);
///         let Some(record) = live else { return Ok(Touch::Stale) };
///         record.deadline = renewed.deadline;
///         record.last_seen = renewed.last_seen;
///         record.evictable &= renewed.evictable;
///         Ok(Touch::Done)
///     }
///
///     fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
///         Ok(self.0.lock().unwrap().remove(key).is_some())
///     }
///
///     fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
///         // A real store remembers where it stopped; this one starts from expired records.
///         let mut records = self.0.lock().unwrap();
///         let expired = records.iter().filter(|(_, found)| found.deadline <= now);
///         let keys: Vec<_> = expired.map(|(key, _)| *key).take(budget).collect();
///         keys.iter().for_each(|key| drop(records.remove(key)));
///         let finished = keys.len() < budget;
///         Ok(Swept { examined: keys.len(), removed: keys.len(), finished })
///     }
/// }
///
/// maypole::testing::store_conformance(Memory::default);
/// ```
pub fn store_conformance<S: SessionStore>(make: impl Fn() -> S) {
    let checks: &[fn(&Subject<S>)] = &[
        swaps::absent_then_present,
        swaps::conflict_changes_nothing,
        swaps::a_version_never_creates,
        swaps::remove_deletes_whatever_is_there,
        swaps::keys_do_not_touch_each_other,
        swaps::versions_are_the_callers,
        bytes::every_size_comes_back,
        bytes::a_record_grows_and_shrinks,
        bytes::flags_and_times_come_back,
        times::a_passed_deadline_is_absence,
        times::an_expired_record_is_replaced,
        times::touch_renews_and_changes_nothing_else,
        times::touch_takes_the_mark_off_and_never_sets_it,
        times::a_stale_touch_changes_nothing,
        walks::sweep_deletes_only_the_expired,
        walks::sweep_keeps_to_its_budget,
        walks::list_is_ascending_and_limited,
        races::parallel_increments_are_all_there,
        races::one_of_many_creators_wins,
        races::a_removed_record_stays_removed,
        races::touches_do_not_undo_swaps,
        races::a_sweep_spares_a_renewed_record,
        races::readers_see_whole_records,
    ];
    for check in checks {
        check(&Subject { store: make(), now: base() });
    }
}

/// The store under test, with the words the checks are written in.
struct Subject<S> {
    store: S,
    now: SystemTime,
}

impl<S: SessionStore> Subject<S> {
    fn load(&self, key: &StoreKey) -> Option<Stored> {
        self.load_at(key, self.now)
    }

    fn load_at(&self, key: &StoreKey, now: SystemTime) -> Option<Stored> {
        answer(self.store.load(key, now), "load answers")
    }

    fn swap(&self, key: &StoreKey, expected: Expected, new: &Stored) -> Swap {
        answer(self.store.swap(key, expected, new, self.now), "swap answers")
    }

    fn create(&self, key: &StoreKey, new: &Stored) {
        let created = self.swap(key, Expected::Absent, new);
        assert_eq!(created, Swap::Done, "contract: swap(Absent) creates where nothing is");
    }

    /// A record with these bytes that lives for an hour.
    fn record(&self, version: u64, bytes: impl Into<Vec<u8>>) -> Stored {
        Stored {
            bytes: bytes.into(),
            version,
            deadline: self.now + HOUR,
            last_seen: self.now,
            evictable: false,
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// Now, in whole milliseconds: the precision a store keeps.
fn base() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs()) + Duration::from_millis(123)
}

/// A key nobody used before, in this process or (by the hour) in an earlier one.
fn fresh_key() -> StoreKey {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut state = NEXT.fetch_add(1, Ordering::Relaxed) ^ u64::from(std::process::id()) << 32;
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        // The finaliser of splitmix64: spreads the keys over the whole range.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// The answer of a store that is up.
#[expect(clippy::panic, reason = "a conformance suite tells by panicking what does not hold")]
fn answer<T>(result: Result<T, StoreError>, sentence: &str) -> T {
    match result {
        Ok(answer) => answer,
        Err(error) => panic!("contract: {sentence}; the store failed: {}", chain(&error)),
    }
}

/// Compares without printing 64 KiB of bytes when it fails.
#[track_caller]
fn assert_same(found: Option<&Stored>, wanted: Option<&Stored>, sentence: &str) {
    if found != wanted {
        assert_eq!(Brief(found), Brief(wanted), "contract: {sentence}");
    }
    assert!(found == wanted, "contract: {sentence} (the bytes differ)");
}

#[derive(PartialEq)]
struct Brief<'a>(Option<&'a Stored>);

impl fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Stored { bytes, version, deadline, last_seen, evictable }) = self.0 else {
            return f.write_str("no record");
        };
        let start = bytes.get(..bytes.len().min(16)).unwrap_or_default();
        write!(f, "version {version}, {} bytes {start:02x?}.., ", bytes.len())?;
        write!(f, "deadline {deadline:?}, last seen {last_seen:?}, evictable {evictable}")
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
