//! Calls that travel together: those of one round and of one kind go out as one command.
//!
//! A command costs redis more than what it does: about half of a small script's time is the way into
//! Lua and back, and a GET spends most of its time on being a command.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};
use smallvec::SmallVec;

use super::error::{Answer, RedisError, sorted};
use super::script::Script;
use crate::runtime::Promise;

/// Calls in one command; redis does nothing else meanwhile.
const MAX_CALLS: usize = 64;
/// A call joins no command that is larger than this already.
const MAX_BYTES: usize = 64 * 1024;
/// A call joins no command that was begun longer ago, as one has while the connection is
/// choked: its time would be over with that of the first.
const MAX_AGE: Duration = Duration::from_millis(5);

/// What is wanted of one key.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    /// Its string, or nothing.
    Get(&'a [u8]),
    /// What a script makes of it.
    Each(&'a EachKey<'a>),
}

impl Call<'_> {
    /// Whether a call that ended so may be made again: nothing came of it, and nothing will.
    pub(super) fn may_be_repeated(self, failure: &RedisError) -> bool {
        match failure {
            RedisError::Down(_) => true,
            RedisError::Lost(_) => matches!(self, Self::Get(_)),
            _ => false,
        }
    }
}

/// A call of a script that is made for many keys: KEYS are theirs, ARGV the arguments of all of
/// them, as many for each, and last what they share: of each shared argument every call brings its
/// part.
///
/// It answers a string: a digit for each key, and after the last one the error, if any, that the
/// digit `e` stands for. An empty one is 0 for all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EachKey<'a> {
    pub(crate) script: &'a Script,
    pub(crate) key: &'a [u8],
    /// Each in pieces, which nobody has to join before.
    pub(crate) args: &'a [&'a [&'a [u8]]],
    pub(crate) shared: &'a [&'a [u8]],
}

/// Those who wait for one command; `None` is one whose time is over.
#[derive(Default)]
pub(super) struct Callers {
    pub(super) waiting: Vec<Option<Arc<Promise<Answer>>>>,
    is_script: bool,
}

impl Callers {
    /// Whether their script met what a replica says to those who want to write.
    pub(super) fn met_a_replica(&self, answer: &Answer) -> bool {
        let Ok(Value::BulkString(said)) = answer else { return false };
        let error = said.get(self.waiting.len()..).unwrap_or_default();
        self.is_script && !error.is_empty() && refusal(error) == RedisError::ReadOnly
    }

    /// Tells everybody what the answer to their command says of their key.
    pub(super) fn give(self, answer: Answer) {
        let count = self.waiting.len();
        let parts = match answer {
            Ok(Value::BulkString(said)) if self.is_script => verdicts(&said, count),
            Ok(Value::Array(values)) if count > 1 && values.len() == count => {
                values.into_iter().map(sorted).collect()
            }
            Ok(_) if count > 1 || self.is_script => vec![Err(odd()); count],
            answer => vec![answer; count],
        };
        for (caller, part) in self.waiting.into_iter().zip(parts) {
            if let Some(promise) = caller {
                promise.give(part);
            }
        }
    }
}

/// Calls that will be one command.
pub(super) struct Group {
    script: Option<Script>,
    bytes: Bytes,
    parts: usize,
    pub(super) callers: Callers,
    /// That of the first call.
    pub(super) deadline: Instant,
}

/// The parts of a command in the making; used again for the next one.
#[derive(Default)]
pub(super) struct Bytes {
    keys: Vec<u8>,
    args: Vec<u8>,
    /// One for each shared argument.
    shared: SmallVec<[Vec<u8>; 2]>,
}

impl Bytes {
    /// Empty, or nothing if it is too large to be kept.
    pub(super) fn cleared(mut self) -> Option<Self> {
        let mut is_small = true;
        for part in [&mut self.keys, &mut self.args].into_iter().chain(&mut self.shared) {
            is_small &= part.capacity() <= 2 * MAX_BYTES;
            part.clear();
        }
        is_small.then_some(self)
    }
}

impl Group {
    /// A group for calls like this one.
    pub(super) fn new(call: Call<'_>, bytes: Bytes, deadline: Instant) -> Self {
        let script = match call {
            Call::Get(_) => None,
            Call::Each(each) => Some(each.script.clone()),
        };
        let callers = Callers { waiting: Vec::with_capacity(16), is_script: script.is_some() };
        Self { script, bytes, parts: 0, callers, deadline }
    }

    /// Whether calls with this deadline are of the same time.
    pub(super) fn is_young(&self, deadline: Instant) -> bool {
        deadline.saturating_duration_since(self.deadline) <= MAX_AGE
    }

    /// Whether `call` may join.
    pub(super) fn fits(&self, call: Call<'_>) -> bool {
        let is_alike = match (&self.script, call) {
            (None, Call::Get(_)) => true,
            (Some(script), Call::Each(each)) => script.hash() == each.script.hash(),
            _ => false,
        };
        is_alike && self.callers.waiting.len() < MAX_CALLS && self.bytes.args.len() < MAX_BYTES
    }

    pub(super) fn push(&mut self, call: Call<'_>, caller: Arc<Promise<Answer>>) {
        self.callers.waiting.push(Some(caller));
        self.parts += 1;
        let Bytes { keys, args, shared } = &mut self.bytes;
        match call {
            Call::Get(key) => bulk(keys, &[key]),
            Call::Each(each) => {
                bulk(keys, &[each.key]);
                each.args.iter().for_each(|arg| bulk(args, arg));
                self.parts += each.args.len();
                shared.resize_with(each.shared.len(), Vec::new);
                for (all, part) in shared.iter_mut().zip(each.shared) {
                    all.extend_from_slice(part);
                }
            }
        }
    }

    /// Writes the command.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Bytes { keys, args, shared } = &self.bytes;
        let shared_len = shared.iter().map(|part| part.len() + 16).sum::<usize>();
        out.reserve(keys.len() + args.len() + shared_len + 128);
        let Some(script) = &self.script else {
            list(out, self.parts + 1);
            // Alone, it is what it is.
            bulk(out, &[if self.parts == 1 { b"GET" } else { b"MGET" }]);
            return out.extend_from_slice(keys);
        };
        list(out, self.parts + 3 + shared.len());
        bulk(out, &[b"EVALSHA"]);
        bulk(out, &[script.hash().as_bytes()]);
        bulk(out, &[itoa::Buffer::new().format(self.callers.waiting.len()).as_bytes()]);
        out.extend_from_slice(keys);
        out.extend_from_slice(args);
        shared.iter().for_each(|part| bulk(out, &[part]));
    }

    /// Those who wait, and what the next group may be made of.
    pub(super) fn into_parts(self) -> (Callers, Bytes) {
        (self.callers, self.bytes)
    }
}

impl EachKey<'_> {
    /// The command that makes this call alone, by hash or in full.
    pub(super) fn alone(&self, run: impl Fn(&Script, &[&[u8]], &[&[u8]]) -> Cmd) -> Cmd {
        let args: Vec<_> = self.args.iter().map(|pieces| pieces.concat()).collect();
        let args: Vec<_> =
            args.iter().map(Vec::as_slice).chain(self.shared.iter().copied()).collect();
        run(self.script, &[self.key], &args)
    }
}

/// The verdict in the answer to a command that made one call alone.
pub(super) fn verdict(answer: Answer) -> Answer {
    match answer? {
        Value::BulkString(said) => verdicts(&said, 1).swap_remove(0),
        _ => Err(odd()),
    }
}

/// What a script said of each of `count` keys.
fn verdicts(said: &[u8], count: usize) -> Vec<Answer> {
    if said.is_empty() {
        return vec![Ok(Value::Int(0)); count];
    }
    let Some((digits, error)) = said.split_at_checked(count) else {
        return vec![Err(odd()); count];
    };
    let verdict = |digit: &u8| match digit {
        b'e' => Err(refusal(error)),
        digit => Ok(Value::Int(i64::from(digit.wrapping_sub(b'0')))),
    };
    digits.iter().map(verdict).collect()
}

fn odd() -> RedisError {
    RedisError::Protocol("an answer to something else".to_owned())
}

/// The error that a script passed on as text; Redis 6 gives some of them as they go over the wire.
fn refusal(text: &[u8]) -> RedisError {
    let text = text.trim_ascii_end();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let line = [b"-", text, b"\r\n"].concat();
    match redis::parse_redis_value(&line).map(sorted) {
        Ok(Err(error)) => error,
        _ => RedisError::Server(String::from_utf8_lossy(text).into_owned()),
    }
}

fn list(out: &mut Vec<u8>, parts: usize) {
    number(out, b'*', parts);
}

/// One argument, in pieces.
fn bulk(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    let len = pieces.iter().map(|piece| piece.len()).sum();
    out.reserve(len + 16);
    number(out, b'$', len);
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{RedisError, verdicts};

    #[test]
    fn each_key_gets_its_digit_or_the_error() {
        let said = verdicts(b"02eMISCONF the disk is full", 3);
        assert_eq!(said[..2], [Ok(Value::Int(0)), Ok(Value::Int(2))]);
        assert!(matches!(&said[2], Err(RedisError::Unavailable(why)) if why.contains("disk")));
        assert_eq!(verdicts(b"e-READONLY a replica\r\n", 1), [Err(RedisError::ReadOnly)]);
        assert_eq!(verdicts(b"eOOM command not allowed", 1), [Err(RedisError::OutOfMemory)]);
        assert!(matches!(verdicts(b"e", 1)[..], [Err(RedisError::Server(_))]));
        assert_eq!(verdicts(b"", 2), [Ok(Value::Int(0)), Ok(Value::Int(0))]);
        let short = verdicts(b"00", 3);
        assert!(short.len() == 3 && short.iter().all(Result::is_err), "{short:?}");
    }
}
