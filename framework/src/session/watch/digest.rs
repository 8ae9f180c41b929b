//! What is kept of a state to see what the next one changed: a hash of each value, so that watching
//! a large session costs little memory.

use std::hash::{BuildHasher, RandomState};

use super::super::data::{Data, Space};
use super::change::Change;

/// The application's keys of one state, sorted, each with a hash of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Digest(Vec<(Box<str>, u64)>);

impl Digest {
    /// `hasher` is keyed at random, so that no client can make two values look like one.
    pub(super) fn of(data: &Data, hasher: &RandomState) -> Self {
        let hashed = |(name, value): (&str, &[u8])| (name.into(), hasher.hash_one(value));
        Self(data.values(Space::User).map(hashed).collect())
    }

    /// What changed from this state to `newer`; `None` if no key of the application did.
    pub(super) fn change_to(&self, newer: &Self, version: u64) -> Option<Change> {
        let (mut keys, mut removed) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (self.0.iter().peekable(), newer.0.iter().peekable());
        loop {
            let next = match (old.peek(), new.peek()) {
                (Some((gone, _)), Some((name, _))) if gone == name => {
                    let (before, after) = (old.next(), new.next());
                    if before == after {
                        continue;
                    }
                    name
                }
                (Some((gone, _)), other) if other.is_none_or(|(name, _)| gone < name) => {
                    old.next();
                    removed.push(gone.to_string());
                    gone
                }
                (_, Some((name, _))) => {
                    new.next();
                    name
                }
                (_, None) => break,
            };
            keys.push(next.to_string());
        }
        (!keys.is_empty()).then_some(Change { version, keys, removed })
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::Digest;
    use crate::session::data::{Data, Key, Space};

    fn digest(hasher: &RandomState, values: &[(&str, &str)]) -> Digest {
        let mut data = Data::default();
        for (name, value) in values {
            data.put(&Key { space: Space::User, name: (*name).into() }, value.as_bytes().into());
        }
        data.put(&Key { space: Space::Flash, name: "notice".into() }, [1, 2].as_slice().into());
        Digest::of(&data, hasher)
    }

    #[test]
    fn keys_that_were_set_changed_or_removed_are_named() {
        let hasher = RandomState::new();
        for (before, after, keys, removed) in [
            (&[][..], &[("a", "1")][..], &["a"][..], &[][..]),
            (&[("a", "1")], &[("a", "2")], &["a"], &[]),
            (&[("a", "1")], &[], &["a"], &["a"]),
            (&[("a", "1"), ("c", "1")], &[("b", "1"), ("c", "1")], &["a", "b"], &["a"]),
            (&[("b", "1")], &[("a", "1"), ("b", "1"), ("c", "1")], &["a", "c"], &[]),
            (&[("a", "1"), ("b", "1"), ("c", "1")], &[("b", "2")], &["a", "b", "c"], &["a", "c"]),
        ] {
            let change = digest(&hasher, before).change_to(&digest(&hasher, after), 7).unwrap();
            assert_eq!(
                (change.version, &change.keys[..]),
                (7, &keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>()[..]),
                "{before:?} to {after:?}"
            );
            assert_eq!(change.removed, removed, "{before:?} to {after:?}");
        }
        let same = digest(&hasher, &[("a", "1")]);
        assert_eq!(same.change_to(&digest(&hasher, &[("a", "1")]), 7), None);
    }
}
