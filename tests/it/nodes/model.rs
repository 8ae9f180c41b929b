//! What a visitor of the soak test knows about the own session, and what must therefore be so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::load::expect_unavailable;
use crate::support::{Answer, Nodes, PATIENCE, Sent, Visitor, wait_until};

/// `/show`: user, count, list and map.
type Shown = (Option<String>, i64, Vec<String>, BTreeMap<String, String>);

/// Numbers that can be had again from their seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// What became of all requests that change something.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub(super) acknowledged: u64,
    cut: u64,
    refused: u64,
    sessions: u64,
    ended: u64,
    checks: u64,
    longest: Duration,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.cut += other.cut;
        self.refused += other.refused;
        self.sessions += other.sessions;
        self.ended += other.ended;
        self.checks += other.checks;
        self.longest = self.longest.max(other.longest);
    }
}

/// What is known of one session.
#[derive(Debug, Default)]
struct Known {
    user: Option<String>,
    count: i64,
    /// Counted, perhaps.
    perhaps: i64,
    list: BTreeSet<String>,
    perhaps_in_list: BTreeSet<String>,
    map: BTreeMap<String, String>,
    perhaps_in_map: BTreeMap<String, String>,
    steps: u32,
}

impl Known {
    /// Otherwise what does not agree.
    fn agrees_with(&self, (user, count, list, map): Shown) -> Result<(), &'static str> {
        let found: BTreeSet<_> = list.iter().cloned().collect();
        let all: BTreeSet<_> = self.list.union(&self.perhaps_in_list).cloned().collect();
        let is_known = |(leaf, value): (&String, &String)| {
            self.map.get(leaf) == Some(value) || self.perhaps_in_map.get(leaf) == Some(value)
        };
        if user != self.user {
            return Err("the user");
        }
        if !(self.count..=self.count + self.perhaps).contains(&count) {
            return Err("the count");
        }
        if found.len() != list.len() || !found.is_superset(&self.list) || !found.is_subset(&all) {
            return Err("the list");
        }
        if !self.map.keys().all(|leaf| map.contains_key(leaf)) || !map.iter().all(is_known) {
            return Err("the map");
        }
        Ok(())
    }
}

/// A visitor, the present session, and cookies of sessions that have ended.
pub(super) struct Model<'a> {
    nodes: &'a Nodes,
    name: u64,
    random: Random,
    visitor: Visitor<'a>,
    known: Known,
    dead: Vec<Visitor<'a>>,
    serial: u64,
    pub(super) totals: Totals,
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Made,
    Perhaps,
    NotMade,
}

impl<'a> Model<'a> {
    pub(super) fn new(nodes: &'a Nodes, name: u64, random: Random) -> Self {
        let (visitor, known) = (nodes.visitor(), Known::default());
        let (dead, totals) = (Vec::new(), Totals::default());
        Self { nodes, name, random, visitor, known, dead, serial: 0, totals }
    }

    /// Does something, or looks whether all is as it should be.
    pub(super) fn step(&mut self) {
        self.known.steps += 1;
        self.serial += 1;
        let (node, serial) = (self.any_node(), self.serial);
        let kind = if self.known.steps > 200 { 99 } else { self.random.below(100) };
        match kind {
            0..=29 => self.count(node),
            30..=39 => self.count_everywhere(),
            40..=49 => {
                let item = format!("{}-{serial}", self.name);
                match self.change(node, &format!("/push/{item}")) {
                    Change::Made => drop(self.known.list.insert(item)),
                    Change::Perhaps => drop(self.known.perhaps_in_list.insert(item)),
                    Change::NotMade => {}
                }
            }
            50..=59 => {
                let (leaf, value) = (format!("leaf{serial}"), serial.to_string());
                match self.change(node, &format!("/merge/{leaf}/{value}")) {
                    Change::Made => drop(self.known.map.insert(leaf, value)),
                    Change::Perhaps => drop(self.known.perhaps_in_map.insert(leaf, value)),
                    Change::NotMade => {}
                }
            }
            60..=79 => self.look(node),
            80..=87 => self.look_at_the_dead(node),
            88..=91 => drop(self.change(node, "/rotate")),
            92..=94 => self.change_id(node, "/regenerate", self.known.user.clone()),
            95..=97 => {
                let user = format!("user{}", self.name);
                self.change_id(node, &format!("/login/{user}"), Some(user));
            }
            _ => self.end(node),
        }
    }

    /// Every node is asked, until it answers.
    pub(super) fn check_at_the_end(&mut self) {
        for node in 0..self.nodes.count() {
            let before = self.totals.checks;
            wait_until("the node serves", PATIENCE, || {
                self.look(node);
                self.totals.checks > before
            });
            for dead in 0..self.dead.len() {
                self.expect_dead(node, dead);
            }
        }
    }

    fn any_node(&mut self) -> usize {
        let count = u64::try_from(self.nodes.count()).expect("few");
        usize::try_from(self.random.below(count)).expect("few")
    }

    fn change(&mut self, node: usize, path: &str) -> Change {
        let begun = Instant::now();
        let sent = self.visitor.try_get(node, path);
        self.totals.longest = self.totals.longest.max(begun.elapsed());
        self.note(&sent)
    }

    fn note(&mut self, sent: &Sent) -> Change {
        match sent {
            Sent::Answered(answer) if matches!(answer.status, 200 | 204) => {
                self.totals.acknowledged += 1;
                return Change::Made;
            }
            Sent::Answered(answer) => {
                // An end of which it is not sure that all nodes know takes the cookie along, and a
                // change of id of which it is not known whether it took place leaves that alone and
                // sends the new id beside it.
                let is_told =
                    |line: &str| line.contains("Max-Age=0") || line.starts_with("session-next=");
                if !answer.header("set-cookie").is_some_and(is_told) {
                    expect_unavailable(answer);
                }
                assert_eq!(answer.status, 503, "{}", answer.head);
                self.totals.refused += 1;
            }
            Sent::Cut => self.totals.cut += 1,
            Sent::Nothing => return Change::NotMade,
        }
        std::thread::sleep(Duration::from_millis(2));
        Change::Perhaps
    }

    fn count(&mut self, node: usize) {
        match self.change(node, "/count") {
            Change::Made => self.known.count += 1,
            Change::Perhaps => self.known.perhaps += 1,
            Change::NotMade => {}
        }
    }

    /// On all nodes at once.
    fn count_everywhere(&mut self) {
        if self.visitor.browser.session().is_none() {
            // They would be sessions of their own.
            return self.count(0);
        }
        let sent: Vec<_> = std::thread::scope(|scope| {
            let tabs = (0..self.nodes.count()).map(|node| {
                let mut tab = self.visitor.clone();
                scope.spawn(move || (tab.try_get(node, "/count"), tab.browser))
            });
            let tabs: Vec<_> = tabs.collect();
            tabs.into_iter().map(|tab| tab.join().expect("an outcome")).collect()
        });
        for (sent, browser) in sent {
            match self.note(&sent) {
                Change::Made => self.known.count += 1,
                Change::Perhaps => self.known.perhaps += 1,
                Change::NotMade => {}
            }
            // One of them may have learned of an id that an earlier, cut off answer had given.
            if matches!(&sent, Sent::Answered(answer) if answer.header("set-cookie").is_some()) {
                self.visitor.browser = browser;
            }
        }
    }

    /// What a node shows must be what is known, at once or a little later.
    fn look(&mut self, node: usize) {
        let deadline = Instant::now() + self.nodes.lateness();
        loop {
            let before = self.visitor.browser.clone();
            let Sent::Answered(answer) = self.visitor.try_get(node, "/show") else { return };
            if answer.status != 200 {
                return expect_unavailable(&answer);
            }
            let Err(what) = self.known.agrees_with(shown(&answer)) else { break };
            let (name, text, known) = (self.name, answer.text(), &self.known);
            assert!(
                what != "the user" && Instant::now() < deadline,
                "visitor {name} on node {node}, {what}: {text}\nbut {known:?}\n{before:?}"
            );
        }
        self.totals.checks += 1;
    }

    /// The old id must be dead once this was acknowledged. When it was not, the browser may hold an
    /// id that has ended, and the one that replaced it is known to nobody: it begins anew.
    fn change_id(&mut self, node: usize, path: &str, user: Option<String>) {
        let old = self.visitor.clone();
        match self.change(node, path) {
            Change::Made => {
                self.known.user = user;
                if old.browser.session() != self.visitor.browser.session() {
                    self.bury(old);
                }
            }
            Change::Perhaps => self.begin_anew(),
            Change::NotMade => {}
        }
    }

    fn end(&mut self, node: usize) {
        let old = self.visitor.clone();
        match self.change(node, "/logout") {
            Change::Made => {
                self.bury(old);
                self.begin_anew();
            }
            Change::Perhaps => self.begin_anew(),
            Change::NotMade => {}
        }
    }

    fn begin_anew(&mut self) {
        self.visitor = self.nodes.visitor();
        self.known = Known::default();
        self.totals.sessions += 1;
    }

    fn bury(&mut self, old: Visitor<'a>) {
        if old.browser.session().is_none() {
            return;
        }
        self.totals.ended += 1;
        self.dead.push(old);
        if self.dead.len() > 8 {
            self.dead.remove(0);
        }
        let (node, last) = (self.any_node(), self.dead.len() - 1);
        self.expect_dead(node, last);
    }

    fn look_at_the_dead(&mut self, node: usize) {
        let count = u64::try_from(self.dead.len()).expect("few");
        if count > 0 {
            let dead = usize::try_from(self.random.below(count)).expect("few");
            self.expect_dead(node, dead);
        }
    }

    fn expect_dead(&mut self, node: usize, dead: usize) {
        let dead = &mut self.dead[dead];
        let before = dead.browser.clone();
        let Sent::Answered(answer) = dead.try_get(node, "/show") else { return };
        if answer.status != 200 {
            return expect_unavailable(&answer);
        }
        let nothing: Shown = (None, 0, Vec::new(), BTreeMap::new());
        let found = shown(&answer);
        assert_eq!(found, nothing, "node {node} serves what has ended: {before:?}");
        self.totals.checks += 1;
    }
}

fn shown(answer: &Answer) -> Shown {
    serde_json::from_slice(&answer.body).expect("what the testee shows")
}
