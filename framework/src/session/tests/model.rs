//! The real commit under a model checker: the real manager, queue and session, whose locks wait in
//! the checker, over a store in memory at each of whose calls another request may go on. Small
//! cases are tried in every interleaving, larger ones in many random ones.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner, thread};

use super::after;
use super::memory::MemoryStore;
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::runtime::checked::{checked, point};
use crate::session::events::Event;
use crate::session::record::Entry;
use crate::session::{
    CookieChange, CookiePolicy, Expected, Manager, Outcome, Renewed, Session, SessionSettings,
    SessionStore, StoreError, StoreKey, Stored, Swap, Swept, Touch as Touched,
};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Increment,
    Set,
    Remove,
    Touch,
    Destroy,
    Regenerate,
    Rotate,
    Login,
}
use Act::{Destroy, Increment, Login, Regenerate, Remove, Rotate, Set, Touch};

const ACTS: [Act; 8] = [Increment, Set, Remove, Touch, Destroy, Regenerate, Rotate, Login];

/// A store at each of whose calls the checker may go on with another request.
#[derive(Debug, Default)]
struct Stepwise(MemoryStore);

impl SessionStore for Stepwise {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        point();
        self.0.load(key, now)
    }

    fn load_many(
        &self,
        keys: &[StoreKey],
        now: SystemTime,
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        point();
        self.0.load_many(keys, now)
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        point();
        self.0.swap(key, expected, new, now)
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touched, StoreError> {
        point();
        self.0.touch(key, version, renewed, now)
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        point();
        self.0.remove(key)
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.0.sweep(now, budget)
    }
}

/// What became of a request.
#[derive(Debug)]
struct Answer {
    act: Act,
    number: usize,
    /// It was told no error.
    is_done: bool,
    /// What it did is stored, in the session that was there before.
    is_stored: bool,
    /// It came when the session had ended, and began another.
    is_newcomer: bool,
    change: CookieChange,
    cookie: String,
}

struct World {
    managers: Vec<Arc<Manager>>,
    store: Arc<Stepwise>,
    cookie: String,
}

impl World {
    /// A session with some data, perhaps old enough to be touched, and so many processes.
    fn new(nodes: usize, is_old: bool) -> Self {
        let (store, clock) = (Arc::new(Stepwise::default()), ManualClock::new());
        let managers: Vec<_> = (0..nodes)
            .map(|_| {
                let (settings, policy) = (SessionSettings::default(), CookiePolicy::default());
                let manager = Manager::new("m", store.clone(), settings, policy, clock.clock());
                Arc::new(manager.unwrap())
            })
            .collect();
        let session = managers[0].open([], None);
        session.set("born", 1).unwrap();
        session.set("a", 1).unwrap();
        let cookie = after("", &managers[0].commit(&session, Outcome::Keep).unwrap().cookie);
        if is_old {
            clock.advance(Duration::from_secs(60));
        }
        Self { managers, store, cookie }
    }

    fn open(&self, cookie: &str) -> Session {
        self.managers[0].open([cookie], None)
    }

    fn has<T: serde::de::DeserializeOwned>(&self, cookie: &str, key: &str) -> Option<T> {
        self.open(cookie).get(key).unwrap()
    }

    /// Sessions that come from the first one, as the store has them.
    fn living(&self) -> usize {
        let mut living = 0;
        for (_, stored) in self.store.0.records() {
            let Ok(Entry::Session(record)) = Entry::decode(stored.bytes) else { continue };
            assert_eq!(record.pending, None, "at rest nothing is pending");
            let born = crate::session::data::Key {
                space: crate::session::data::Space::User,
                name: "born".into(),
            };
            living += usize::from(record.data.get(&born).is_some());
        }
        living
    }
}

fn request(manager: &Arc<Manager>, cookie: &str, act: Act, number: usize) -> Answer {
    let session = manager.open([cookie], None);
    let is_newcomer = session.get::<u8>("born").unwrap().is_none();
    let done = match act {
        Act::Increment => session.increment("n", 1).map(drop),
        Act::Set => session.set(&format!("s{number}"), number),
        Act::Remove => session.remove("a").map(drop),
        Touch => Ok(()),
        Act::Destroy => session.destroy(),
        Act::Regenerate => session.regenerate(),
        Act::Rotate => session.rotate(),
        Act::Login => session.login(format!("user {number}")),
    };
    let done = done.and_then(|()| match act {
        Touch => Ok(()),
        _ => session.save(),
    });
    if let Err(error) = &done {
        assert_eq!(error.kind(), ErrorKind::SessionGone, "{}", error.chain());
    }
    let change = manager.commit(&session, Outcome::Keep).unwrap().cookie;
    let cookie = after(cookie, &change);
    let is_done = done.is_ok();
    Answer { act, number, is_done, is_stored: is_done && !is_newcomer, is_newcomer, change, cookie }
}

/// All requests of one session at once, over so many processes; then what must hold.
fn scenario(acts: &[Act], nodes: usize) {
    // Old only where needed: each renewal is a call more, and interleavings grow with the calls.
    let world = World::new(nodes, acts.contains(&Touch));
    let threads: Vec<_> = acts
        .iter()
        .enumerate()
        .map(|(number, act)| {
            let (manager, cookie) = (world.managers[number % nodes].clone(), world.cookie.clone());
            let act = *act;
            thread::spawn(move || request(&manager, &cookie, act, number))
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    verify(&world, &answers);
}

fn verify(world: &World, answers: &[Answer]) {
    for manager in &world.managers {
        for event in [Event::UnknownOutcome, Event::ConflictGivenUp, Event::Undecodable] {
            assert_eq!(manager.events().count(event), 0, "{event:?}: {answers:?}");
        }
    }
    let stored =
        |act: Act| answers.iter().filter(move |answer| answer.act == act && answer.is_stored);
    let is_set = |answer: &&Answer| matches!(answer.change, CookieChange::Set(_));
    let ended = answers.iter().any(|answer| matches!(answer.change, CookieChange::Delete(_)));
    assert_eq!(world.living(), usize::from(!ended), "{answers:?}");
    // Whoever was told that it worked, also one who came when it had ended by itself.
    let has_left = |answer: &Answer| answer.act == Destroy && answer.is_done;
    assert!(!answers.iter().any(has_left) || world.living() == 0, "lives on: {answers:?}");
    let known = || {
        let old_browsers = answers.iter().filter(|answer| !answer.is_newcomer);
        std::iter::once(&world.cookie).chain(old_browsers.map(|answer| &answer.cookie))
    };
    let live = known().find(|cookie| world.has::<u8>(cookie, "born").is_some());
    assert_eq!(live.is_some(), !ended, "resurrected, or neither: {answers:?}");
    let Some(live) = live else { return };
    let increments = stored(Increment).count() as u64;
    assert_eq!(world.has(live, "n").unwrap_or(0), increments, "{answers:?}");
    for answer in stored(Set) {
        assert!(world.has::<usize>(live, &format!("s{}", answer.number)).is_some(), "{answers:?}");
    }
    if stored(Remove).next().is_some() {
        assert_eq!(world.has::<u8>(live, "a"), None, "{answers:?}");
    }
    let fresh: Vec<_> = stored(Regenerate).chain(stored(Login)).filter(is_set).collect();
    let rotated: Vec<_> = stored(Rotate).filter(is_set).map(|answer| &answer.cookie).collect();
    if fresh.is_empty() {
        assert!(rotated.windows(2).all(|two| two[0] == two[1]), "one successor: {answers:?}");
        assert_eq!(world.has::<u8>(&world.cookie, "born"), Some(1), "in its grace: {answers:?}");
    } else {
        assert_eq!(world.has::<u8>(&world.cookie, "born"), None, "an alias: {answers:?}");
    }
    if let Some(user) = world.open(live).user().unwrap() {
        let is_acknowledged = |answer: &Answer| user == format!("user {}", answer.number);
        assert!(stored(Login).any(is_acknowledged), "{answers:?}");
    }
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(100_000);
    checked(|| Runner::new(scheduler, config).run(scenario))
}

/// The short ones between two processes, where only the store is between them: each order of their
/// calls there is.
#[test]
fn pairs_of_requests_in_every_interleaving() {
    let pairs = [
        [Increment, Increment],
        [Set, Remove],
        [Increment, Destroy],
        [Touch, Destroy],
        [Touch, Increment],
        [Destroy, Destroy],
        [Increment, Regenerate],
        [Destroy, Regenerate],
        [Destroy, Rotate],
    ];
    for pair in pairs {
        const BOUND: usize = 20_000;
        let tried = run(DfsScheduler::new(Some(BOUND), false), move || scenario(&pair, 2));
        assert!(tried < BOUND, "{pair:?} has more interleavings");
        println!("{pair:?}: {tried}");
    }
}

#[test]
fn every_pair_of_requests_in_many_interleavings() {
    for (at, a) in ACTS.into_iter().enumerate() {
        for b in ACTS.into_iter().skip(at) {
            for nodes in [1, 2] {
                run(RandomScheduler::new(40 * times()), move || scenario(&[a, b], nodes));
            }
        }
    }
}

#[test]
fn three_requests_in_many_interleavings() {
    for a in ACTS {
        for b in ACTS {
            for (c, nodes) in [(Increment, 1), (Rotate, 2), (Destroy, 1), (Regenerate, 2)] {
                run(RandomScheduler::new(6 * times()), move || scenario(&[a, b, c], nodes));
                run(PctScheduler::new(3, 6 * times()), move || scenario(&[a, b, c], nodes));
            }
        }
    }
}

/// `MAYPOLE_MODEL=50` tries fifty times as many interleavings, for a night.
fn times() -> usize {
    std::env::var("MAYPOLE_MODEL").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}
