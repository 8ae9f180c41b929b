//! Any sequence of calls, restarts, crashes and compactions equals a plain map.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::{HOUR, NOW, Place, TableOptions, TableStore, compaction, key, record};
use crate::session::{Expected, Renewed, SessionStore, StoreKey, Stored, Swap, Touch};

#[derive(Debug, Clone)]
enum Call {
    Load,
    Create { bytes: usize, hours: u32 },
    Replace { bytes: usize, hours: u32, stale: bool },
    Touch { hours: u32, stale: bool, evictable: bool },
    Remove,
    Sweep { budget: usize },
    Wait { minutes: u32 },
    Reopen { torn_bytes: usize },
    Compact,
}

fn call() -> impl Strategy<Value = (u32, Call)> {
    let bytes = 0..300_usize;
    let call = prop_oneof![
        Just(Call::Load),
        (bytes.clone(), 0..4_u32).prop_map(|(bytes, hours)| Call::Create { bytes, hours }),
        (bytes, 0..4_u32, any::<bool>()).prop_map(|(bytes, hours, stale)| Call::Replace {
            bytes,
            hours,
            stale
        }),
        (0..4_u32, any::<bool>(), any::<bool>())
            .prop_map(|(hours, stale, evictable)| Call::Touch { hours, stale, evictable }),
        Just(Call::Remove),
        (1..20_usize).prop_map(|budget| Call::Sweep { budget }),
        (1..90_u32).prop_map(|minutes| Call::Wait { minutes }),
        (0..100_usize).prop_map(|torn_bytes| Call::Reopen { torn_bytes }),
        Just(Call::Compact),
    ];
    (0..6_u32, call)
}

struct Model {
    records: BTreeMap<StoreKey, Stored>,
    now: SystemTime,
    version: u64,
}

impl Model {
    fn live(&self, key: &StoreKey) -> Option<&Stored> {
        self.records.get(key).filter(|stored| stored.deadline > self.now)
    }

    fn next(&mut self, bytes: usize, hours: u32) -> Stored {
        self.version += 1;
        let deadline = self.now + HOUR * hours;
        let (last_seen, evictable) = (self.now, hours == 1);
        Stored { deadline, last_seen, evictable, ..record(self.version, vec![7; bytes]) }
    }

    /// The call on both; they must say the same.
    fn run(&mut self, store: &TableStore, number: u32, call: &Call) {
        let key = key(number);
        let found = self.live(&key).map(|found| found.version);
        let named = |stale| found.unwrap_or(3) + u64::from(stale);
        match *call {
            Call::Load => assert_eq!(store.load(&key, self.now).unwrap().as_ref(), self.live(&key)),
            Call::Create { bytes, hours } => {
                let new = self.next(bytes, hours);
                let swapped = store.swap(&key, Expected::Absent, &new, self.now).unwrap();
                assert_eq!(swapped, if found.is_some() { Swap::Conflict } else { Swap::Done });
                if swapped == Swap::Done {
                    self.records.insert(key, new);
                }
            }
            Call::Replace { bytes, hours, stale } => {
                let (expected, new) = (Expected::Version(named(stale)), self.next(bytes, hours));
                let swapped = store.swap(&key, expected, &new, self.now).unwrap();
                let wanted = match found {
                    None => Swap::Missing,
                    Some(_) if stale => Swap::Conflict,
                    Some(_) => Swap::Done,
                };
                assert_eq!(swapped, wanted);
                if swapped == Swap::Done {
                    self.records.insert(key, new);
                }
            }
            Call::Touch { hours, stale, evictable } => {
                let deadline = self.now + HOUR * hours;
                let last_seen = self.now + Duration::from_millis(5);
                let renewed = Renewed { deadline, last_seen, evictable };
                let touched = store.touch(&key, named(stale), renewed, self.now).unwrap();
                let wanted = if found.is_some() && !stale { Touch::Done } else { Touch::Stale };
                assert_eq!(touched, wanted);
                if touched == Touch::Done {
                    let stored = self.records.get_mut(&key).unwrap();
                    (stored.deadline, stored.last_seen) = (deadline, last_seen);
                    stored.evictable &= evictable;
                }
            }
            Call::Remove => {
                let removed = store.remove(&key).unwrap();
                assert_eq!(removed, self.records.remove(&key).is_some());
            }
            Call::Sweep { budget } => {
                while !store.sweep(self.now, budget).unwrap().finished {}
                while !store.sweep(self.now, budget).unwrap().finished {}
                self.records.retain(|_, stored| stored.deadline > self.now);
            }
            Call::Wait { minutes } => self.now += Duration::from_secs(60) * minutes,
            Call::Compact => compaction::compact(store, &mut |_| ()),
            Call::Reopen { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_calls_equals_a_map(calls in proptest::collection::vec(call(), 1..120)) {
        let place = Place::new();
        let open = || {
            let options = TableOptions { segment_bytes: 1500, ..place.options() };
            TableStore::open(options).unwrap()
        };
        let mut store = open();
        let mut model = Model { records: BTreeMap::new(), now: NOW, version: 10 };
        for (number, call) in calls {
            model.run(&store, number, &call);
            if let Call::Reopen { torn_bytes } = call {
                store.close().unwrap();
                // Whatever a save that was never acknowledged left at the end.
                let last = place.files().into_iter().rfind(|path| {
                    path.extension().unwrap() == "seg"
                });
                let path = last.unwrap();
                let mut bytes = super::bytes_of(&path);
                bytes.extend(std::iter::repeat_n(b'm', torn_bytes));
                super::write_file(&path, &bytes);
                store = open();
                assert!(!store.inner.journal.needs_rewrite());
            }
            let held = store.usage().sessions;
            assert_eq!(held, model.records.len() as u64, "expired ones are there until swept");
            let listed = store.list(None, usize::MAX, model.now).unwrap();
            let live = model.records.iter().filter(|(_, stored)| stored.deadline > model.now);
            let live: Vec<_> = live.map(|(key, stored)| (*key, stored.clone())).collect();
            assert_eq!(listed, live);
        }
    }
}
