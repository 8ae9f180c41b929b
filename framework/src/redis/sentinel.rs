//! Whom the sentinels call master, asked again and again.
//!
//! A master that is replaced while it lives goes on answering until it is made a replica, which takes
//! sentinels ten seconds and more. What is written to it meanwhile is lost, and other processes may
//! be at the new one already. So connections end as soon as a later master is named.
//!
//! Sentinels may disagree for good: one gives a host's name and the others its address, one is cut
//! off from the others, one belongs to other servers. Whoever believed each in turn would end its
//! connections again and again. So a master is later than the known one only if the sentinel says that
//! a later election made it so (they number them, and settle by these numbers what they disagree on
//! themselves), or if the very sentinel that named the known one has changed its mind.

mod ask;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::RedisAddress;
use crate::runtime::sync::ShortLock;

pub(super) use watch::watch;

/// A sentinel that names another master for so long will not learn of the right one by itself: they
/// tell each other every two seconds.
const SETTLED: Duration = Duration::from_secs(5);

/// What a sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) master: RedisAddress,
    /// The number of the election that made it master (`config-epoch`); `None` if the sentinel
    /// does not tell us.
    pub(super) epoch: Option<u64>,
}

/// The master that connections lead to.
#[derive(Debug, Default)]
pub(super) struct Masters {
    state: ShortLock<State>,
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Named>,
    /// Since when it could not be reached while no sentinel named it.
    deserted: Option<Instant>,
}

/// The time for which one master is known.
#[derive(Debug)]
pub(super) struct Reign {
    masters: Arc<Masters>,
    begun: u64,
}

impl Masters {
    /// Hears a sentinel, which named `before` last on the same connection. True if connections
    /// lead to whom it names now.
    pub(super) fn hear(&self, said: &Named, before: Option<&RedisAddress>) -> bool {
        self.state.with(|state| {
            let Some(known) = &mut state.known else {
                state.known = Some(said.clone());
                return true;
            };
            if known.master == said.master {
                known.epoch = known.epoch.max(said.epoch);
                state.deserted = None;
                return true;
            }
            let is_later = said.epoch > known.epoch || before == Some(&known.master);
            if is_later {
                self.replace(state, said);
            }
            is_later
        })
    }

    /// Hears that `master` could not be reached, while these of so many sentinels named others. When
    /// most do so for a while, elections are numbered from the start, or nobody was elected: an
    /// administrator told them of another master.
    pub(super) fn desert(&self, master: &RedisAddress, others: &[Named], sentinels: usize) {
        // The first of those with the highest number.
        let best = others.iter().rev().max_by_key(|named| named.epoch);
        let Some(best) = best.filter(|_| others.len() * 2 > sentinels) else { return };
        self.state.with(|state| {
            if state.known.as_ref().is_none_or(|known| known.master != *master) {
                return;
            }
            let since = *state.deserted.get_or_insert_with(Instant::now);
            if since.elapsed() >= SETTLED {
                self.replace(state, best);
            }
        });
    }

    /// Hears that `master` was reached.
    pub(super) fn reached(&self, master: &RedisAddress) {
        self.state.with(|state| {
            if state.known.as_ref().is_some_and(|known| known.master == *master) {
                state.deserted = None;
            }
        });
    }

    fn replace(&self, state: &mut State, said: &Named) {
        // Never a lower number: an old truth must not look like a later one.
        let epoch = said.epoch.max(state.known.as_ref().and_then(|known| known.epoch));
        state.known = Some(Named { master: said.master.clone(), epoch });
        state.deserted = None;
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The master that is known now.
    pub(super) fn known(self: &Arc<Self>) -> Option<(RedisAddress, Reign)> {
        self.state.with(|state| {
            let master = state.known.as_ref()?.master.clone();
            let begun = self.changes.load(Ordering::Acquire);
            Some((master, Reign { masters: Arc::clone(self), begun }))
        })
    }

    fn known_address(&self) -> Option<RedisAddress> {
        self.state.with(|state| Some(state.known.as_ref()?.master.clone()))
    }
}

impl Reign {
    pub(super) fn is_over(&self) -> bool {
        self.masters.changes.load(Ordering::Acquire) != self.begun
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Masters, Named};
    use crate::config::RedisAddress;

    fn address(host: &str) -> RedisAddress {
        RedisAddress::Tcp(host.to_owned(), 1)
    }

    fn named(host: &str, epoch: u64) -> Named {
        Named { master: address(host), epoch: Some(epoch) }
    }

    fn known(masters: &Masters) -> RedisAddress {
        masters.known_address().unwrap()
    }

    #[test]
    fn a_reign_ends_with_a_later_election() {
        let masters = Arc::new(Masters::default());
        assert!(masters.known().is_none());
        assert!(masters.hear(&named("one", 3), None));
        let (_, first) = masters.known().unwrap();
        assert!(masters.hear(&named("one", 3), Some(&address("one"))));
        assert!(masters.hear(&named("one", 4), None), "elected again");
        assert!(!first.is_over(), "the same is named again");
        assert!(masters.hear(&named("two", 5), None));
        let (master, second) = masters.known().unwrap();
        assert!(first.is_over() && !second.is_over() && master == address("two"));
        assert!(masters.hear(&named("one", 6), None));
        assert!(first.is_over() && second.is_over(), "a new reign of the old one is another");
    }

    #[test]
    fn those_who_disagree_for_good_end_nothing() {
        let masters = Arc::new(Masters::default());
        assert!(masters.hear(&named("10.0.0.1", 2), None));
        let (_, reign) = masters.known().unwrap();
        for _ in 0..10 {
            assert!(!masters.hear(&named("a.host", 2), Some(&address("a.host"))));
            assert!(!masters.hear(&named("stale", 1), None));
            let unknown = Named { epoch: None, ..named("forbidden", 0) };
            assert!(!masters.hear(&unknown, Some(&address("forbidden"))));
            assert!(masters.hear(&named("10.0.0.1", 2), Some(&address("10.0.0.1"))));
        }
        assert!(!reign.is_over());
        // The first who was heard was wrong: that is found out, once.
        assert!(masters.hear(&named("right", 3), None));
        assert!(!masters.hear(&named("10.0.0.1", 2), Some(&address("10.0.0.1"))));
        assert_eq!(known(&masters), address("right"));
    }

    #[test]
    fn a_sentinel_that_changes_its_mind_is_believed_whatever_the_number() {
        let masters = Arc::new(Masters::default());
        let silent = |host| Named { epoch: None, ..named(host, 0) };
        assert!(masters.hear(&silent("one"), None));
        assert!(!masters.hear(&silent("two"), None), "nobody knows that it said otherwise");
        assert!(masters.hear(&silent("two"), Some(&address("one"))));
        assert!(masters.hear(&named("three", 7), None));
        // Told by hand of another master, it numbers from the start.
        assert!(masters.hear(&named("four", 0), Some(&address("three"))));
        assert!(!masters.hear(&named("three", 7), Some(&address("three"))), "the others lag");
        assert_eq!(known(&masters), address("four"));
    }

    #[test]
    fn a_few_that_are_cut_off_do_not_take_over_and_most_do_in_time() {
        let masters = Arc::new(Masters::default());
        assert!(masters.hear(&named("one", 7), None));
        let others = [named("two", 0), named("two", 0)];
        let long_ago = std::time::Instant::now().checked_sub(super::SETTLED);
        let deserted = || masters.state.with(|state| state.deserted);
        masters.desert(&address("one"), &others[..1], 2);
        assert_eq!(deserted(), None, "half of them");
        masters.desert(&address("other"), &others, 3);
        assert_eq!(deserted(), None, "it is not the one that was meant");
        masters.desert(&address("one"), &others, 3);
        assert!(deserted().is_some() && known(&masters) == address("one"), "not at once");
        assert!(masters.hear(&named("one", 7), None) && deserted().is_none());
        masters.state.with(|state| state.deserted = long_ago);
        masters.desert(&address("one"), &others, 3);
        assert_eq!(known(&masters), address("two"));
        assert!(masters.hear(&named("one", 8), None), "elections go on from the number known");
    }
}
