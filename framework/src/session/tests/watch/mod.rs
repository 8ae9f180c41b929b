//! Watching sessions: what followers are told, on the node of the change and on others, and that
//! nothing is left of them. Two managers on one store are two nodes.

mod ends;
mod hints;
mod property;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hints::{Bus, Hinting};

use super::memory::{Fault, MemoryStore};
use super::{CookiePolicy, Manager, Node, Session, SessionSettings};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::runtime::sync::ShortLock;
use crate::session::{Change, Follower, SessionEnd, Watching};

/// Remembers what it was told.
#[derive(Default)]
struct Recorder {
    told: ShortLock<(Vec<Change>, Option<SessionEnd>)>,
}

impl Follower for Recorder {
    fn wants_changes(&self) -> bool {
        true
    }

    fn changed(&self, change: &Arc<Change>) {
        self.told.with(|(changes, end)| {
            assert_eq!(*end, None, "nothing comes after the end");
            if let Some(last) = changes.last() {
                assert!(change.version > last.version, "versions ascend: {last:?}, {change:?}");
            }
            changes.push(Change::clone(change));
        });
    }

    fn ended(&self, how: SessionEnd) {
        self.told.with(|(_, end)| assert_eq!(end.replace(how), None, "one end"));
    }
}

impl Recorder {
    fn end(&self) -> Option<SessionEnd> {
        self.told.with(|(_, end)| *end)
    }

    fn last_version(&self) -> Option<u64> {
        self.told.with(|(changes, _)| changes.last().map(|change| change.version))
    }

    /// The keys of each change so far.
    fn keys(&self) -> Vec<String> {
        self.told.with(|(changes, _)| changes.iter().map(|change| change.keys.join(" ")).collect())
    }

    fn removed(&self) -> Vec<String> {
        let joined = |change: &Change| change.removed.join(" ");
        self.told.with(|(changes, _)| changes.iter().map(joined).collect())
    }
}

/// Waits until `found` gives `expected`.
#[track_caller]
fn eventually<T: PartialEq + Debug>(expected: &T, mut found: impl FnMut() -> T) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let now = found();
        if now == *expected {
            return;
        }
        assert!(Instant::now() < deadline, "{now:?} and not {expected:?}");
        crate::sleep(Duration::from_millis(2));
    }
}

/// Two nodes whose store tells each of what the other stores.
struct Pair {
    nodes: [Node; 2],
    bus: Arc<Bus>,
}

impl Pair {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl Fn(&mut SessionSettings)) -> Self {
        let (store, clock) = (Arc::new(MemoryStore::default()), ManualClock::new());
        let bus = Arc::<Bus>::default();
        let node = |node| {
            let mut settings = SessionSettings::default();
            change(&mut settings);
            let told = Hinting { inner: Arc::clone(&store), bus: Arc::clone(&bus), node };
            let policy = CookiePolicy::default();
            let manager = Manager::new("test", Arc::new(told), settings, policy, clock.clock());
            let (store, clock) = (Arc::clone(&store), clock.clone());
            Node { manager: Arc::new(manager.unwrap()), store, clock }
        };
        Self { nodes: [node(0), node(1)], bus }
    }

    fn a(&self) -> &Node {
        &self.nodes[0]
    }

    fn b(&self) -> &Node {
        &self.nodes[1]
    }
}

/// Follows the session of this cookie, in a request that goes on.
fn follow(node: &Node, cookie: &str) -> (Session, Arc<Recorder>, Watching) {
    let session = node.open(cookie);
    let recorder = Arc::<Recorder>::default();
    let watching = session.watch(&dynamic(&recorder)).unwrap();
    (session, recorder, watching)
}

/// Waits until the looks are over that follow a beginning: the first comes at once, the second with the
/// next tick, both of them on a coroutine of their own. What happens then is told by hints alone.
fn settle(node: &Node) {
    let watchers = &node.manager.watchers;
    watchers.tick();
    eventually(&true, || watchers.is_quiet());
}

/// The recorder as what it is for the watchers.
fn dynamic(recorder: &Arc<Recorder>) -> Arc<dyn Follower> {
    Arc::<Recorder>::clone(recorder)
}

fn strings(of: &[&str]) -> Vec<String> {
    of.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn a_commit_tells_which_keys_it_changed() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_session, told, _watching) = follow(&node, &cookie);
    node.request(&cookie, |session| session.increment("count", 1));
    node.request(&cookie, |session| {
        session.set("name", "Ada")?;
        session.remove("who")
    });
    node.request(&cookie, |session| session.set("name", "Ada"));
    node.request(&cookie, |session| session.flash("notice", "not the application's key"));
    node.request(&cookie, |session| session.clear());
    let expected = ["count", "name who", "count name"];
    eventually(&strings(&expected), || told.keys());
    assert_eq!(told.removed(), ["", "who", "count name"]);
    let version = node.request(&cookie, Session::version).0;
    assert_eq!(told.last_version(), version, "of the change a reader sees");
}

#[test]
fn what_changed_before_the_watching_began_is_told_too() {
    let pair = Pair::new();
    let cookie = pair.a().visitor();
    // The request has read its state when another node changes it.
    let session = pair.a().open(&cookie);
    assert_eq!(session.get::<i64>("count").unwrap(), None);
    pair.b().request(&cookie, |session| session.increment("count", 1));
    let told = Arc::<Recorder>::default();
    let _watching = session.watch(&dynamic(&told)).unwrap();
    eventually(&strings(&["count"]), || told.keys());

    // And so is one who joins a session that others watch already.
    let late = pair.a().open(&cookie);
    assert_eq!(late.get::<i64>("count").unwrap(), Some(1));
    pair.b().request(&cookie, |session| session.set("more", 1));
    eventually(&strings(&["count", "more"]), || told.keys());
    let joined = Arc::<Recorder>::default();
    let _second = late.watch(&dynamic(&joined)).unwrap();
    eventually(&strings(&["more"]), || joined.keys());
    // One who has read it all is told nothing old.
    let (_reader, fresh, _third) = follow(pair.a(), &cookie);
    pair.a().request(&cookie, |session| session.set("last", 1));
    eventually(&strings(&["last"]), || fresh.keys());
    assert_eq!(joined.keys(), ["more", "last"]);
}

#[test]
fn changes_of_another_node_are_told_by_hints_and_a_burst_costs_few_loads() {
    let pair = Pair::new();
    let cookie = pair.a().visitor();
    let followers: Vec<_> = (0..40).map(|_| follow(pair.a(), &cookie)).collect();
    settle(pair.a());
    assert!(followers.iter().all(|(_, told, _)| told.keys().is_empty()));
    let burst = pair.b().open(&cookie);
    pair.a().store.calls();
    for _ in 0..100 {
        burst.increment("count", 1).unwrap();
        burst.save().unwrap();
    }
    let version = burst.version().unwrap();
    for (_, told, _) in &followers {
        eventually(&version, || told.last_version());
    }
    let loads = pair.a().store.calls().iter().filter(|call| **call == "load_many").count();
    assert!(loads <= 101, "at most one a version: {loads}");
}

#[test]
fn a_store_that_tells_nothing_is_polled_while_somebody_watches() {
    let one = Node::with(|settings, _| settings.watch_poll = Some(Duration::from_millis(20)));
    let other = one.other();
    let cookie = one.visitor();
    let watching = follow(&one, &cookie);
    other.request(&cookie, |session| session.set("there", true));
    eventually(&strings(&["there"]), || watching.1.keys());
    drop(watching);
    eventually(&(0, 0, 0), || one.manager.watchers.sizes());
    // A look that is under way may still come.
    eventually(&true, || one.manager.watchers.is_quiet());
    one.store.calls();
    crate::sleep(Duration::from_millis(100));
    assert_eq!(one.store.calls(), Vec::<&str>::new(), "nothing polls for nobody");
}

#[test]
fn what_a_cut_connection_swallowed_is_found_afterwards() {
    let pair = Pair::new();
    let cookie = pair.a().visitor();
    let (_session, told, _watching) = follow(pair.a(), &cookie);
    let gone = pair.a().visitor();
    let (_other, ended, _still) = follow(pair.a(), &gone);
    settle(pair.a());
    pair.bus.cut(0);
    pair.b().request(&cookie, |session| session.set("while", "cut"));
    pair.b().request(&gone, Session::destroy);
    assert_eq!((told.keys(), ended.end()), (Vec::new(), None));
    pair.bus.mend(0);
    eventually(&strings(&["while"]), || told.keys());
    eventually(&Some(SessionEnd::Destroyed), || ended.end());
}

#[test]
fn a_swap_whose_answer_was_lost_is_told() {
    let node = Node::new();
    let cookie = node.visitor();
    let (_session, told, _watching) = follow(&node, &cookie);
    node.store.swaps_meet([Fault::AnswerLost]);
    node.request(&cookie, |session| session.set("applied", true));
    eventually(&strings(&["applied"]), || told.keys());
}

#[test]
fn a_store_that_is_away_ends_nothing_and_hides_nothing() {
    let pair = Pair::new();
    let cookie = pair.a().visitor();
    let (_session, told, _watching) = follow(pair.a(), &cookie);
    let writer = pair.b().open(&cookie);
    writer.set("meanwhile", 1).unwrap();
    pair.a().store.break_loads(true);
    writer.save().unwrap();
    pair.a().manager.watchers.tick();
    crate::sleep(Duration::from_millis(50));
    assert_eq!((told.keys(), told.end()), (Vec::new(), None));
    pair.a().store.break_loads(false);
    eventually(&strings(&["meanwhile"]), || told.keys());
}

#[test]
fn rotations_are_followed_on_every_node() {
    let pair = Pair::new();
    let mut cookie = pair.a().visitor();
    let here = follow(pair.a(), &cookie);
    let there = follow(pair.b(), &cookie);
    for round in 1..=3_i64 {
        cookie = pair.a().request(&cookie, Session::rotate).1;
        pair.b().request(&cookie, |session| session.increment("count", 1));
        let version = pair.a().request(&cookie, Session::version).0;
        eventually(&version, || here.1.last_version());
        eventually(&version, || there.1.last_version());
        let count = usize::try_from(round).unwrap();
        assert_eq!((here.1.keys().len(), there.1.keys().len()), (count, count));
    }
    let cookie = pair.b().request(&cookie, |session| {
        session.set("with", "it")?;
        session.rotate()
    });
    for told in [&here.1, &there.1] {
        eventually(&Some("with".to_owned()), || told.keys().pop());
        // Completing the change of id makes another version, in which no value is new.
        assert!(told.last_version() <= pair.a().request(&cookie.1, Session::version).0);
    }
    pair.a().request(&cookie.1, Session::logout);
    eventually(&Some(SessionEnd::Destroyed), || here.1.end());
    eventually(&Some(SessionEnd::Destroyed), || there.1.end());
}

#[test]
fn two_who_came_by_the_old_and_the_new_id_are_both_told() {
    let pair = Pair::new();
    let old = pair.a().visitor();
    let early = follow(pair.a(), &old);
    // The hint of the rotation does not come through before the second one joins.
    pair.bus.cut(0);
    let new = pair.b().request(&old, Session::rotate).1;
    let late = follow(pair.a(), &new);
    pair.bus.mend(0);
    pair.b().request(&new, |session| session.set("for", "both"));
    eventually(&strings(&["for"]), || early.1.keys());
    eventually(&strings(&["for"]), || late.1.keys());
    drop((early, late));
    assert_eq!(pair.a().manager.watchers.sizes(), (0, 0, 0));
}

#[test]
fn a_socket_follows_its_session_beyond_the_grace_time() {
    let pair = Pair::new();
    let mut cookie = pair.a().visitor();
    let socket = pair.a().open(&cookie);
    let told = Arc::<Recorder>::default();
    socket.get::<String>("who").unwrap();
    socket.watch_until_closed(told.clone());
    for _ in 0..3 {
        cookie = pair.b().request(&cookie, Session::rotate).1;
        pair.b().request(&cookie, |session| session.increment("count", 1));
        let version = pair.b().request(&cookie, Session::version).0;
        // The watcher has to see each rotation while its tombstone stands.
        eventually(&version, || told.last_version());
        pair.b().pass(300);
    }
    assert_eq!(told.end(), None);
    socket.look_again();
    assert_eq!(socket.get::<i64>("count").unwrap(), Some(3));
    socket.increment("count", 1).unwrap();
    socket.save().unwrap();
    assert_eq!(pair.b().get::<i64>(&cookie, "count"), Some(4));
    pair.a().manager.finish(&socket);
    assert_eq!(pair.a().manager.watchers.sizes(), (0, 0, 0));
}

#[test]
fn versions_go_on_across_every_change_of_id() {
    let node = Node::new();
    let mut cookie = node.visitor();
    let version = |cookie: &str| node.request(cookie, Session::version).0.unwrap();
    let mut last = version(&cookie);
    assert!(last < 1 << 53, "exact as a number of JavaScript");
    for change in [Session::rotate, Session::regenerate, |session: &Session| session.login("ada")] {
        let base = node.other().manager;
        // Another writer is faster while the id changes.
        let (slow, racing) = (node.open(&cookie), cookie.clone());
        change(&slow).unwrap();
        node.store.before_swap(1, move || {
            let session = base.open([racing.as_str()], None);
            session.increment("count", 1).unwrap();
            base.commit(&session, super::Outcome::Keep).unwrap();
        });
        cookie = super::after(&cookie, &node.commit(&slow));
        assert!(version(&cookie) > last + 1);
        last = version(&cookie);
    }
    assert_eq!(node.get::<i64>(&cookie, "count"), Some(3));
}

#[test]
fn nothing_is_left_of_followers_that_have_gone() {
    let pair = Pair::new();
    let mut cookies: Vec<_> = (0..20).map(|_| pair.a().visitor()).collect();
    for cookie in &mut cookies[..10] {
        *cookie = pair.a().request(cookie, |session| session.login("ada")).1;
    }
    let following: Vec<_> = cookies
        .iter()
        .flat_map(|cookie| [follow(pair.a(), cookie), follow(pair.a(), cookie)])
        .collect();
    assert_eq!(pair.a().manager.watchers.sizes(), (20, 40, 22));
    assert_eq!(pair.bus.followed(0), 22, "20 sessions, an epoch of the user, one of everybody");
    // A session that is bound meanwhile is followed by its user's epoch as well, one that ended
    // by nothing.
    pair.b().request(&cookies[19], |session| session.bind_user("eve"));
    pair.b().request(&cookies[18], Session::destroy);
    eventually(&(19, 38, 22), || pair.a().manager.watchers.sizes());
    drop(following);
    assert_eq!(pair.a().manager.watchers.sizes(), (0, 0, 0));
    assert_eq!(pair.bus.followed(0), 0);
}

#[test]
fn who_watches_nothing_pays_nothing() {
    let node = Node::new();
    let cookie = node.visitor();
    node.store.calls();
    node.request(&cookie, |session| session.increment("count", 1));
    assert_eq!(node.store.calls(), ["load", "swap"]);
}

#[test]
fn there_must_be_a_session_to_watch() {
    let node = Node::new();
    let told = Arc::<Recorder>::default();
    let nobody = node.open("");
    assert_eq!(nobody.watch(&dynamic(&told)).unwrap_err().kind(), ErrorKind::NoSession);
    nobody.set("first", 1).unwrap();
    assert_eq!(nobody.watch(&dynamic(&told)).unwrap_err().kind(), ErrorKind::NoSession);
    nobody.save().unwrap();
    nobody.watch(&dynamic(&told)).unwrap();
    let cookie = node.visitor();
    let replaced = node.open(&cookie);
    node.request(&cookie, Session::regenerate);
    assert_eq!(replaced.watch(&dynamic(&told)).unwrap_err().kind(), ErrorKind::SessionGone);
    let outside = Session::detached();
    assert_eq!(outside.watch(&dynamic(&told)).unwrap_err().kind(), ErrorKind::NoRequest);
    let closed = node.open(&cookie);
    node.commit(&closed);
    assert_eq!(closed.watch(&dynamic(&told)).unwrap_err().kind(), ErrorKind::SessionClosed);
}
