//! The store of a running server, reached over its socket: every call is asked there, so what is
//! written against a store works with and without a server.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::place;
use super::wire::{self, Call, Fields, GREETING, MAX_PAGE, VERSION};
use crate::runtime::sync::Mutex;
use crate::session::{
    Expected, Reader, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch,
};

/// How long the server may take for an answer; its disk may be slow.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// What a server says of itself at the beginning.
#[derive(Debug, Clone)]
pub(super) struct Welcome {
    pub(super) pid: u32,
    pub(super) location: String,
}

/// Numbers with their names.
pub(super) type Counts = Vec<(String, u64)>;

/// A connection to a running server.
pub(super) struct Remote {
    stream: Mutex<UnixStream>,
    pub(super) welcome: Welcome,
}

impl Remote {
    /// Connects to the socket at `path`.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let stream = place::connect(path)?;
        stream.set_read_timeout(Some(ANSWER_TIME))?;
        stream.set_write_timeout(Some(ANSWER_TIME))?;
        let greeting = [GREETING, &VERSION.to_be_bytes()].concat();
        let welcome = exchange(&stream, &greeting, |reader| {
            let (pid, location) = (reader.u32()?, wire::text(reader)?);
            Some(Welcome { pid, location })
        });
        let welcome = welcome.map_err(|error| {
            io::Error::other(match error {
                StoreError::Unavailable(cause) | StoreError::Refused(cause) => cause.to_string(),
                error => error.to_string(),
            })
        })?;
        Ok(Self { stream: Mutex::new(stream), welcome })
    }

    /// The figures of the store, and how often what happened to sessions.
    pub(super) fn figures(&self) -> Result<(Counts, Counts), StoreError> {
        self.call(&Call::Figures, |reader| Some((counts(reader)?, counts(reader)?)))
    }

    fn call<T>(
        &self,
        call: &Call,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<T, StoreError> {
        exchange(&self.stream.lock(), &call.encode(), read)
    }
}

fn exchange<T>(
    stream: &UnixStream,
    request: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, StoreError> {
    let gone = |cause: io::Error| {
        StoreError::unavailable(format!("the connection to the running server broke: {cause}"))
    };
    match wire::write_frame(stream, request) {
        // A server that refuses does not wait for what we say; what it says can be read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent.map_err(gone)?,
    }
    let frame = wire::read_frame(stream).map_err(gone)?;
    let frame = frame.ok_or_else(|| gone(io::ErrorKind::UnexpectedEof.into()))?;
    let mut reader = wire::read_answer(&frame)?;
    let answer = read(&mut reader).filter(|_| reader.at == frame.len());
    answer.ok_or_else(|| StoreError::unavailable("the running server gave an answer that is none"))
}

fn counts(reader: &mut Reader<'_>) -> Option<Counts> {
    let count = wire::count(reader)?;
    (0..count).map(|_| Some((wire::text(reader)?, reader.u64()?))).collect()
}

/// Writes what [`counts`] reads.
pub(super) fn put_counts(out: &mut Fields, counts: &[(&'static str, u64)]) {
    out.count(counts.len());
    for (name, count) in counts {
        out.bytes(name.as_bytes()).u64(*count);
    }
}

impl SessionStore for Remote {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        Ok(self.load_many(std::slice::from_ref(key), now)?.into_iter().next().flatten())
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        let record = |reader: &mut Reader<'_>| match reader.byte()? {
            0 => Some(None),
            _ => wire::stored(reader).map(Some),
        };
        let mut found: Vec<Option<Stored>> = Vec::with_capacity(keys.len());
        // An answer may hold fewer records than were asked for, if they are long.
        while let Some(rest) = keys.get(found.len()..).filter(|rest| !rest.is_empty()) {
            let keys: Vec<StoreKey> = rest.iter().take(MAX_PAGE).copied().collect();
            let asked = keys.len();
            let records = |reader: &mut Reader<'_>| {
                let count = wire::count(reader).filter(|count| (1..=asked).contains(count))?;
                (0..count).map(|_| record(reader)).collect::<Option<Vec<_>>>()
            };
            found.extend(self.call(&Call::Load { now, keys }, records)?);
        }
        Ok(found)
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        let call = Call::Swap { now, key: *key, expected, new: new.clone() };
        self.call(&call, |reader| match reader.byte()? {
            0 => Some(Swap::Done),
            1 => Some(Swap::Conflict),
            2 => Some(Swap::Missing),
            _ => None,
        })
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        let call = Call::Touch { now, key: *key, version, renewed };
        self.call(&call, |reader| match reader.byte()? {
            0 => Some(Touch::Done),
            1 => Some(Touch::Stale),
            _ => None,
        })
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.call(&Call::Remove { key: *key }, |reader| reader.byte().map(|removed| removed == 1))
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.call(&Call::Sweep { now, budget }, |reader| {
            let (examined, removed) = (wire::count(reader)?, wire::count(reader)?);
            Some(Swept { examined, removed, finished: reader.byte()? == 1 })
        })
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let call = Call::List { now, after: after.copied(), limit: limit.min(MAX_PAGE) };
        self.call(&call, |reader| {
            let count = wire::count(reader)?;
            let record =
                |reader: &mut Reader<'_>| Some((wire::key(reader)?, wire::stored(reader)?));
            (0..count).map(|_| record(reader)).collect()
        })
    }

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.call(&Call::Settle { key: *key }, |_| Some(()))
    }
}
