//! The scripts. They use nothing that came after Redis 6.0; on a cluster each runs with one key.

use std::time::SystemTime;

use smallvec::SmallVec;

use super::super::millis::to_ms;
use super::{Names, header};
#[cfg(doc)]
use crate::redis::EachKey;
use crate::redis::Script;
use crate::session::{Expected, Stored};

/// Compare-and-swap, on any number of records at once; see [`EachKey`]. Keys: the records.
/// Arguments for each: the [beginning](Wanted::beginning) it wants; the new string. Shared: the
/// [bounds](Wanted::bounds) of each; what to tell the channel of each. Answers a digit for each record, or nothing
/// when all are done.
///
/// What is wanted begins as the record does. Mostly it is the beginning to the byte, deadline
/// included: then nothing has to be looked at any closer, and the record keeps its expiry, which
/// costs redis as much as the rest of a SET.
///
/// When redis is full a swap that makes nothing larger is still done, so that a logout is: a
/// script that has written something may go on writing, and PEXPIRE is always allowed. Whether it
/// is full redis decides once for a script, and says it to the first that writes.
///
/// Foreign data count as absent; that reading is refused (to this user, by a replica that lost its
/// master) says nothing of the record.
///
/// Numbers for commands are written as strings: Lua formats its own slowly.
const SWAP: &str = "\
local pcall, unpack = redis.pcall, struct.unpack
local bounds, told, said, refused, is_full = ARGV[#ARGV - 1], ARGV[#ARGV]
for i = 1, #KEYS do
  local key, wanted, value = KEYS[i], ARGV[2 * i - 1], ARGV[2 * i]
  local head = pcall('GETRANGE', key, '0', '16')
  if is_full or head ~= wanted or pcall('SET', key, value, 'KEEPTTL').err then
    local format, expected = unpack('>Bc8', wanted)
    local now, kept, room = unpack('>I8I8I8', bounds, 24 * i - 23)
    kept = string.format('%d', kept)
    local creates, digit = format == 0, '2'
    if #head == 17 then
      local format, version, deadline = unpack('>Bc8I8', head)
      if format == 1 and deadline > now then digit = version == expected and '0' or '1' end
    elseif head.err and not string.find(head.err, 'WRONGTYPE', 1, true) then
      digit, refused = 'e', head.err
    end
    if creates and digit ~= 'e' then
      digit = digit == '2' and '0' or '1'
      local count = digit == '0' and head == '' and pcall('DBSIZE')
      if type(count) == 'number' and count >= room then digit = '4' end
    end
    if digit == '0' and not is_full then
      local err = pcall('SET', key, value, 'PX', kept).err
      if err and string.find(err, 'OOM', 1, true) then
        is_full = true
      elseif err then
        digit, refused = 'e', err
      end
    end
    if digit == '0' and is_full then
      if creates or redis.call('STRLEN', key) < #value then
        digit = '3'
      else
        redis.call('PEXPIRE', key, kept)
        redis.call('SET', key, value, 'PX', kept)
      end
    end
    if digit ~= '0' then
      said = said or {}
      said[i] = digit
    end
  end
end
if said then
  local news = {}
  for i = 1, #KEYS do
    if not said[i] then
      said[i] = '0'
      news[#news + 1] = string.sub(told, 49 * i - 48, 49 * i)
    end
  end
  told = table.concat(news)
end
if told ~= '' then redis.call('PUBLISH', 'CHANNEL', told) end
return said and table.concat(said) .. (refused or '') or ''
";

/// What a swap wants.
pub(super) struct Wanted<'a> {
    pub(super) expected: Expected,
    pub(super) new: &'a Stored,
    pub(super) now: SystemTime,
    /// How many keys there may be for one to be created.
    pub(super) room: u64,
}

impl Wanted<'_> {
    /// How a record begins that has the version expected and the new deadline. One byte more, so
    /// that no record begins like it, when there is to be none (format 0), or when the deadline is
    /// over.
    pub(super) fn beginning(&self) -> SmallVec<[u8; 24]> {
        let version = match self.expected {
            Expected::Absent => None,
            Expected::Version(version) => Some(version),
        };
        let mut bytes = SmallVec::from_slice(&header::beginning(version, self.new.deadline));
        if version.is_none() || self.new.deadline <= self.now {
            bytes.push(0);
        }
        bytes
    }

    /// Now, how long redis is to keep the record, both in ms, and the room.
    pub(super) fn bounds(&self) -> [u8; 24] {
        let kept_ms = header::kept_ms(self.new.deadline, self.now);
        let mut bytes = [0; 24];
        let numbers = [to_ms(self.now), kept_ms, self.room];
        bytes.copy_from_slice(numbers.map(u64::to_be_bytes).as_flattened());
        bytes
    }
}

pub(super) const SWAP_DONE: i64 = 0;
pub(super) const SWAP_CONFLICT: i64 = 1;
pub(super) const SWAP_MISSING: i64 = 2;
pub(super) const SWAP_FULL: i64 = 3;
/// There are as many keys as there may be.
pub(super) const SWAP_NO_ROOM: i64 = 4;

/// Renewal. Key: the record. Arguments: its version; what to write from the deadline on; how long
/// to keep it in ms; now in ms. Answers 1 if done. PEXPIRE first, for a full redis: see `SWAP`.
const TOUCH: &str = "\
local head = redis.pcall('GETRANGE', KEYS[1], 0, 16)
if type(head) ~= 'string' or #head ~= 17 or string.byte(head) ~= 1 then return 0 end
if string.sub(head, 2, 9) ~= ARGV[1] then return 0 end
if struct.unpack('>I8', string.sub(head, 10)) <= tonumber(ARGV[4]) then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SETRANGE', KEYS[1], 9, ARGV[2])
return 1
";

/// Deletion. Key: the record. Argument: what to tell the channel. Answers 1 if there was one.
const REMOVE: &str = "\
local removed = redis.call('DEL', KEYS[1])
if removed == 1 then redis.call('PUBLISH', 'CHANNEL', ARGV[1]) end
return removed
";

/// Deletion of what may be evicted, if nothing was done to it meanwhile. Key: the record. Arguments:
/// how it began, to the mark; what to tell the channel. Answers 1 if it was deleted.
const EVICT: &str = "\
if redis.call('GETRANGE', KEYS[1], '0', '25') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', 'CHANNEL', ARGV[2])
return 1
";

/// Deletion of what has expired. Key: the record. Argument: now in ms. Answers 1 if it was deleted.
/// Nobody is told: to everybody it was absent before.
const SWEEP: &str = "\
local head = redis.pcall('GETRANGE', KEYS[1], 0, 16)
if type(head) ~= 'string' or #head ~= 17 or string.byte(head) ~= 1 then return 0 end
if struct.unpack('>I8', string.sub(head, 10)) > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
";

/// How many replicas follow the server of a key; -1 if this user may not know. Key: any.
const REPLICAS: &str = "\
local info = redis.pcall('INFO', 'replication')
if type(info) ~= 'string' then return -1 end
local _, online = string.gsub(info, 'state=online', '')
return online
";

/// A write that changes nothing, for WAIT, which counts from the last write of its own connection.
/// Key: the record. A full redis allows it.
const MARK: &str = "\
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
return 0
";

/// All scripts of the redis store, hashed once.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) swap: Script,
    pub(super) touch: Script,
    pub(super) remove: Script,
    pub(super) evict: Script,
    pub(super) sweep: Script,
    pub(super) replicas: Script,
    pub(super) mark: Script,
}

impl Scripts {
    pub(super) fn new(names: &Names) -> Self {
        let on_channel = |code: &str| Script::new(&code.replace("CHANNEL", &names.news()));
        Self {
            swap: on_channel(SWAP),
            touch: Script::new(TOUCH),
            remove: on_channel(REMOVE),
            evict: on_channel(EVICT),
            sweep: Script::new(SWEEP),
            replicas: Script::new(REPLICAS),
            mark: Script::new(MARK),
        }
    }
}
