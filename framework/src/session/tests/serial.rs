//! Any sequence of operations from several requests on two nodes, with commits inside other
//! commits and answers that get lost, equals the acknowledged ones one after another.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::memory::Fault;
use super::{CookieChange, Node, Outcome, after, kind};
use crate::error::ErrorKind;
use crate::session::Session;

const REQUESTS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Set(&'static str, u8),
    Remove(&'static str),
    Increment(i64),
    Push(u8),
    Update,
    Merge(&'static str, u8),
    Clear,
    Rotate,
    Regenerate,
    Take,
    Save,
    /// Commits; with another request's commit between its load and its swap.
    Commit(Option<usize>),
    Fault(Fault),
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![Just("a"), Just("b")];
    let leaf = prop_oneof![Just("x"), Just("y")];
    let fault = prop_oneof![Just(Fault::Lost), Just(Fault::AnswerLost), Just(Fault::Conflict)];
    prop_oneof![
        2 => (key.clone(), 0..9_u8).prop_map(|(key, value)| Step::Set(key, value)),
        1 => key.prop_map(Step::Remove),
        3 => (-3..9_i64).prop_map(Step::Increment),
        3 => (0..9_u8).prop_map(Step::Push),
        1 => Just(Step::Update),
        2 => (leaf, 0..9_u8).prop_map(|(leaf, value)| Step::Merge(leaf, value)),
        1 => Just(Step::Clear),
        1 => Just(Step::Rotate),
        1 => Just(Step::Regenerate),
        1 => Just(Step::Take),
        2 => Just(Step::Save),
        5 => proptest::option::of(0..REQUESTS).prop_map(Step::Commit),
        1 => fault.prop_map(Step::Fault),
    ]
}

/// One request in flight.
struct Request {
    session: Session,
    pending: Vec<Step>,
    /// Which id it came with: requests of an id that was regenerated away write nothing.
    generation: usize,
    regenerates: bool,
}

struct World {
    nodes: [Arc<Node>; 2],
    requests: Vec<Request>,
    /// What the browser holds, and which generation of ids it is.
    cookie: String,
    cookie_generation: usize,
    /// What the session must hold.
    model: Map<String, Value>,
    generation: usize,
}

impl World {
    fn new() -> Self {
        let node = Node::new();
        let other = node.other();
        let (_, cookie) = node.request("", |session| session.set("t", "once"));
        let mut world = Self {
            nodes: [Arc::new(node), Arc::new(other)],
            requests: Vec::new(),
            cookie,
            cookie_generation: 0,
            model: Map::from_iter([("t".to_owned(), json!("once"))]),
            generation: 0,
        };
        for at in 0..REQUESTS {
            let request = world.open(at);
            world.requests.push(request);
        }
        world
    }

    fn open(&self, at: usize) -> Request {
        let session = self.nodes[at % 2].open(&self.cookie);
        session.keys().unwrap();
        let (pending, generation, regenerates) = (Vec::new(), self.cookie_generation, false);
        Request { session, pending, generation, regenerates }
    }

    fn run(&mut self, at: usize, step: Step) {
        let is_current = self.requests[at].generation == self.generation;
        let request = &mut self.requests[at];
        let session = &request.session;
        match step {
            Step::Rotate | Step::Regenerate => {
                let is_regenerate = matches!(step, Step::Regenerate);
                let change = if is_regenerate { session.regenerate() } else { session.rotate() };
                match change {
                    Ok(()) => request.regenerates |= is_regenerate,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::SessionGone),
                }
            }
            Step::Take => {
                let is_cleared = request.pending.iter().any(|step| matches!(step, Step::Clear));
                let taken: Option<String> = session.take("t").unwrap();
                let expected = is_current && !is_cleared && self.model.contains_key("t");
                assert_eq!(taken.is_some(), expected, "taken exactly once");
                if taken.is_some() {
                    self.model.remove("t");
                }
            }
            Step::Save => {
                let has_changes = !request.pending.is_empty() || request.regenerates;
                match session.save() {
                    Ok(()) => assert!(is_current || !has_changes, "no silent loss"),
                    // Nothing is stored, the changes stay recorded.
                    Err(error) if error.kind() == ErrorKind::StoreUnavailable => return,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::SessionGone);
                        assert!(!is_current);
                    }
                }
                self.acknowledge(at);
            }
            Step::Commit(nested) => self.commit(at, nested),
            // More than one at a time may exhaust the patience of a commit.
            Step::Fault(fault) if self.nodes[0].store.faults_left() == 0 => {
                self.nodes[0].store.swaps_meet([fault]);
            }
            Step::Fault(_) => {}
            write => {
                perform(session, &write);
                request.pending.push(write);
            }
        }
    }

    /// A nested commit is one of the other node: within a node they queue.
    fn commit(&mut self, at: usize, nested: Option<usize>) {
        let outer = &self.requests[at];
        let has_swap =
            !outer.pending.is_empty() && !outer.regenerates && outer.generation == self.generation;
        let Some(inner) = nested.filter(|inner| has_swap && inner % 2 != at % 2) else {
            let committed = commit(&self.nodes[at % 2], &self.requests[at].session);
            return self.close(at, committed);
        };
        let node = Arc::clone(&self.nodes[inner % 2]);
        let session = self.requests[inner].session.clone();
        let result = Arc::new(crate::sync::Mutex::new(None));
        let told = Arc::clone(&result);
        self.nodes[0].store.before_swap(0, move || *told.lock() = Some(commit(&node, &session)));
        let committed = commit(&self.nodes[at % 2], &self.requests[at].session);
        let inner_committed = result.lock().take().expect("the outer commit swapped");
        self.close(inner, inner_committed);
        self.close(at, committed);
    }

    /// The response goes out; `None` is a 503, of which nothing is stored.
    fn close(&mut self, at: usize, committed: Option<CookieChange>) {
        if let Some(change) = committed {
            self.acknowledge(at);
            let cookie = after(&self.cookie, &change);
            if cookie != self.cookie {
                let generation = self.requests[at].generation;
                assert!(generation >= self.cookie_generation, "an old id replaces no new cookie");
                (self.cookie, self.cookie_generation) = (cookie, generation);
            }
        }
        self.requests[at] = self.open(at);
    }

    /// The changes of a request count from now on, unless its id was regenerated away.
    fn acknowledge(&mut self, at: usize) {
        let request = &mut self.requests[at];
        let pending = std::mem::take(&mut request.pending);
        let regenerates = std::mem::take(&mut request.regenerates);
        if request.generation != self.generation {
            return;
        }
        for step in &pending {
            apply(&mut self.model, step);
        }
        if regenerates {
            self.generation += 1;
            request.generation = self.generation;
        }
    }
}

fn commit(node: &Node, session: &Session) -> Option<CookieChange> {
    match node.manager.commit(session, Outcome::Keep) {
        Ok(committed) => Some(committed.cookie),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            None
        }
    }
}

fn perform(session: &Session, step: &Step) {
    match *step {
        Step::Set(key, value) => session.set(key, value).unwrap(),
        Step::Remove(key) => session.remove(key).unwrap(),
        Step::Increment(by) => drop(session.increment("n", by).unwrap()),
        Step::Push(item) => drop(session.push("l", item).unwrap()),
        Step::Update => drop(session.update("u", |n: &mut i64| *n = *n * 3 + 1).unwrap()),
        Step::Merge(leaf, value) => session.merge("m", json!({ leaf: value })).unwrap(),
        Step::Clear => session.clear().unwrap(),
        _ => unreachable!("no write"),
    }
}

fn apply(model: &mut Map<String, Value>, step: &Step) {
    let number =
        |model: &Map<String, Value>, key| model.get(key).map_or(0, |n| n.as_i64().unwrap());
    match *step {
        Step::Set(key, value) => drop(model.insert(key.to_owned(), json!(value))),
        Step::Remove(key) => drop(model.remove(key)),
        Step::Increment(by) => {
            let sum = number(model, "n") + by;
            model.insert("n".to_owned(), json!(sum));
        }
        Step::Push(item) => {
            let list = model.entry("l").or_insert_with(|| json!([]));
            list.as_array_mut().unwrap().push(json!(item));
        }
        Step::Update => {
            let next = number(model, "u") * 3 + 1;
            model.insert("u".to_owned(), json!(next));
        }
        Step::Merge(leaf, value) => {
            let map = model.entry("m").or_insert_with(|| json!({}));
            map.as_object_mut().unwrap().insert(leaf.to_owned(), json!(value));
        }
        Step::Clear => model.clear(),
        _ => unreachable!("no write"),
    }
}

fn check(steps: Vec<(usize, Step)>) {
    let mut world = World::new();
    for (at, step) in steps {
        world.run(at, step);
    }
    for at in 0..REQUESTS {
        world.commit(at, None);
    }
    let session = world.nodes[0].open(&world.cookie);
    let stored: Map<String, Value> = session
        .keys()
        .unwrap()
        .into_iter()
        .map(|key| (key.clone(), session.get::<Value>(&key).unwrap().unwrap()))
        .collect();
    assert_eq!(stored, world.model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operations_of_several_requests_equal_a_serial_order_of_the_acknowledged_ones(
        steps in vec((0..REQUESTS, step()), 0..60),
    ) {
        check(steps);
    }
}

#[test]
fn the_model_notices_a_lost_update() {
    // The proof that this test can fail: a set made of a stale get is no increment.
    let node = Node::new();
    let cookie = node.visitor();
    let (a, b) = (node.open(&cookie), node.open(&cookie));
    for session in [&a, &b] {
        let n = session.get_or("n", 0).unwrap();
        session.set("n", n + 1).unwrap();
    }
    node.commit(&a);
    node.commit(&b);
    assert_eq!(node.get(&cookie, "n"), Some(1));
    assert_eq!(kind(a.get::<u8>("n")), ErrorKind::SessionClosed);
}
