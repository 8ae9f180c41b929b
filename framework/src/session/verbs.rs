//! The verbs that read and write values.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::data::{Key, Space};
use super::id::Handle;
use super::in_use;
use super::manager::{Manager, Saved};
use super::operations::{self, Operation};
use super::session::Session;
use super::state::Open;
use crate::error::{Error, ErrorKind, Result};

/// Keys have one byte for their length in a record.
const MAX_KEY_BYTES: usize = 255;

impl Session {
    /// The value under `key`, with this request's own changes; `None` if there is none. A number is
    /// read as it was stored: an integer is no `f64`, and 2.0 no integer.
    ///
    /// # Errors
    /// `SessionValue` if the value is no `T`: it names key, expected and found; other keys stay
    /// usable. And the errors of every verb (see [`Session`]).
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        check_length(key)?;
        self.with(|open, _| {
            let value = open.data().value(Space::User, key);
            value.map(|bytes| operations::decode(key, bytes)).transpose()
        })
    }

    /// The value under `key`, or `default` if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_or<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// Puts `value` under `key`, whole. Of two requests that set one key at once the last commit
    /// wins; to change a value use [`update`](Self::update), [`increment`](Self::increment),
    /// [`push`](Self::push) or [`merge`](Self::merge), which lose nothing.
    ///
    /// # Errors
    /// `SessionValue` if `value` cannot be stored or `key` is longer than 255 bytes;
    /// `SessionTooLarge` if the session would outgrow `max_session_bytes`.
    pub fn set(&self, key: &str, value: impl Serialize) -> Result<()> {
        self.set_in(Space::User, key, &value)
    }

    /// Changes the value under `key` by `change`, starting from the default if there is none, and
    /// returns the provisional result (what was loaded, with this request's changes).
    ///
    /// `change` runs again at commit if another request was faster, so it must be pure. It must not
    /// use the session: a verb of it would be a `SessionInUse` error, and [`session()`] and
    /// [`request()`] find no request.
    ///
    /// [`session()`]: crate::session()
    /// [`request()`]: crate::request()
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`set`](Self::set).
    pub fn update<T, F>(&self, key: &str, change: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Default,
        F: Fn(&mut T) + Send + 'static,
    {
        let key = user_key(key)?;
        let its_key = key.clone();
        let update = Box::new(move |bytes: Option<&[u8]>| {
            let mut value = match bytes {
                Some(bytes) => operations::decode(&its_key.name, bytes)?,
                None => T::default(),
            };
            in_use::run(|| change(&mut value));
            operations::encode(&its_key.name, &value)
        });
        self.write_and_read(&key, Operation::Update { key: key.clone(), update })
    }

    /// Adds `by` to the number under `key` (0 if there is none) and returns the provisional sum.
    /// Every increment of every request counts.
    ///
    /// # Errors
    /// `SessionValue` if the value is no integer or the sum exceeds 64 bits; and as
    /// [`set`](Self::set).
    pub fn increment(&self, key: &str, by: i64) -> Result<i64> {
        let operation = Operation::Increment { key: user_key(key)?, by };
        self.with(|open, manager| {
            write(open, manager, operation)?;
            operations::number(key, open.data().value(Space::User, key).unwrap_or_default())
        })
    }

    /// Appends `item` to the list under `key` (an empty one if there is none) and returns its
    /// provisional length. Every push of every request is kept.
    ///
    /// # Errors
    /// `SessionValue` if the value is no list; and as [`set`](Self::set).
    pub fn push(&self, key: &str, item: impl Serialize) -> Result<usize> {
        let (own_key, item) = (user_key(key)?, operations::encode(key, &item)?);
        let operation = Operation::Push { key: own_key, item };
        self.with(|open, manager| {
            write(open, manager, operation)?;
            let list = open.data().value(Space::User, key);
            let len = list.and_then(operations::array_len).unwrap_or_default();
            Ok(usize::try_from(len).unwrap_or(usize::MAX))
        })
    }

    /// Joins `map` (a struct or a map) into the map under `key`, leaf by leaf: leaves that other
    /// requests write at once survive, where both write one leaf the last commit wins.
    ///
    /// # Errors
    /// `SessionValue` if `map` or the value there is no map; and as [`set`](Self::set).
    pub fn merge(&self, key: &str, map: impl Serialize) -> Result<()> {
        let key = user_key(key)?;
        let bytes = operations::encode(&key.name, &map)?;
        let map: ciborium::Value = operations::decode(&key.name, &bytes)?;
        if !map.is_map() {
            let what = format!("session key {:?}: only a map can be merged", key.name);
            return Err(Error::new(ErrorKind::SessionValue, what));
        }
        self.write(Operation::Merge { key, map })
    }

    /// Removes the value under `key` from the stored session *at once* and returns it: of any
    /// number of requests exactly one gets it. A later error or panic does not give it back.
    ///
    /// # Errors
    /// As [`get`](Self::get); `SessionValue` if the value is no `T`, which is then left in place.
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.take_in(&user_key(key)?)
    }

    /// Removes the value under `key`, if there is one.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn remove(&self, key: &str) -> Result<()> {
        let key = user_key(key)?;
        self.write(Operation::Remove { key })
    }

    /// Whether there is a value under `key`.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn contains(&self, key: &str) -> Result<bool> {
        self.with(|open, _| Ok(open.data().contains(Space::User, key)))
    }

    /// All keys, sorted.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn keys(&self) -> Result<BTreeSet<String>> {
        self.with(|open, _| Ok(open.data().names(Space::User).map(str::to_owned).collect()))
    }

    /// Removes all values and flash messages; the session itself stays.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn clear(&self) -> Result<()> {
        self.write(Operation::Clear)
    }

    /// Commits the changes so far, now. They stay even if the handler fails later; reads then see
    /// the committed state. Streams and WebSockets need it for what they change after the response
    /// head.
    ///
    /// # Errors
    /// `SessionGone` if the session was ended meanwhile: nothing is stored. `StoreUnavailable`,
    /// `StoreFull`, `Overloaded`, `SessionConflict`, `SessionTooLarge`: nothing is stored, the
    /// changes stay recorded. `SessionClosed` for a new session after the response head, when no
    /// cookie can be sent any more.
    pub fn save(&self) -> Result<()> {
        self.with_state(|state, manager| {
            let (addr, head_sent) = (state.addr, state.head_sent);
            match manager.save(manager.loaded(state)?, addr, head_sent)? {
                Saved::Done => Ok(()),
                Saved::Gone => {
                    let what = "the session was ended while this request ran";
                    Err(Error::new(ErrorKind::SessionGone, what))
                }
            }
        })
    }

    /// Loads the store's present state. Changes of this request that are not saved yet stay and
    /// are applied on top.
    ///
    /// # Errors
    /// As [`get`](Self::get); `SessionValue` if an operation no longer fits the value it meets.
    pub fn reload(&self) -> Result<()> {
        self.with(|open, manager| manager.reload(open))
    }

    /// Takes the lock of the session for the rest of the request, and loads the session again: until
    /// the commit, other requests that lock it wait, so that even a `get` followed by a `set` loses
    /// nothing. Requests that do not lock are not excluded; their `increment`s and the like still
    /// all count.
    ///
    /// The coroutine waits, in turn with others of this process, never the worker. A holder that
    /// died, or took longer than `[session] lock_lease` (30 s), loses the lock to the next; if it commits
    /// after that it gets `SessionConflict`, and nothing is stored. A session that is not stored
    /// yet is nobody else's: there is nothing to wait for.
    ///
    /// # Errors
    /// `SessionConflict` (503) if the lock did not come within twice the lease. And the errors of
    /// every verb (see [`Session`]).
    pub fn lock(&self) -> Result<()> {
        self.with(|open, manager| manager.lock(open))
    }

    /// How long the stored session lives if nobody uses it again; `None` if none is stored.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn expires_in(&self) -> Result<Option<Duration>> {
        self.with(|open, manager| {
            let now = manager.clock.now();
            let left = |deadline: std::time::SystemTime| deadline.duration_since(now);
            Ok(open.visible_base().map(|base| left(base.deadline).unwrap_or_default()))
        })
    }

    /// The public name of the session, for lists of devices; `None` until it is stored.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn handle(&self) -> Result<Option<Handle>> {
        self.with(|open, _| Ok(open.visible_base().map(|base| base.record.handle)))
    }

    pub(super) fn set_in<T: Serialize + ?Sized>(
        &self,
        space: Space,
        name: &str,
        value: &T,
    ) -> Result<()> {
        let key = key_in(space, name)?;
        let value = operations::encode(name, value)?;
        self.write(Operation::Set { key, value })
    }

    pub(super) fn take_in<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>> {
        self.with(|open, manager| {
            // A value that is no T stays for whoever knows its type.
            if let Some(bytes) = open.get(key) {
                operations::decode::<T>(&key.name, bytes)?;
            }
            let taken = manager.take(open, key)?;
            taken.map(|bytes| operations::decode(&key.name, &bytes)).transpose()
        })
    }

    pub(super) fn write(&self, operation: Operation) -> Result<()> {
        self.with(|open, manager| write(open, manager, operation))
    }

    fn write_and_read<T: DeserializeOwned>(&self, key: &Key, operation: Operation) -> Result<T> {
        self.with(|open, manager| {
            write(open, manager, operation)?;
            operations::decode(&key.name, open.get(key).unwrap_or_default())
        })
    }
}

fn write(open: &mut Open, manager: &Manager, operation: Operation) -> Result<()> {
    open.write(operation, manager.settings.max_session_bytes)
}

fn user_key(name: &str) -> Result<Key> {
    key_in(Space::User, name)
}

pub(super) fn key_in(space: Space, name: &str) -> Result<Key> {
    check_length(name)?;
    Ok(Key { space, name: name.into() })
}

fn check_length(name: &str) -> Result<()> {
    if name.len() > MAX_KEY_BYTES {
        let what = format!("a session key has {} bytes, more than {MAX_KEY_BYTES}", name.len());
        return Err(Error::new(ErrorKind::SessionValue, what));
    }
    Ok(())
}
