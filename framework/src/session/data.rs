//! What a session holds: sorted keys, each with its value as CBOR bytes of its own.
//!
//! Reading a record only finds where each key and value lies; a value is decoded when it is asked
//! for, so one that cannot be decoded harms nobody who does not ask for it. A clone shares the bytes.

use std::sync::Arc;

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

/// Sorted keys with their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Data {
    record: Option<Arc<Vec<u8>>>,
    entries: Vec<Entry>,
    encoded_len: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    space: Space,
    name: Part,
    value: Part,
}

#[derive(Debug, Clone)]
enum Part {
    /// A stretch of the record the data was read from.
    InRecord {
        start: usize,
        end: usize,
    },
    Name(Arc<str>),
    Value(Value),
}

/// Bytes an entry needs beside its name and value: space, length of the name, length of the value.
const ENTRY_BYTES: usize = 1 + 1 + 4;

impl Data {
    /// No keys.
    pub(crate) const EMPTY: Self = Self { record: None, entries: Vec::new(), encoded_len: 0 };

    /// Finds the keys in `record` from offset `at` to its end. `None` if that is not data.
    pub(crate) fn index(record: Vec<u8>, at: usize) -> Option<Self> {
        let bytes = record.get(at..)?;
        let count = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        // A count that the bytes cannot hold must not reserve memory.
        let mut entries = Vec::with_capacity(count.min(bytes.len() / ENTRY_BYTES));
        let mut at = at + 4;
        for _ in 0..count {
            let space = Space::from_byte(*record.get(at)?)?;
            let name_at = at + 2;
            let name_end = name_at + usize::from(*record.get(at + 1)?);
            std::str::from_utf8(record.get(name_at..name_end)?).ok()?;
            let value_at = name_end + 4;
            let value_len = u32::from_be_bytes(*record.get(name_end..)?.first_chunk()?) as usize;
            let value_end = value_at.checked_add(value_len)?;
            record.get(value_at..value_end)?;
            let name = Part::InRecord { start: name_at, end: name_end };
            let value = Part::InRecord { start: value_at, end: value_end };
            if let Some(Entry { space: before, name: Part::InRecord { start, end }, .. }) =
                entries.last()
                && (*before, record.get(*start..*end)?) >= (space, record.get(name_at..name_end)?)
            {
                return None;
            }
            entries.push(Entry { space, name, value });
            at = value_end;
        }
        let encoded_len = bytes.len() - 4;
        (at == record.len()).then(|| Self { record: Some(Arc::new(record)), entries, encoded_len })
    }

    /// Appends what [`index`](Self::index) reads.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&length(self.entries.len()));
        for entry in &self.entries {
            let (name, value) = (self.bytes(&entry.name), self.bytes(&entry.value));
            out.push(entry.space as u8);
            out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(name);
            out.extend_from_slice(&length(value.len()));
            out.extend_from_slice(value);
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub(crate) fn encoded_len(&self) -> usize {
        4 + self.encoded_len
    }

    /// How many it would append with `value_len` bytes under `key`.
    pub(crate) fn len_with(&self, key: &Key, value_len: usize) -> usize {
        let others = match self.get(key) {
            Some(value) => self.encoded_len() - value.len(),
            None => self.encoded_len() + ENTRY_BYTES + key.name.len(),
        };
        others + value_len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&[u8]> {
        self.find(key.space, &key.name).ok().map(|at| self.bytes(&self.entries[at].value))
    }

    pub(crate) fn contains(&self, space: Space, name: &str) -> bool {
        self.find(space, name).is_ok()
    }

    pub(crate) fn put(&mut self, key: &Key, value: Value) {
        self.encoded_len += value.len();
        match self.find(key.space, &key.name) {
            Ok(at) => {
                self.encoded_len -= self.bytes(&self.entries[at].value).len();
                self.entries[at].value = Part::Value(value);
            }
            Err(at) => {
                self.encoded_len += ENTRY_BYTES + key.name.len();
                let name = Part::Name(Arc::clone(&key.name));
                self.entries
                    .insert(at, Entry { space: key.space, name, value: Part::Value(value) });
            }
        }
    }

    /// True if the key was there.
    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        let Ok(at) = self.find(key.space, &key.name) else {
            return false;
        };
        let entry = self.entries.remove(at);
        self.encoded_len -= self.entry_len(&entry);
        true
    }

    /// Keeps only the keys of spaces `keep` says.
    pub(crate) fn retain(&mut self, keep: impl Fn(Space) -> bool) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| keep(entry.space));
        self.encoded_len = entries.iter().map(|entry| self.entry_len(entry)).sum();
        self.entries = entries;
    }

    /// The names in one space, sorted.
    pub(crate) fn names(&self, space: Space) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(move |entry| entry.space == space)
            .map(|entry| std::str::from_utf8(self.bytes(&entry.name)).unwrap_or_default())
    }

    /// The names in one space, sorted, with their values.
    pub(crate) fn values(&self, space: Space) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().filter(move |entry| entry.space == space).map(|entry| {
            let name = std::str::from_utf8(self.bytes(&entry.name)).unwrap_or_default();
            (name, self.bytes(&entry.value))
        })
    }

    /// The key with the largest value, to be named when a record is too large.
    pub(crate) fn largest(&self) -> Option<&str> {
        let largest = self.entries.iter().max_by_key(|entry| self.bytes(&entry.value).len())?;
        std::str::from_utf8(self.bytes(&largest.name)).ok()
    }

    fn find(&self, space: Space, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| {
            (entry.space, self.bytes(&entry.name)).cmp(&(space, name.as_bytes()))
        })
    }

    fn entry_len(&self, entry: &Entry) -> usize {
        ENTRY_BYTES + self.bytes(&entry.name).len() + self.bytes(&entry.value).len()
    }

    fn bytes<'a>(&'a self, part: &'a Part) -> &'a [u8] {
        match part {
            Part::InRecord { start, end } => {
                self.record.as_ref().and_then(|record| record.get(*start..*end)).unwrap_or_default()
            }
            Part::Name(name) => name.as_bytes(),
            Part::Value(value) => value,
        }
    }
}

/// Equal when they hold the same keys and values, wherever the bytes lie.
impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        self.encode(&mut mine);
        other.encode(&mut others);
        mine == others
    }
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}
