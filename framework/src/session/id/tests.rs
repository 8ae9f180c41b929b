//! Ids: one spelling each, keys apart from each other.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{Handle, Keyring, SessionId};

proptest! {
    #[test]
    fn an_id_has_exactly_one_spelling(bytes in any::<[u8; 32]>(), at in 0..43_usize, to in any::<u8>()) {
        let id = SessionId::from_bytes(bytes);
        let text = id.cookie_value();
        prop_assert_eq!(text.len(), 43);
        prop_assert_eq!(SessionId::parse(text.as_bytes()), Some(id.clone()));
        let mut other = text.clone().into_bytes();
        other[at] = to;
        if other != text.as_bytes() {
            prop_assert!(SessionId::parse(&other) != Some(id));
        }
    }
}

#[test]
fn what_is_no_id_is_refused() {
    let a = "A".repeat(42);
    assert!(SessionId::parse(format!("{a}A").as_bytes()).is_some());
    // 43 characters carry 258 bits: the last two must be zero.
    assert!(SessionId::parse(format!("{a}E").as_bytes()).is_some());
    for last in ["B", "C", "D", "F", "_"] {
        assert!(SessionId::parse(format!("{a}{last}").as_bytes()).is_none(), "{last}");
    }
    for text in
        ["", "A", &a, &format!("{a}AA"), &format!("{a}="), &format!("+{a}"), &format!("/{a}")]
    {
        assert!(SessionId::parse(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn the_alphabet_is_base64url() {
    // RFC 4648 section 10, and both characters that differ from base64.
    assert_eq!(super::encode_base64url(b"fooba"), "Zm9vYmE");
    assert_eq!(super::encode_base64url(b"foob"), "Zm9vYg");
    assert_eq!(super::encode_base64url(&[0xfb, 0xef, 0xff]), "--__");
}

#[test]
fn the_key_is_the_hash_of_name_nought_and_id() {
    // printf 'shop\0' + 32 times 0x07 | sha256sum
    let key = Keyring::new("shop").session(&SessionId::from_bytes([7; 32]));
    let expected = {
        use sha2::Digest;
        let mut bytes = b"shop\0".to_vec();
        bytes.extend([7; 32]);
        sha2::Sha256::digest(bytes)
    };
    assert_eq!(key.as_bytes()[..], expected[..]);
    assert_ne!(key, Keyring::new("shop2").session(&SessionId::from_bytes([7; 32])));
    let name = String::from_utf8(vec![7; 32]).unwrap();
    assert_ne!(key, Keyring::new("shop").reserved(&name));
}

#[test]
fn a_successor_follows_from_id_and_nonce() {
    let id = SessionId::from_bytes([1; 32]);
    let next = id.successor(&[2; 32]).unwrap();
    assert_eq!(next, id.successor(&[2; 32]).unwrap());
    assert_ne!(next, id.successor(&[3; 32]).unwrap());
    assert_ne!(next, SessionId::from_bytes([2; 32]).successor(&[2; 32]).unwrap());
}

#[test]
fn handles_are_read_as_written() {
    let handle = Handle::from_bytes([0xfe; 16]);
    assert_eq!(Handle::parse(&handle.to_string()), Some(handle));
    assert_eq!(Handle::parse(&"_".repeat(22)), None);
}
