//! What travels over the admin socket: the calls of a session store, each as one frame, and their
//! answers. Pure but for reading and writing frames.
//!
//! ```text
//! a frame     u32 length, bytes; integers are big-endian, times milliseconds since 1970
//! greeting    "maypole-admin", u16 version     answered like a call, with a `Welcome`
//! a call      u8 what, its fields
//! an answer   u8 outcome, then what the call gives, or the text of the error
//! ```

use std::io::{self, Read, Write};
use std::time::SystemTime;

use crate::session::{Expected, Reader, Renewed, StoreError, StoreKey, Stored, to_ms};

/// The first bytes of a connection.
pub(super) const GREETING: &[u8] = b"maypole-admin";

/// Raised when a call or answer changes: command and server must be of one mind.
pub(super) const VERSION: u16 = 1;

/// The longest frame: a record as large as `max_session_bytes` allows, and room beside it.
const MAX_FRAME_BYTES: usize = 20 << 20;

/// What an answer with records holds, unless one record alone is longer. The rest is asked for
/// again.
pub(super) const MAX_PAGE_BYTES: usize = 1 << 20;

/// Records asked for in one call.
pub(super) const MAX_PAGE: usize = 256;

/// Records looked at in one call of a sweep.
pub(super) const MAX_SWEEP: usize = 4096;

/// A call of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Load {
        now: SystemTime,
        keys: Vec<StoreKey>,
    },
    Swap {
        now: SystemTime,
        key: StoreKey,
        expected: Expected,
        new: Stored,
    },
    Touch {
        now: SystemTime,
        key: StoreKey,
        version: u64,
        renewed: Renewed,
    },
    Remove {
        key: StoreKey,
    },
    Sweep {
        now: SystemTime,
        budget: usize,
    },
    List {
        now: SystemTime,
        after: Option<StoreKey>,
        limit: usize,
    },
    Settle {
        key: StoreKey,
    },
    /// The figures of the store and the counts of events.
    Figures,
}

impl Call {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Fields::default();
        match self {
            Self::Load { now, keys } => {
                out.byte(1).time(*now).count(keys.len());
                for key in keys {
                    out.key(key);
                }
            }
            Self::Swap { now, key, expected, new } => {
                out.byte(2).time(*now).key(key);
                match expected {
                    Expected::Absent => out.byte(0),
                    Expected::Version(version) => out.byte(1).u64(*version),
                };
                out.stored(new);
            }
            Self::Touch { now, key, version, renewed } => {
                out.byte(3).time(*now).key(key).u64(*version);
                out.time(renewed.deadline).time(renewed.last_seen).byte(renewed.evictable.into());
            }
            Self::Remove { key } => {
                out.byte(4).key(key);
            }
            Self::Sweep { now, budget } => {
                out.byte(5).time(*now).count(*budget);
            }
            Self::List { now, after, limit } => {
                out.byte(6).time(*now).count(*limit).byte(after.is_some().into());
                if let Some(key) = after {
                    out.key(key);
                }
            }
            Self::Settle { key } => {
                out.byte(7).key(key);
            }
            Self::Figures => {
                out.byte(8);
            }
        }
        out.0
    }

    /// `None` for anything that [`encode`](Self::encode) did not write.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let what = reader.byte()?;
        let call = match what {
            1 => {
                let (now, count) = (reader.time()?, count(&mut reader)?);
                if count > MAX_PAGE {
                    return None;
                }
                let keys = (0..count).map(|_| key(&mut reader)).collect::<Option<_>>()?;
                Self::Load { now, keys }
            }
            2 => {
                let (now, key) = (reader.time()?, key(&mut reader)?);
                let expected = match reader.byte()? {
                    0 => Expected::Absent,
                    1 => Expected::Version(reader.u64()?),
                    _ => return None,
                };
                Self::Swap { now, key, expected, new: stored(&mut reader)? }
            }
            3 => {
                let (now, key, version) = (reader.time()?, key(&mut reader)?, reader.u64()?);
                let renewed = Renewed {
                    deadline: reader.time()?,
                    last_seen: reader.time()?,
                    evictable: reader.byte()? != 0,
                };
                Self::Touch { now, key, version, renewed }
            }
            4 => Self::Remove { key: key(&mut reader)? },
            5 => Self::Sweep { now: reader.time()?, budget: count(&mut reader)? },
            6 => {
                let (now, limit) = (reader.time()?, count(&mut reader)?);
                let after = match reader.byte()? {
                    0 => None,
                    1 => Some(key(&mut reader)?),
                    _ => return None,
                };
                Self::List { now, after, limit }
            }
            7 => Self::Settle { key: key(&mut reader)? },
            8 => Self::Figures,
            _ => return None,
        };
        (reader.at == bytes.len()).then_some(call)
    }
}

/// The fields of a frame being written.
#[derive(Debug, Default)]
pub(super) struct Fields(pub(super) Vec<u8>);

impl Fields {
    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn count(&mut self, number: usize) -> &mut Self {
        self.0.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
        self
    }

    pub(super) fn time(&mut self, time: SystemTime) -> &mut Self {
        self.u64(to_ms(time))
    }

    pub(super) fn key(&mut self, key: &StoreKey) -> &mut Self {
        self.0.extend(key.as_bytes());
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).0.extend(bytes);
        self
    }

    pub(super) fn stored(&mut self, stored: &Stored) -> &mut Self {
        self.u64(stored.version).time(stored.deadline).time(stored.last_seen);
        self.byte(stored.evictable.into()).bytes(&stored.bytes)
    }
}

pub(super) fn count(reader: &mut Reader<'_>) -> Option<usize> {
    usize::try_from(reader.u32()?).ok()
}

pub(super) fn key(reader: &mut Reader<'_>) -> Option<StoreKey> {
    reader.array().map(StoreKey::from_bytes)
}

pub(super) fn bytes<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = count(reader)?;
    reader.take(len)
}

pub(super) fn text(reader: &mut Reader<'_>) -> Option<String> {
    bytes(reader).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

pub(super) fn stored(reader: &mut Reader<'_>) -> Option<Stored> {
    let version = reader.u64()?;
    let (deadline, last_seen) = (reader.time()?, reader.time()?);
    let evictable = reader.byte()? == 1;
    let bytes = bytes(reader)?.to_vec();
    Some(Stored { bytes, version, deadline, last_seen, evictable })
}

const DONE: u8 = 0;
const UNAVAILABLE: u8 = 1;
const FULL: u8 = 2;
const TOO_LARGE: u8 = 3;
const UNSUPPORTED: u8 = 4;
const REFUSED: u8 = 5;

/// The frame of an answer.
pub(super) fn answer(outcome: Result<Fields, StoreError>) -> Vec<u8> {
    let error = match outcome {
        Ok(Fields(mut fields)) if fields.len() < MAX_FRAME_BYTES => {
            fields.insert(0, DONE);
            return fields;
        }
        Ok(_) => StoreError::unavailable("the answer is too long for one frame"),
        Err(error) => error,
    };
    let mut out = Fields::default();
    match &error {
        StoreError::Full => out.byte(FULL),
        StoreError::TooLarge => out.byte(TOO_LARGE),
        StoreError::Unsupported => out.byte(UNSUPPORTED),
        StoreError::Unavailable(cause) => out.byte(UNAVAILABLE).bytes(cause.to_string().as_bytes()),
        StoreError::Refused(cause) => out.byte(REFUSED).bytes(cause.to_string().as_bytes()),
    };
    out.0
}

/// What an answer says: its fields, or the error of the store.
pub(super) fn read_answer(frame: &[u8]) -> Result<Reader<'_>, StoreError> {
    let mut reader = Reader { bytes: frame, at: 0 };
    Err(match reader.byte() {
        Some(DONE) => return Ok(reader),
        Some(FULL) => StoreError::Full,
        Some(TOO_LARGE) => StoreError::TooLarge,
        Some(UNSUPPORTED) => StoreError::Unsupported,
        Some(UNAVAILABLE) => StoreError::unavailable(said(&mut reader)),
        Some(REFUSED) => StoreError::refused(said(&mut reader)),
        _ => StoreError::unavailable("the running server gave an answer that is none"),
    })
}

fn said(reader: &mut Reader<'_>) -> String {
    format!("the running server says: {}", text(reader).unwrap_or_default())
}

pub(super) fn write_frame(mut to: impl Write, frame: &[u8]) -> io::Result<()> {
    let len = u32::try_from(frame.len()).ok().filter(|_| frame.len() <= MAX_FRAME_BYTES);
    let len = len.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    to.write_all(&len.to_be_bytes())?;
    to.write_all(frame)
}

/// The next frame; `None` if the other side has ended in between.
pub(super) fn read_frame(mut from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    let mut read = 0;
    while let Some(rest) = len.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if read == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let len = u32::from_be_bytes(len) as usize;
    if len > MAX_FRAME_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    // Memory grows with what comes, not with what is promised.
    let mut frame = Vec::with_capacity(len.min(64 * 1024));
    from.take(len as u64).read_to_end(&mut frame)?;
    if frame.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(frame))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Call, answer, read_answer, read_frame, write_frame};
    use crate::session::{Expected, Renewed, StoreError, StoreKey, Stored};

    fn calls() -> Vec<Call> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567);
        let key = StoreKey::from_bytes([7; 32]);
        let new = Stored {
            bytes: b"cart".to_vec(),
            version: 9,
            deadline: now + Duration::from_secs(9),
            last_seen: now,
            evictable: true,
        };
        let renewed = Renewed { deadline: new.deadline, last_seen: now, evictable: true };
        vec![
            Call::Load { now, keys: vec![key, StoreKey::from_bytes([8; 32])] },
            Call::Swap { now, key, expected: Expected::Absent, new: new.clone() },
            Call::Swap { now, key, expected: Expected::Version(4), new },
            Call::Touch { now, key, version: 3, renewed },
            Call::Remove { key },
            Call::Sweep { now, budget: 77 },
            Call::List { now, after: None, limit: 5 },
            Call::List { now, after: Some(key), limit: 5 },
            Call::Settle { key },
            Call::Figures,
        ]
    }

    #[test]
    fn calls_come_back_and_no_part_of_one_is_a_call() {
        for call in calls() {
            let bytes = call.encode();
            assert_eq!(Call::decode(&bytes), Some(call));
            for end in 0..bytes.len() {
                assert_eq!(Call::decode(&bytes[..end]), None);
            }
            assert_eq!(Call::decode(&[&bytes[..], &[0]].concat()), None, "something behind it");
        }
        assert_eq!(Call::decode(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]), None);
    }

    /// No bytes may panic, or reserve memory they do not fill; what can be read can be
    /// written and read again.
    fn fuzz_one(bytes: &[u8]) {
        if let Some(call) = Call::decode(bytes) {
            assert_eq!(Call::decode(&call.encode()), Some(call));
        }
        if let Ok(mut reader) = read_answer(bytes) {
            drop(super::stored(&mut reader));
        }
        drop(read_frame(bytes));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_harm(what in 0_u8..12, rest in proptest::collection::vec(0_u8.., 0..200)) {
            fuzz_one(&[&[what][..], &rest].concat());
        }
    }

    #[test]
    fn frames_are_bounded_and_whole() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, b"hello").unwrap();
        assert_eq!(read_frame(&bytes[..]).unwrap(), Some(b"hello".to_vec()));
        assert_eq!(read_frame(&b""[..]).unwrap(), None);
        for end in 1..bytes.len() {
            assert!(read_frame(&bytes[..end]).is_err(), "cut at {end}");
        }
        let promised = read_frame(&[0xff; 64][..]).unwrap_err();
        assert_eq!(promised.kind(), std::io::ErrorKind::InvalidData, "four gigabytes");
    }

    #[test]
    fn errors_of_the_store_travel() {
        for error in [StoreError::Full, StoreError::TooLarge, StoreError::Unsupported] {
            let words = error.to_string();
            let frame = answer(Err(error));
            assert_eq!(read_answer(&frame).map(|_| ()).unwrap_err().to_string(), words);
        }
        for error in [StoreError::unavailable("the disk"), StoreError::refused("the disk")] {
            let words = error.to_string();
            let error = read_answer(&answer(Err(error))).map(|_| ()).unwrap_err();
            assert_eq!(error.to_string(), words, "one is not taken for the other");
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(cause, "the running server says: the disk");
        }
        assert!(read_answer(&[]).is_err() && read_answer(&[99]).is_err());
    }
}
