//! What the log is told of the connections of one `[redis.NAME]`: several of them meet the same
//! outage, and it is told once.

use std::sync::{Arc, Weak};

use super::error::RedisError;
use crate::runtime::sync::ShortLock;

/// Failures of one outage that are remembered; those beyond are told again.
const MAX_TOLD: usize = 16;

/// Those of this process.
static OUTAGES: ShortLock<Vec<(String, Weak<Outage>)>> = ShortLock::new(Vec::new());

/// What was told of the outage that goes on, if one does.
#[derive(Debug, Default)]
pub(super) struct Outage {
    told: ShortLock<Vec<RedisError>>,
}

impl Outage {
    /// That of all connections under this name, also of those opened elsewhere in this process.
    pub(super) fn of(name: &str) -> Arc<Self> {
        OUTAGES.with(|outages| {
            outages.retain(|(_, outage)| outage.strong_count() > 0);
            let known = outages.iter().find(|(known, _)| known == name);
            known.and_then(|(_, outage)| outage.upgrade()).unwrap_or_else(|| {
                let outage = Arc::new(Self::default());
                outages.push((name.to_owned(), Arc::downgrade(&outage)));
                outage
            })
        })
    }

    /// A connection has ended, or cannot be made. Whether that is to be told: it is not if another
    /// one told the same.
    pub(super) fn is_news(&self, failure: &RedisError) -> bool {
        let failure = failure.clone().for_others();
        self.told.with(|told| {
            let is_news = !told.contains(&failure);
            if is_news && told.len() < MAX_TOLD {
                told.push(failure);
            }
            is_news
        })
    }

    /// A connection that had ended works again. Whether that is to be told: the first one tells.
    pub(super) fn is_over(&self) -> bool {
        self.told.with(|told| !std::mem::take(told).is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{Outage, RedisError};

    #[test]
    fn an_outage_is_told_once_for_all_connections_of_a_name() {
        let (one, other) = (Outage::of("outage-test"), Outage::of("outage-test"));
        let refused = RedisError::Down("refused".to_owned());
        assert!(one.is_news(&RedisError::Lost("eof".to_owned())));
        assert!(other.is_news(&refused));
        assert!(!other.is_news(&RedisError::Lost("eof".to_owned())), "by the other connection");
        assert!(!other.is_news(&RedisError::Down("eof".to_owned())), "to who sent nothing");
        assert!(Outage::of("outage-test-2").is_news(&refused), "another server");
        assert!(one.is_over() && !other.is_over());
        assert!(other.is_news(&refused), "the next outage");
    }
}
