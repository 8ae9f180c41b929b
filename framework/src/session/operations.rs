//! The changes a request records, and what each does to the data of a session.
//!
//! Pure. An operation is applied once to what the request loaded, so that the handler reads its own
//! writes, and again at commit to whatever the store holds by then: that is why nothing is lost.

mod cbor;
#[cfg(test)]
mod tests;

use std::any::type_name;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use smallvec::SmallVec;

use super::data::{Data, Key, Space, Value};
use crate::error::{Error, ErrorKind, Result};

pub(crate) use cbor::array_len;

/// Nesting of a value that is read. Each level costs stack, and values may be built from what a
/// client sent.
const MAX_DEPTH: usize = 64;
/// Bytes of a value that is read without a large buffer; no more than levels are allowed.
const SHORT: usize = MAX_DEPTH;

/// Turns the value there is (if any) into the new one. Pure: it may run several times.
pub(crate) type UpdateFn = Box<dyn Fn(Option<&[u8]>) -> Result<Value> + Send>;

/// One recorded change.
pub(crate) enum Operation {
    Set {
        key: Key,
        value: Value,
    },
    Remove {
        key: Key,
    },
    Merge {
        key: Key,
        map: ciborium::Value,
    },
    Update {
        key: Key,
        update: UpdateFn,
    },
    Increment {
        key: Key,
        by: i64,
    },
    Push {
        key: Key,
        item: Value,
    },
    /// Drops the application's values and messages.
    Clear,
    /// Drops what the framework keeps: the CSRF token of before a login is known to whoever could
    /// read the page then.
    ClearFramework,
}

/// What an operation comes to on some data.
pub(crate) enum Effect<'a> {
    Put(&'a Key, Value),
    Remove(&'a Key),
    Clear,
    ClearFramework,
}

impl Operation {
    /// What this operation does to `data`; changes nothing yet.
    ///
    /// # Errors
    /// `SessionValue` if the value there has another type than the operation needs.
    pub(crate) fn effect<'a>(&'a self, data: &Data) -> Result<Effect<'a>> {
        Ok(match self {
            Self::Set { key, value } => Effect::Put(key, Value::clone(value)),
            Self::Remove { key } => Effect::Remove(key),
            Self::Merge { key, map } => Effect::Put(key, merged(&key.name, data.get(key), map)?),
            Self::Update { key, update } => Effect::Put(key, update(data.get(key))?),
            Self::Increment { key, by } => {
                Effect::Put(key, cbor::written(incremented(&key.name, data.get(key), *by)?))
            }
            Self::Push { key, item } => {
                Effect::Put(key, cbor::pushed(&key.name, data.get(key), item)?)
            }
            Self::Clear => Effect::Clear,
            Self::ClearFramework => Effect::ClearFramework,
        })
    }

    /// The key it changes; `None` means all.
    pub(crate) fn key(&self) -> Option<&Key> {
        match self {
            Self::Set { key, .. }
            | Self::Remove { key }
            | Self::Merge { key, .. }
            | Self::Update { key, .. }
            | Self::Increment { key, .. }
            | Self::Push { key, .. } => Some(key),
            Self::Clear | Self::ClearFramework => None,
        }
    }
}

impl fmt::Debug for Operation {
    /// Shows verb and key, never a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::Set { .. } => "set",
            Self::Remove { .. } => "remove",
            Self::Merge { .. } => "merge",
            Self::Update { .. } => "update",
            Self::Increment { .. } => "increment",
            Self::Push { .. } => "push",
            Self::Clear => "clear",
            Self::ClearFramework => "clear framework",
        };
        write!(f, "{verb}({})", self.key().map_or("", |key| &key.name))
    }
}

impl Effect<'_> {
    /// The encoded length of `data` after this, or an upper bound of it. Whether a value is replaced
    /// is looked up only where that decides whether it is more than `max`.
    pub(crate) fn len_after(&self, data: &Data, max: usize) -> usize {
        match self {
            Self::Put(key, value) => {
                let bound = data.len_with_new(key, value.len());
                if bound <= max { bound } else { data.len_with(key, value.len()) }
            }
            Self::Remove(_) | Self::Clear | Self::ClearFramework => data.encoded_len(),
        }
    }

    pub(crate) fn apply(self, data: &mut Data) {
        match self {
            Self::Put(key, value) => data.put(key, value),
            Self::Remove(key) => {
                data.remove(key);
            }
            Self::Clear => data.retain(|space| space == Space::Framework),
            Self::ClearFramework => data.retain(|space| space != Space::Framework),
        }
    }
}

/// Applies all operations in order.
///
/// # Errors
/// The first error of an operation; `data` is then half changed and to be thrown away.
pub(crate) fn apply<'a>(
    operations: impl IntoIterator<Item = &'a Operation>,
    data: &mut Data,
) -> Result<()> {
    for operation in operations {
        operation.effect(data)?.apply(data);
    }
    Ok(())
}

/// The bytes of a value.
///
/// # Errors
/// `SessionValue`, naming `key`, if `value` refuses to be serialized, or is nested so deeply that it
/// could not be read again.
pub(crate) fn encode<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Value> {
    let mut bytes = SmallVec::<[u8; SHORT]>::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| {
        let what = format!("the value for session key {key:?} cannot be stored");
        let error_of_key = Error::new(ErrorKind::SessionValue, what);
        match error {
            ciborium::ser::Error::Value(why) => error_of_key.caused_by(why),
            ciborium::ser::Error::Io(why) => error_of_key.caused_by(why),
        }
    })?;
    if cbor::may_be_deep(&bytes) {
        decode::<IgnoredAny>(key, &bytes).map_err(|_| {
            let what = format!(
                "the value for session key {key:?} is nested deeper than {MAX_DEPTH} levels"
            );
            Error::new(ErrorKind::SessionValue, what)
        })?;
    }
    Ok(Value::from(bytes.as_slice()))
}

/// The value in `bytes`.
///
/// # Errors
/// `SessionValue`, naming `key`, expected type and what is there. That is named by its kind only:
/// values do not belong in a log.
pub(crate) fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    let mut rest = bytes;
    // ciborium's own buffer is 4 KiB, zeroed for each value; a short value needs none of that, and
    // cannot be nested deeper than it has bytes.
    let value = if bytes.len() <= SHORT {
        ciborium::de::from_reader_with_buffer(&mut rest, &mut [0; SHORT])
    } else {
        ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
    };
    match value {
        Ok(value) if rest.is_empty() => Ok(value),
        _ => Err(wrong_type(key, type_name::<T>(), bytes)),
    }
}

fn wrong_type(key: &str, expected: &str, found: &[u8]) -> Error {
    let what = format!(
        "the value of session key {key:?} has another type: expected {expected}, found {}",
        cbor::kind(found)
    );
    Error::new(ErrorKind::SessionValue, what)
}

/// The integer in `bytes`; as [`decode`], with a short way for what is written nearly always.
pub(crate) fn number(key: &str, bytes: &[u8]) -> Result<i64> {
    cbor::number(bytes).map_or_else(|| decode(key, bytes), Ok)
}

fn incremented(key: &str, value: Option<&[u8]>, by: i64) -> Result<i64> {
    let value = value.map_or(Ok(0), |bytes| number(key, bytes))?;
    value.checked_add(by).ok_or_else(|| {
        let what = format!("session key {key:?} cannot be incremented beyond 64 bits");
        Error::new(ErrorKind::SessionValue, what)
    })
}

fn merged(key: &str, value: Option<&[u8]>, map: &ciborium::Value) -> Result<Value> {
    let Some(bytes) = value else {
        return encode(key, map);
    };
    let mut value: ciborium::Value = decode(key, bytes)?;
    if !value.is_map() {
        return Err(wrong_type(key, "a map", bytes));
    }
    cbor::join(&mut value, map);
    encode(key, &value)
}
