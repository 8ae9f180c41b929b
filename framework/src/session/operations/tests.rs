//! What operations do to data, and CBOR from strangers.

use super::{Operation, apply, cbor, decode, encode};
use crate::session::data::{Data, Key, Space};

fn key(name: &str) -> Key {
    Key { space: Space::User, name: name.into() }
}

#[test]
fn operations_apply_in_order_and_keep_the_length_right() {
    let (a, b) = (key("a"), key("b"));
    let operations = [
        Operation::Set { key: a.clone(), value: encode("a", "first").unwrap() },
        Operation::Set { key: a.clone(), value: encode("a", "second").unwrap() },
        Operation::Increment { key: b.clone(), by: 1000 },
        Operation::Remove { key: a.clone() },
        Operation::Push { key: a.clone(), item: encode("a", &1).unwrap() },
    ];
    let mut data = Data::default();
    apply(&operations, &mut data).unwrap();
    assert_eq!(decode::<Vec<u8>>("a", data.get(&a).unwrap()).unwrap(), [1]);
    assert_eq!(decode::<i64>("b", data.get(&b).unwrap()).unwrap(), 1000);
    let mut bytes = Vec::new();
    data.encode(&mut bytes);
    assert_eq!(bytes.len(), data.encoded_len());
    apply(&[Operation::Clear], &mut data).unwrap();
    assert!(data.is_empty());
    assert_eq!(data.encoded_len(), 4);
}

#[test]
fn pushing_to_an_array_of_indefinite_length_works() {
    let list = key("list");
    let mut data = Data::default();
    data.put(&list, [0x9f, 1, 2, 0xff].as_slice().into());
    apply(&[Operation::Push { key: list.clone(), item: [3].as_slice().into() }], &mut data)
        .unwrap();
    assert_eq!(decode::<Vec<u8>>("list", data.get(&list).unwrap()).unwrap(), [1, 2, 3]);
}

#[test]
fn deep_values_are_refused_before_the_stack_is() {
    let bytes: Vec<u8> = std::iter::repeat_n(0x81, 10_000).chain([0]).collect();
    assert!(decode::<ciborium::Value>("deep", &bytes).is_err());
}

#[test]
fn what_is_too_deep_to_be_read_is_not_stored_and_the_deepest_fits_a_coroutine() {
    let nested = |depth: usize| {
        (0..depth).fold(serde_json::json!("leaf"), |inner, _| serde_json::json!({"k": [inner]}))
    };
    let deep = key("deep");
    crate::runtime::spawn(move || {
        let map: ciborium::Value = {
            let bytes = encode("deep", &nested(30)).unwrap();
            decode("deep", &bytes).unwrap()
        };
        let mut data = Data::default();
        let merge = || Operation::Merge { key: deep.clone(), map: map.clone() };
        apply(&[merge(), merge()], &mut data).unwrap();
        let value: serde_json::Value = decode("deep", data.get(&deep).unwrap()).unwrap();
        assert_eq!(value, nested(30));
        assert!(encode("deep", &nested(40)).is_err());
    })
    .unwrap()
    .join()
    .unwrap();
}

#[test]
fn bytes_behind_a_value_make_it_no_value() {
    assert!(decode::<u8>("a", &[1, 1]).is_err());
    assert!(decode::<u8>("a", &[]).is_err());
}

#[test]
fn a_clear_for_a_login_keeps_all_but_the_frameworks_own() {
    let token = Key { space: Space::Framework, name: "csrf".into() };
    let mut data = Data::default();
    data.put(&token, [1].as_slice().into());
    data.put(&key("a"), [1].as_slice().into());
    apply(&[Operation::Clear], &mut data).unwrap();
    assert!(data.get(&token).is_some());
    data.put(&key("a"), [1].as_slice().into());
    apply(&[Operation::ClearFramework], &mut data).unwrap();
    assert!(data.get(&token).is_none() && data.get(&key("a")).is_some());
}

#[test]
fn the_short_way_to_a_number_and_back_is_the_long_one() {
    let edges = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, i64::MAX];
    for number in edges.into_iter().flat_map(|n| [n, -n, -1 - n]) {
        let bytes = encode("n", &number).unwrap();
        assert_eq!(cbor::number(&bytes), Some(number));
        assert_eq!(cbor::written(number), bytes);
        assert_eq!(decode::<i64>("n", &bytes).unwrap(), number);
    }
    let others: [&[u8]; 8] = [
        &[],
        &[0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0], // 2^63
        &[0x18],                            // cut
        &[1, 1],                            // two values
        &[0xc2, 0x41, 1],                   // a tagged bignum
        &[0x61, b'1'],                      // text
        &[0xf5],                            // true
        &[0xf9, 0x3c, 0],                   // 1.0
    ];
    for bytes in others {
        assert_eq!(cbor::number(bytes), None, "{bytes:?}");
    }
    for bytes in [&[0x18, 1][..], &[0x19, 0, 1], &[0x3b, 0, 0, 0, 0, 0, 0, 0, 1]] {
        assert_eq!(cbor::number(bytes), decode("n", bytes).ok(), "{bytes:?}: a long spelling");
    }
}
