//! Visitors who count on all nodes while something happens to nodes or store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Answer, Nodes, Sent, Visitor};

/// What a visitor knows of the own counter.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) acknowledged: i64,
    /// Requests that were cut, or got a 503: perhaps done, perhaps not.
    pub(super) unknown: i64,
    /// How many of these got a 503.
    pub(super) refused: i64,
    pub(super) longest: Duration,
}

impl Tally {
    /// Nothing acknowledged is missing, and nothing was done twice.
    #[track_caller]
    pub(super) fn check(&self, found: i64) {
        assert!(found >= self.acknowledged, "{} lost: {self:?}", self.acknowledged - found);
        assert!(found <= self.acknowledged + self.unknown, "{found}, but only {self:?}");
    }
}

/// A visitor who has been here before, with the own count.
pub(super) struct Guest<'a> {
    pub(super) visitor: Visitor<'a>,
    pub(super) tally: Tally,
}

impl Guest<'_> {
    /// Asks every node for the count.
    #[track_caller]
    pub(super) fn check(&mut self, nodes: &Nodes) {
        for node in 0..nodes.count() {
            let deadline = Instant::now() + nodes.lateness();
            loop {
                let found = self.visitor.text(node, "/read").parse().expect("a number");
                if found >= self.tally.acknowledged || Instant::now() >= deadline {
                    self.tally.check(found);
                    break;
                }
            }
        }
    }

    /// Counts once; true when it was acknowledged.
    #[track_caller]
    pub(super) fn count(&mut self, node: usize) -> bool {
        let begun = Instant::now();
        let before = self.visitor.browser.session().map(str::to_owned);
        let sent = self.visitor.try_get(node, "/count");
        self.tally.longest = self.tally.longest.max(begun.elapsed());
        match sent {
            Sent::Answered(answer) if answer.status == 200 => {
                self.tally.acknowledged += 1;
                // The number is what this node saw with the own change, perhaps a little late.
                let seen: i64 = answer.text().parse().expect("a number");
                assert!(seen <= self.tally.acknowledged + self.tally.unknown, "{:?}", self.tally);
                assert_eq!(self.visitor.browser.session(), before.as_deref(), "the cookie");
                return true;
            }
            Sent::Answered(answer) => {
                expect_unavailable(&answer);
                self.tally.refused += 1;
                self.tally.unknown += 1;
            }
            Sent::Cut => self.tally.unknown += 1,
            Sent::Nothing => {}
        }
        false
    }
}

/// A 503 that says when to come again and leaves the cookies alone.
#[track_caller]
pub(super) fn expect_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}{}", answer.head, answer.text());
    assert!(answer.header("retry-after").is_some(), "{}", answer.head);
    assert_eq!(answer.headers("set-cookie"), Vec::<&str>::new(), "{}", answer.head);
}

pub(super) fn guests(nodes: &Nodes, count: usize) -> Vec<Guest<'_>> {
    let arrive = |number: usize| {
        let mut visitor = nodes.visitor();
        visitor.text(number % nodes.count(), "/set/base/1");
        Guest { visitor, tally: Tally::default() }
    };
    (0..count).map(arrive).collect()
}

/// All guests count, each on one node after the other, while `happens` runs; what it returns.
pub(super) fn under_load<R: Send>(
    nodes: &Nodes,
    guests: &mut [Guest<'_>],
    happens: impl FnOnce() -> R + Send,
) -> R {
    let is_over = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        for (number, guest) in guests.iter_mut().enumerate() {
            let is_over = &is_over;
            scope.spawn(move || {
                for turn in number.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    if !guest.count(turn % nodes.count()) {
                        // As a client that was told to come again later, only less patient.
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            });
        }
        let outcome = scope.spawn(happens).join();
        is_over.store(true, Ordering::Relaxed);
        outcome
    });
    for guest in guests.iter() {
        eprintln!("{:?}", guest.tally);
        assert!(guest.tally.acknowledged > 4, "there was no load: {:?}", guest.tally);
    }
    outcome.expect("what happened went as planned")
}
