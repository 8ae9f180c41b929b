//! A walk through all keys of the store, in no order, by SCAN: it never holds redis up.

use redis::{Value, cmd};

use super::RedisStore;
use super::answers::{failed, list};
use crate::redis::Node;
use crate::session::{StoreError, StoreKey};

/// Keys redis looks at in one step.
const STEP: usize = 512;

/// A place in a walk. A key that is there all the time is met at least once, maybe more often; so
/// is one that moves to another node of a cluster meanwhile, or it is met in the next walk.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The server, or the masters of a cluster, that are still to be walked; the last is at work.
    nodes: Option<Vec<Node>>,
    cursor: u64,
}

impl RedisStore {
    /// The keys of the next step, maybe none; `None` after the last.
    pub(super) fn next_keys(&self, walk: &mut Walk) -> Result<Option<Vec<StoreKey>>, StoreError> {
        let nodes = match &mut walk.nodes {
            Some(nodes) => nodes,
            none => none.insert(self.redis.nodes().map_err(failed)?),
        };
        let Some(node) = nodes.last() else { return Ok(None) };
        let mut scan = cmd("SCAN");
        scan.arg(walk.cursor).arg("MATCH").arg(self.names.all_records()).arg("COUNT").arg(STEP);
        let mut answers = node.send(&[scan]).map_err(failed)?;
        let mut parts = list(answers.pop().unwrap_or(Ok(Value::Nil)))?;
        let (keys, cursor) = (parts.pop(), parts.pop());
        let (Some(Value::BulkString(cursor)), Some(Value::Array(keys))) = (cursor, keys) else {
            return Err(StoreError::unavailable("redis answered no cursor to SCAN"));
        };
        let cursor = std::str::from_utf8(&cursor).ok().and_then(|text| text.parse().ok());
        walk.cursor = cursor.ok_or_else(|| StoreError::unavailable("SCAN gave no number"))?;
        if walk.cursor == 0 {
            nodes.pop();
        }
        let key = |value: &Value| match value {
            Value::BulkString(name) => self.names.key(name),
            _ => None,
        };
        Ok(Some(keys.iter().filter_map(key).collect()))
    }
}
