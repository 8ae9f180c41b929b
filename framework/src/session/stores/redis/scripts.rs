//! The scripts, each with one key, so that they run on a cluster as they are. They use nothing
//! that came after Redis 6.0.

use crate::redis::Script;

/// Compare-and-swap. Key: the record. Arguments: the version expected, or empty for none; the new
/// string; how long to keep it in ms; now in ms; what to tell the channel.
///
/// When redis is full a swap that makes nothing larger is still done, so that a logout is: a
/// script that has written something may go on writing, and PEXPIRE is always allowed.
const SWAP: &str = "\
local head = redis.pcall('GETRANGE', KEYS[1], 0, 16)
local live = type(head) == 'string' and #head == 17 and string.byte(head) == 1
  and struct.unpack('>I8', string.sub(head, 10)) > tonumber(ARGV[4])
if ARGV[1] == '' then
  if live then return 1 end
else
  if not live then return 2 end
  if string.sub(head, 2, 9) ~= ARGV[1] then return 1 end
end
local set = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if set.err then
  if not string.find(set.err, 'OOM', 1, true) then return set end
  if ARGV[1] == '' or redis.call('STRLEN', KEYS[1]) < #ARGV[2] then return 3 end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
redis.call('PUBLISH', KEYS[1], ARGV[5])
return 0
";

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
if removed == 1 then redis.call('PUBLISH', KEYS[1], ARGV[1]) end
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
    pub(super) fn new() -> Self {
        Self {
            swap: Script::new(SWAP),
            touch: Script::new(TOUCH),
            remove: Script::new(REMOVE),
            sweep: Script::new(SWEEP),
            replicas: Script::new(REPLICAS),
            mark: Script::new(MARK),
        }
    }
}
