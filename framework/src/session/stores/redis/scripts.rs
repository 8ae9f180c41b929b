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
/// Arguments for each: what is wanted, as [`wanted`] writes it; the new string. Shared: what to
/// tell the channel of each. Answers a digit for each record.
///
/// A record whose deadline stays keeps its expiry, which costs redis as much as the rest of a SET.
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
local said, told, refused = {}, ARGV[#ARGV], ''
local is_done, is_full = true, false
for i = 1, #KEYS do
  local key, value = KEYS[i], ARGV[2 * i]
  local creates, now, expected, until_ms = unpack('>BI8c8I8', ARGV[2 * i - 1])
  local head = pcall('GETRANGE', key, '0', '16')
  local digit, stays = '2', false
  if #head == 17 then
    local format, version, deadline = unpack('>Bc8I8', head)
    if format == 1 and deadline > now then
      digit, stays = version == expected and '0' or '1', deadline == until_ms
    end
  elseif head.err and not string.find(head.err, 'WRONGTYPE', 1, true) then
    digit, refused = 'e', head.err
  end
  if creates == 1 and digit ~= 'e' then digit = digit == '2' and '0' or '1' end
  if digit == '0' and not is_full then
    local err
    if stays then
      err = pcall('SET', key, value, 'KEEPTTL').err
    else
      err = pcall('SET', key, value, 'PX', string.sub(ARGV[2 * i - 1], 26)).err
    end
    if err and string.find(err, 'OOM', 1, true) then
      is_full = true
    elseif err then
      digit, refused = 'e', err
    end
  end
  if digit == '0' and is_full then
    if creates == 1 or redis.call('STRLEN', key) < #value then
      digit = '3'
    else
      local kept = string.sub(ARGV[2 * i - 1], 26)
      redis.call('PEXPIRE', key, kept)
      redis.call('SET', key, value, 'PX', kept)
    end
  end
  is_done = is_done and digit == '0'
  said[i] = digit
end
if not is_done then
  local news = {}
  for i, digit in ipairs(said) do
    if digit == '0' then news[#news + 1] = string.sub(told, 49 * i - 48, 49 * i) end
  end
  told = table.concat(news)
end
if told ~= '' then redis.call('PUBLISH', 'CHANNEL', told) end
return table.concat(said) .. refused
";

/// What a swap wants: whether to find nothing (1 byte), now in ms, the version to find, the new
/// deadline in ms (8 each), and in digits how long redis is to keep the record in ms.
pub(super) fn wanted(expected: Expected, new: &Stored, now: SystemTime) -> SmallVec<[u8; 48]> {
    let (creates, version) = match expected {
        Expected::Absent => (1, 0),
        Expected::Version(version) => (0, version),
    };
    let mut bytes = SmallVec::from_slice(&[creates]);
    for number in [to_ms(now), version, to_ms(new.deadline)] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    let kept = header::kept_ms(new.deadline, now);
    bytes.extend_from_slice(itoa::Buffer::new().format(kept).as_bytes());
    bytes
}

pub(super) const SWAP_DONE: i64 = 0;
pub(super) const SWAP_CONFLICT: i64 = 1;
pub(super) const SWAP_MISSING: i64 = 2;
pub(super) const SWAP_FULL: i64 = 3;

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
/// Key: the record.
const MARK: &str = "\
local first = redis.call('GETRANGE', KEYS[1], 0, 0)
if first ~= '' then redis.call('SETRANGE', KEYS[1], 0, first) end
return 0
";

/// All scripts of the redis store, hashed once.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) swap: Script,
    pub(super) touch: Script,
    pub(super) remove: Script,
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
            sweep: Script::new(SWEEP),
            replicas: Script::new(REPLICAS),
            mark: Script::new(MARK),
        }
    }
}
