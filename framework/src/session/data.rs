//! What a session holds: sorted keys, each with its value as CBOR bytes of its own.
//!
//! Reading a record only finds where each key and value lies; a value is decoded when it is asked
//! for, so one that cannot be decoded harms nobody who does not ask for it. What a request changes is
//! kept beside what was read: a clone shares the record and copies the changes.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::sync::Arc;

use smallvec::SmallVec;

/// Whose key it is: the same name may be used in each space without meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
    /// The application's values.
    User,
    /// Messages for the next page.
    Flash,
    /// What the framework keeps (the CSRF token); dropped on login.
    Framework,
}

impl Space {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::User),
            1 => Some(Self::Flash),
            2 => Some(Self::Framework),
            _ => None,
        }
    }
}

/// A key in its space. At most 255 bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) space: Space,
    pub(crate) name: Arc<str>,
}

/// Bytes of one value, shared between an operation and the states it was applied to.
pub(crate) type Value = Arc<[u8]>;

/// Sorted keys with their values: those of a record that was read, and what was changed since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Data {
    record: Option<Arc<Indexed>>,
    /// Sorted. A request that writes copies them twice, and most write one key.
    changes: SmallVec<[Change; 1]>,
    count: usize,
    entries_len: usize,
}

/// The bytes of a record, and where in them each entry begins.
#[derive(Debug)]
pub(crate) struct Indexed {
    bytes: Vec<u8>,
    /// Four bytes each, so that the few entries of most records need no block of their own, and
    /// the whole is a small one.
    entries: SmallVec<[u32; 6]>,
}

/// An entry of a record.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    space: Space,
    name: &'a [u8],
    value: &'a [u8],
    /// Where it ends in the record.
    end: usize,
}

/// What holds for a key in place of the record.
#[derive(Debug, Clone)]
struct Change {
    space: Space,
    name: Arc<str>,
    /// `None` if it was removed.
    value: Option<Value>,
}

/// Bytes an entry needs beside its name and value: space, length of the name, length of the value.
const ENTRY_BYTES: usize = 1 + 1 + 4;

impl Data {
    /// No keys.
    pub(crate) const EMPTY: Self =
        Self { record: None, changes: SmallVec::new_const(), count: 0, entries_len: 0 };

    /// Finds the keys in `record` from offset `at` to its end. `None` if that is not data.
    pub(crate) fn index(record: Vec<u8>, at: usize) -> Option<Self> {
        let bytes = record.get(at..)?;
        let count = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        // A count that the bytes cannot hold must not reserve memory.
        let mut entries = SmallVec::with_capacity(count.min(bytes.len() / ENTRY_BYTES));
        let (mut at, mut before) = (at + 4, None);
        for _ in 0..count {
            let entry = Entry::read(&record, at)?;
            std::str::from_utf8(entry.name).ok()?;
            if before.is_some_and(|before| before >= entry.key()) {
                return None;
            }
            before = Some(entry.key());
            // Fails beyond 4 GiB, which no record has.
            entries.push(u32::try_from(at).ok()?);
            at = entry.end;
        }
        let entries_len = bytes.len() - 4;
        let record = (at == record.len()).then(|| Arc::new(Indexed { bytes: record, entries }))?;
        Some(Self { record: Some(record), changes: SmallVec::new(), count, entries_len })
    }

    /// The record it was read from.
    pub(crate) fn record(&self) -> Option<&Arc<Indexed>> {
        self.record.as_ref()
    }

    /// Appends what [`index`](Self::index) reads.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&length(self.count));
        // What lies between two changes is copied as it is.
        let mut rest = self.record.as_deref().map(|record| (record, record.begin(0)));
        for change in &self.changes {
            if let Some((record, at)) = &mut rest {
                let (place, is_there) = record.place(change.key());
                let kept = *at..record.begin(place);
                out.extend_from_slice(record.bytes.get(kept).unwrap_or_default());
                *at = record.begin(place + usize::from(is_there));
            }
            change.encode(out);
        }
        if let Some((record, at)) = rest {
            out.extend_from_slice(record.bytes.get(at..).unwrap_or_default());
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub(crate) fn encoded_len(&self) -> usize {
        4 + self.entries_len
    }

    /// How many it would append with `value_len` bytes under `key`.
    pub(crate) fn len_with(&self, key: &Key, value_len: usize) -> usize {
        match self.get(key) {
            Some(value) => self.encoded_len() - value.len() + value_len,
            None => self.len_with_new(key, value_len),
        }
    }

    /// As [`len_with`](Self::len_with), for a key that is not there.
    pub(crate) fn len_with_new(&self, key: &Key, value_len: usize) -> usize {
        self.encoded_len() + ENTRY_BYTES + key.name.len() + value_len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&[u8]> {
        self.value(key.space, &key.name)
    }

    /// As [`get`](Self::get), for who has no [`Key`] of its own.
    pub(crate) fn value(&self, space: Space, name: &str) -> Option<&[u8]> {
        match self.find_change(space, name) {
            Ok(at) => self.changes[at].value.as_deref(),
            Err(_) => self.read(space, name),
        }
    }

    pub(crate) fn contains(&self, space: Space, name: &str) -> bool {
        self.value(space, name).is_some()
    }

    pub(crate) fn put(&mut self, key: &Key, value: Value) {
        self.entries_len += value.len();
        match self.change(key, Some(value)) {
            Some(before) => self.entries_len -= before,
            None => {
                self.entries_len += ENTRY_BYTES + key.name.len();
                self.count += 1;
            }
        }
    }

    /// True if the key was there.
    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        let is_there = self.get(key).is_some();
        if is_there && let Some(before) = self.change(key, None) {
            self.entries_len -= ENTRY_BYTES + key.name.len() + before;
            self.count -= 1;
        }
        is_there
    }

    /// Keeps only the keys of spaces `keep` says.
    pub(crate) fn retain(&mut self, keep: impl Fn(Space) -> bool) {
        for space in [Space::User, Space::Flash, Space::Framework] {
            if !keep(space) {
                let names: Vec<Arc<str>> = self.names(space).map(Arc::from).collect();
                for name in names {
                    self.remove(&Key { space, name });
                }
            }
        }
    }

    /// The names in one space, sorted.
    pub(crate) fn names(&self, space: Space) -> impl Iterator<Item = &str> {
        self.values(space).map(|(name, _)| name)
    }

    /// The names in one space, sorted, with their values.
    pub(crate) fn values(&self, space: Space) -> impl Iterator<Item = (&str, &[u8])> {
        let own = self.iter().filter(move |(other, _, _)| *other == space);
        own.map(|(_, name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    /// The key with the largest value, to be named when a record is too large.
    pub(crate) fn largest(&self) -> Option<&str> {
        let (_, name, _) = self.iter().max_by_key(|(_, _, value)| value.len())?;
        std::str::from_utf8(name).ok()
    }

    /// All keys with their values, sorted.
    fn iter(&self) -> impl Iterator<Item = (Space, &[u8], &[u8])> {
        let mut read = self.record.iter().flat_map(|record| record.iter()).peekable();
        let mut changes = self.changes.as_slice();
        std::iter::from_fn(move || {
            loop {
                let order = match (read.peek(), changes) {
                    (Some(entry), [change, ..]) => entry.key().cmp(&change.key()),
                    (Some(_), []) => Ordering::Less,
                    (None, _) => Ordering::Greater,
                };
                // A change takes the place of what was read.
                if order.is_le() {
                    let entry = read.next()?;
                    if order.is_lt() {
                        return Some((entry.space, entry.name, entry.value));
                    }
                }
                let change;
                (change, changes) = changes.split_first()?;
                if let Some(value) = &change.value {
                    return Some((change.space, change.name.as_bytes(), &**value));
                }
            }
        })
    }

    /// From now on `value` holds for `key`; gives the length of the one before.
    fn change(&mut self, key: &Key, value: Option<Value>) -> Option<usize> {
        match self.find_change(key.space, &key.name) {
            Ok(at) => {
                let before = std::mem::replace(&mut self.changes[at].value, value)?;
                Some(before.len())
            }
            Err(at) => {
                let before = self.read(key.space, &key.name).map(<[u8]>::len);
                let change = Change { space: key.space, name: Arc::clone(&key.name), value };
                self.changes.insert(at, change);
                before
            }
        }
    }

    /// What the record says, whatever was changed since.
    fn read(&self, space: Space, name: &str) -> Option<&[u8]> {
        self.record.as_ref()?.value(space, name)
    }

    fn find_change(&self, space: Space, name: &str) -> Result<usize, usize> {
        self.changes.binary_search_by(|change| change.key().cmp(&(space, name.as_bytes())))
    }
}

impl Indexed {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn value(&self, space: Space, name: &str) -> Option<&[u8]> {
        let (place, is_there) = self.place((space, name.as_bytes()));
        let at = self.entries.get(place).filter(|_| is_there)?;
        self.entry(*at).map(|entry| entry.value)
    }

    /// How many entries lie before a key, and whether the next one is its own.
    fn place(&self, key: (Space, &[u8])) -> (usize, bool) {
        let order = |at: &u32| Entry::read_key(&self.bytes, *at as usize).cmp(&Some(key));
        match self.entries.binary_search_by(order) {
            Ok(place) => (place, true),
            Err(place) => (place, false),
        }
    }

    /// Where an entry begins. The one after the last begins at the end.
    fn begin(&self, entry: usize) -> usize {
        self.entries.get(entry).map_or(self.bytes.len(), |at| *at as usize)
    }

    fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries.iter().filter_map(|at| self.entry(*at))
    }

    /// There is one at each offset of `entries`.
    fn entry(&self, at: u32) -> Option<Entry<'_>> {
        Entry::read(&self.bytes, at as usize)
    }
}

impl<'a> Entry<'a> {
    /// The entry that begins at `at`.
    fn read(record: &'a [u8], at: usize) -> Option<Self> {
        let (space, name) = Self::read_key(record, at)?;
        let value_len_at = at + 2 + name.len();
        let value_at = value_len_at + 4;
        let value_len = u32::from_be_bytes(*record.get(value_len_at..)?.first_chunk()?) as usize;
        let end = value_at.checked_add(value_len)?;
        Some(Self { space, name, value: record.get(value_at..end)?, end })
    }

    fn read_key(record: &'a [u8], at: usize) -> Option<(Space, &'a [u8])> {
        let name_end = at + 2 + usize::from(*record.get(at + 1)?);
        Some((Space::from_byte(*record.get(at)?)?, record.get(at + 2..name_end)?))
    }

    fn key(self) -> (Space, &'a [u8]) {
        (self.space, self.name)
    }
}

impl Change {
    fn key(&self) -> (Space, &[u8]) {
        (self.space, self.name.as_bytes())
    }

    /// Appends the entry it makes, if it makes one.
    fn encode(&self, out: &mut Vec<u8>) {
        let Some(value) = &self.value else { return };
        out.extend_from_slice(&[
            self.space as u8,
            u8::try_from(self.name.len()).unwrap_or(u8::MAX),
        ]);
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&length(value.len()));
        out.extend_from_slice(value);
    }
}

/// Equal when they hold the same keys and values, wherever the bytes lie.
impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}
