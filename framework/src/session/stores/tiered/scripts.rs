//! What nodes agree on: who keeps copies, and which records were just ended. Both lie under one key,
//! so the scripts run on a cluster as they are.
//!
//! A sorted set. A node is a member `n`, its number and its lease in ms, scored by the negative of
//! the time it is believed until; an end is `e` and the record's key, scored by the time until
//! it is kept. Times are redis's own, in ms.
//!
//! An end is written before the list of nodes is read, a node is listed before it reads the
//! ends: so either the one who ends sees the node, or the node sees the end.
//! ZREMRANGEBYSCORE comes first: having written, a script may go on in a full redis.

use crate::redis::Script;

/// Ends are kept so long; a node whose last beat was longer ago forgets everything.
pub(super) const KEPT_MS: u64 = 10_000;

/// Key: the nodes. Arguments: this node's member; how long to believe it; when it last beat, or
/// empty; how long ends are kept. Answers now, whether the node was not listed, and
/// the ends since it last beat.
const BEAT: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], -now, 0)
local new = redis.call('ZADD', KEYS[1], -(now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000)
local ends = {}
if ARGV[3] ~= '' then
  ends = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[3] + ARGV[4], '+inf')
end
return {now, new, ends}
";

/// Key: the nodes. Arguments: the ended record; how long ends are kept. Answers the nodes that
/// keep copies.
const END: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', -now)
";

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) beat: Script,
    pub(super) end: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self { beat: Script::new(BEAT), end: Script::new(END) }
    }
}
