//! Data behaves as a sorted map, whatever part of it was read and whatever was changed since.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{Data, Key, Space};

type Model = BTreeMap<(Space, String), Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Put(Space, String, Vec<u8>),
    Remove(Space, String),
    Clear(Space),
    /// Written and read again: all is in the record then.
    Store,
}

fn space() -> impl Strategy<Value = Space> {
    prop_oneof![Just(Space::User), Just(Space::Flash), Just(Space::Framework)]
}

/// Few names, so that they meet; one begins like another.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(""), Just("a"), Just("ab"), Just("b"), Just("é")].prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (space(), name(), value()).prop_map(|(space, name, value)| Step::Put(space, name, value)),
        3 => (space(), name()).prop_map(|(space, name)| Step::Remove(space, name)),
        1 => space().prop_map(Step::Clear),
        1 => Just(Step::Store),
    ]
}

fn key(space: Space, name: &str) -> Key {
    Key { space, name: name.into() }
}

fn stored(data: &Data) -> Data {
    let mut bytes = vec![7; 3];
    data.encode(&mut bytes);
    assert_eq!(bytes.len(), 3 + data.encoded_len());
    Data::index(bytes, 3).unwrap()
}

fn apply(step: Step, model: &mut Model, data: &mut Data) {
    match step {
        Step::Put(space, name, value) => {
            let key = key(space, &name);
            let foreseen = data.len_with(&key, value.len());
            data.put(&key, value.as_slice().into());
            assert_eq!(data.encoded_len(), foreseen);
            model.insert((space, name), value);
        }
        Step::Remove(space, name) => {
            let was_there = model.remove(&(space, name.clone())).is_some();
            assert_eq!(data.remove(&key(space, &name)), was_there);
        }
        Step::Clear(space) => {
            data.retain(|other| other != space);
            model.retain(|(other, _), _| *other != space);
        }
        Step::Store => *data = stored(data),
    }
}

proptest! {
    #[test]
    fn data_is_a_sorted_map(
        first in btree_map((space(), name()), value(), 0..8),
        steps in vec(step(), 0..12),
    ) {
        let (mut model, mut data) = (Model::new(), Data::default());
        for ((space, name), value) in first {
            apply(Step::Put(space, name, value), &mut model, &mut data);
        }
        data = stored(&data);
        for step in steps {
            apply(step, &mut model, &mut data);
            let pairs = data.iter().map(|(space, name, value)| {
                ((space, String::from_utf8(name.to_vec()).unwrap()), value.to_vec())
            });
            prop_assert_eq!(pairs.collect::<Vec<_>>(), Vec::from_iter(model.clone()));
            for ((space, name), value) in &model {
                prop_assert_eq!(data.value(*space, name), Some(value.as_slice()));
            }
            prop_assert_eq!(data.is_empty(), model.is_empty());
            prop_assert_eq!(&stored(&data), &data);
        }
    }
}
