//! Bytes to records and back, and everything that is no record.

use std::time::{Duration, SystemTime};

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{End, Entry, Epochs, Lifetime, Record, Tokens, Tombstone, Undecodable, fuzz_one};
use crate::session::data::{Data, Key, Space};
use crate::session::id::Handle;
use crate::session::store::StoreKey;

fn time() -> impl Strategy<Value = SystemTime> {
    (0..1_u64 << 45).prop_map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
}

fn record() -> impl Strategy<Value = Record> {
    let space = prop_oneof![Just(Space::User), Just(Space::Flash), Just(Space::Framework)];
    let data = btree_map((space, ".{0,20}"), vec(any::<u8>(), 0..50), 0..10);
    let pending = proptest::option::of(any::<[u8; 32]>());
    let user = proptest::option::of("[a-zé]{1,40}");
    let rest = (vec(any::<u64>(), 0..20), any::<[u8; 16]>(), 0..1_u64 << 40);
    (time(), time(), proptest::option::of(time()), data, pending, user, rest).prop_map(
        |(created, absolute, last_auth, values, pending, user, (marks, handle, idle))| {
            let (mut data, mut tokens) = (Data::default(), Tokens::default());
            for ((space, name), value) in values {
                data.put(&Key { space, name: name.into() }, value.into());
            }
            marks.into_iter().for_each(|mark| tokens.push(mark));
            Record {
                created,
                idle: Duration::from_millis(idle),
                absolute,
                handle: Handle::from_bytes(handle),
                pending: pending.map(StoreKey::from_bytes),
                lifetime: match idle % 3 {
                    0 => Lifetime::Configured,
                    1 => Lifetime::Own,
                    _ => Lifetime::Remembered,
                },
                epochs: user.as_ref().map_or_else(Epochs::default, |user: &String| Epochs {
                    user: idle,
                    everybody: user.len() as u64,
                }),
                user: user.map(Into::into),
                last_auth,
                tokens,
                data,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was(record in record()) {
        let bytes = record.encode();
        prop_assert_eq!(bytes.len(), record.encoded_len());
        prop_assert_eq!(Entry::decode(bytes), Ok(Entry::Session(record)));
    }

    #[test]
    fn no_change_of_a_byte_and_no_cut_panics(
        record in record(), at in any::<usize>(), to in any::<u8>(), cut in any::<usize>(),
    ) {
        let mut bytes = record.encode();
        fuzz_one(&bytes[..cut % bytes.len()]);
        let at = at % bytes.len();
        bytes[at] = to;
        fuzz_one(&bytes);
    }

    #[test]
    fn garbage_is_no_record(bytes in vec(any::<u8>(), 0..300)) {
        fuzz_one(&bytes);
        let headed: Vec<u8> = [1, 1].into_iter().chain(bytes).collect();
        fuzz_one(&headed);
    }
}

#[test]
fn tombstones_come_back() {
    let by = StoreKey::from_bytes([9; 32]);
    for end in [End::Ended, End::Replaced { by }, End::Rotated { by, nonce: [7; 32] }] {
        let tombstone = Tombstone { at: SystemTime::UNIX_EPOCH, token: 42, end };
        let bytes = tombstone.encode();
        for cut in 0..bytes.len() {
            fuzz_one(&bytes[..cut]);
        }
        assert_eq!(Entry::decode(bytes), Ok(Entry::Tombstone(tombstone)));
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let mut data = Data::default();
    data.put(&Key { space: Space::User, name: "n".into() }, [0x05].as_slice().into());
    let mut tokens = Tokens::default();
    tokens.push(1);
    let record = Record {
        created: SystemTime::UNIX_EPOCH + Duration::from_millis(2),
        idle: Duration::from_millis(3),
        absolute: SystemTime::UNIX_EPOCH + Duration::from_millis(4),
        handle: Handle::from_bytes([0xaa; 16]),
        pending: None,
        lifetime: Lifetime::Remembered,
        user: Some("u".into()),
        epochs: Epochs { user: 7, everybody: 8 },
        last_auth: None,
        tokens,
        data,
    };
    let mut expected = vec![1, 1, 1 | 16];
    for number in [2_u64, 3, 4] {
        expected.extend(number.to_be_bytes());
    }
    expected.extend([0xaa; 16]);
    expected.extend([1, b'u', 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8]);
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 1]);
    expected.extend([0, 0, 0, 1, 0, 1, b'n', 0, 0, 0, 1, 0x05]);
    assert_eq!(record.encode(), expected);
}

#[test]
fn a_count_that_the_bytes_cannot_hold_is_damage() {
    let mut bytes = vec![1, 1, 0];
    bytes.extend([0; 40]);
    bytes.push(0);
    bytes.extend(u32::MAX.to_be_bytes());
    assert_eq!(Entry::decode(bytes), Err(Undecodable::Damaged));
}

#[test]
fn keys_out_of_order_or_twice_are_damage() {
    let head = [&[1, 1, 0][..], &[0; 40], &[0]].concat();
    let entry = |name: u8| [0, 1, name, 0, 0, 0, 1, 0];
    for (first, second, is_damage) in [(b'a', b'b', false), (b'b', b'a', true), (b'a', b'a', true)]
    {
        let bytes = [&head[..], &[0, 0, 0, 2], &entry(first), &entry(second)].concat();
        assert_eq!(Entry::decode(bytes).is_err(), is_damage);
    }
}

#[test]
fn a_later_format_is_told_from_damage() {
    assert_eq!(Entry::decode(vec![2, 1, 0]), Err(Undecodable::Format(2)));
    assert_eq!(Entry::decode(vec![0, 1, 0]), Err(Undecodable::Damaged));
    assert_eq!(Entry::decode(vec![]), Err(Undecodable::Damaged));
}

#[test]
fn sixteen_tokens_are_kept() {
    let mut tokens = Tokens::default();
    (0..20).for_each(|token| tokens.push(token));
    assert!(!tokens.contains(3) && tokens.contains(4));
    assert_eq!(tokens.last(), Some(19));
}
