//! Bytes of the journal.

use proptest::prelude::*;

use super::super::entry::Entry;
use super::super::frame::{self, Frames};
use super::{key, record};

proptest! {
    #[test]
    fn any_bytes_parse_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        frame::fuzz_one(&bytes);
        frame::fuzz_one(&[b"mptP".as_slice(), &[3, 0, 0, 0], &bytes].concat());
        frame::fuzz_one(&[b"mptT".as_slice(), &[0; 4], &bytes].concat());
    }
}

#[test]
fn no_changed_bit_passes() {
    let mut frames = Frames::default();
    frames.put(&Entry::of(&key(1), &record(7, "payload")));
    frame::seal(&mut frames.0, 99);
    let entry = |bytes: &[u8]| frame::parse(bytes, 99).filter(|header| header.is_whole(bytes));
    assert!(entry(&frames.0).is_some());
    for bit in 0..frames.0.len() * 8 {
        let mut bytes = frames.0.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(entry(&bytes).is_none(), "bit {bit}");
    }
}

/// The bytes of a session may hold whole frames of this journal's own format.
#[test]
fn a_frame_of_another_segment_is_none() {
    let mut frames = Frames::default();
    frames.remove(&key(1));
    frame::seal(&mut frames.0, 99);
    assert!(frame::parse(&frames.0, 99).is_some());
    assert!((0..99).all(|salt| frame::parse(&frames.0, salt).is_none()));
}
