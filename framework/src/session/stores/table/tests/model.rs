//! The order of stripe, journal, publication and snapshot, under a model checker that tries
//! schedules: whatever the interleaving, a crash at any moment loses nothing acknowledged, and
//! nothing removed comes back.
//!
//! The table is the real one with the checker's locks; the journal is a list in memory that is
//! "crashed" by reading it at some moment, as the files are.

use std::collections::BTreeMap;
use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread;

use super::super::entry::Entry;
use super::super::locks::Locks;
use super::super::map::{Change, Map};
use super::{key, record};
use crate::session::StoreKey;

struct Checked;

impl Locks for Checked {
    type Long = Mutex<()>;
    type Short<T: Send> = Mutex<T>;

    fn long() -> Self::Long {
        Mutex::new(())
    }

    fn hold<R>(lock: &Self::Long, section: impl FnOnce() -> R) -> R {
        let _held = lock.lock().unwrap();
        section()
    }

    fn short<T: Send>(value: T) -> Self::Short<T> {
        Mutex::new(value)
    }

    fn with<T: Send, R>(lock: &Self::Short<T>, section: impl FnOnce(&mut T) -> R) -> R {
        section(&mut lock.lock().unwrap())
    }
}

/// What a key holds: a version, or nothing any more.
type State = BTreeMap<StoreKey, Option<u64>>;
type Frame = (StoreKey, Option<u64>);

/// The files of a journal: segments by id, and the snapshot with the id up to which it stands.
#[derive(Default, Clone)]
struct Files {
    segments: BTreeMap<u64, Vec<Frame>>,
    snapshot: Option<(u64, Vec<Frame>)>,
    active: u64,
}

impl Files {
    fn append(&mut self, frame: Frame) {
        self.segments.entry(self.active).or_default().push(frame);
    }

    fn rotate(&mut self) -> u64 {
        self.active += 1;
        self.active - 1
    }

    /// The table a start would make of them.
    fn replay(&self) -> State {
        let from = self.snapshot.as_ref().map_or(0, |(id, _)| id + 1);
        let snapshot = self.snapshot.iter().flat_map(|(_, frames)| frames);
        let segments = self.segments.range(from..).flat_map(|(_, frames)| frames);
        snapshot.chain(segments).copied().collect()
    }
}

#[derive(Clone)]
struct World {
    map: Arc<Map<Checked>>,
    files: Arc<Mutex<Files>>,
    acknowledged: Arc<Mutex<State>>,
}

impl World {
    fn new() -> Self {
        Self { map: Arc::new(Map::sized(8)), files: Arc::default(), acknowledged: Arc::default() }
    }

    /// One save, or with `None` one removal, as the store does it.
    fn write(&self, key: StoreKey, removes: bool) {
        let (done, _) = self.map.change(&key, |found| {
            let version = found.as_ref().map_or(0, Entry::version);
            let next = (!removes).then_some(version + 1);
            if found.is_none() && removes {
                return (Change::Nothing, None);
            }
            self.files.lock().unwrap().append((key, next));
            let change = next.map_or(Change::Remove, |version| {
                Change::Put(Entry::of(&key, &record(version, "")))
            });
            (change, Some(next))
        });
        // Acknowledged: from now on a crash must find this, or something later of this key.
        if let Some(next) = done {
            let mut acknowledged = self.acknowledged.lock().unwrap();
            let newest = acknowledged.entry(key).or_default();
            *newest = next.max(*newest);
        }
    }

    fn compact(&self) {
        let mut copied = Vec::new();
        let rotate = || Ok::<_, ()>(self.files.lock().unwrap().rotate());
        let boundary = self.map.snapshot(rotate, |_, entries| {
            copied.extend(entries.iter().map(|entry| (entry.key, Some(entry.version()))));
            Ok(())
        });
        let boundary = boundary.unwrap();
        // Given its name, then the segments deleted: a crash may come between.
        self.files.lock().unwrap().snapshot = Some((boundary, copied));
        self.files.lock().unwrap().segments.retain(|id, _| *id > boundary);
    }

    /// A crash now, seen by somebody who remembers what was acknowledged before.
    fn crash(&self) {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let found = self.files.lock().unwrap().replay();
        for (key, version) in acknowledged {
            let found = found.get(&key).copied().flatten();
            assert!(found >= version, "acknowledged {version:?}, after a crash {found:?}");
        }
    }
}

fn check(scenario: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(scenario, 3000);
}

#[test]
fn saves_and_a_snapshot_in_any_order_lose_nothing() {
    check(|| {
        let world = World::new();
        let mut threads = Vec::new();
        for writer in 0..2 {
            let world = world.clone();
            threads.push(thread::spawn(move || {
                for n in 0..3 {
                    world.write(key((writer + n) % 2), false);
                }
            }));
        }
        let compactor = world.clone();
        threads.push(thread::spawn(move || (0..2).for_each(|_| compactor.compact())));
        let crasher = world.clone();
        threads.push(thread::spawn(move || (0..4).for_each(|_| crasher.crash())));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        world.crash();
        // With everybody at rest the files say exactly what the table says.
        let found = world.files.lock().unwrap().replay();
        for number in 0..2 {
            let key = key(number);
            let in_memory = world.map.get(&key).map(|entry| entry.version());
            assert_eq!(found.get(&key).copied().flatten(), in_memory);
        }
        assert_eq!(world.map.get(&key(0)).unwrap().version(), 3, "no save was overwritten");
    });
}

#[test]
fn what_is_removed_during_a_snapshot_stays_removed() {
    check(|| {
        let world = World::new();
        world.write(key(0), false);
        let remover = world.clone();
        let remover = thread::spawn(move || {
            remover.write(key(0), true);
            remover.write(key(1), false);
            remover.write(key(1), true);
        });
        let compactor = world.clone();
        let compactor = thread::spawn(move || (0..2).for_each(|_| compactor.compact()));
        remover.join().unwrap();
        compactor.join().unwrap();
        let found = world.files.lock().unwrap().replay();
        assert!(found.values().all(Option::is_none), "{found:?}");
    });
}
