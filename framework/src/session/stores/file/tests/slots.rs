//! The slot format on its own.

use std::time::{Duration, UNIX_EPOCH};

use super::super::slot::{self, HEADER_BYTES, Header, Slot};
use super::{key, record};

fn slot_with(payload: &[u8], sequence: u64) -> (Header, Vec<u8>) {
    let stored = record(7, payload);
    let header = Header::of(&stored, sequence);
    let slot_bytes = slot::slot_bytes_for(payload.len());
    let mut bytes = slot::encode(&key(1), &header, payload, slot_bytes);
    bytes.resize(slot_bytes, 0xee);
    (header, bytes)
}

#[test]
fn slots_share_a_page_only_when_both_fit_into_it() {
    let sizes = [(0, 512), (424, 512), (425, 4096), (4008, 4096), (4009, 8192), (65_536, 69_632)];
    for (payload, slot_bytes) in sizes {
        assert_eq!(slot::slot_bytes_for(payload), slot_bytes, "payload of {payload}");
        assert_eq!(slot::slot_bytes_of_file(2 * slot_bytes as u64), Some(slot_bytes));
    }
    for foreign in [0, 1, 512, 1023, 1025, 2048, 4096, 8191, 12_288, 1 << 40, u64::MAX] {
        assert_eq!(slot::slot_bytes_of_file(foreign), None, "file of {foreign}");
    }
    let largest = slot::slot_bytes_for(slot::MAX_PAYLOAD_BYTES);
    assert_eq!(slot::slot_bytes_of_file(2 * largest as u64), Some(largest));
    assert_eq!(slot::grown_slot_bytes(largest - 4096, slot::MAX_PAYLOAD_BYTES), largest);
}

#[test]
fn every_flipped_bit_of_header_or_payload_is_noticed() {
    let (header, bytes) = slot_with(b"some payload", 3);
    assert_eq!(slot::decode(&bytes, &key(1)), Slot::Valid(header));
    for bit in 0..(HEADER_BYTES + 12) * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(slot::decode(&damaged, &key(1)), Slot::Invalid, "bit {bit}");
    }
}

#[test]
fn a_slot_is_valid_only_in_a_file_of_its_own_key_and_size() {
    let (_, bytes) = slot_with(&vec![1; 5000], 3);
    assert_eq!(slot::decode(&bytes, &key(2)), Slot::Invalid, "the file of another key");
    for wrong in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, 4096, bytes.len() - 1] {
        assert_eq!(slot::decode(&bytes[..wrong], &key(1)), Slot::Invalid, "cut to {wrong}");
    }
    let longer = [bytes.as_slice(), &[0; 4096]].concat();
    assert_eq!(slot::decode(&longer, &key(1)), Slot::Invalid, "a slot of another size");
    assert_eq!(slot::decode(&[0; 512], &key(1)), Slot::Unwritten);
}

#[test]
fn times_beyond_what_is_kept_are_clamped_and_never_later() {
    for (time, kept) in [
        (UNIX_EPOCH - Duration::from_secs(9), UNIX_EPOCH),
        (UNIX_EPOCH + Duration::from_micros(1999), UNIX_EPOCH + Duration::from_millis(1)),
    ] {
        let stored = crate::session::Stored { deadline: time, ..record(1, "x") };
        let mut bytes = slot::encode(&key(1), &Header::of(&stored, 1), b"x", 512);
        bytes.resize(512, 0);
        let Slot::Valid(header) = slot::decode(&bytes, &key(1)) else { panic!("valid") };
        assert_eq!(header.deadline, kept);
    }
}

#[test]
fn the_corpus_decodes_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/slot");
    let mut seen = 0;
    for path in super::names(corpus.as_ref()) {
        let bytes = super::bytes_of(&path);
        for end in 0..=bytes.len().min(700) {
            slot::fuzz_one(&bytes[..end]);
        }
        slot::fuzz_one(&bytes);
        seen += 1;
    }
    assert!(seen >= 5, "the corpus is there");
}

proptest::proptest! {
    #[test]
    fn anything_decodes_without_a_panic(mut bytes in proptest::collection::vec(0u8.., 0..1200), ours: bool) {
        if ours && let Some(magic) = bytes.get_mut(32..36) {
            magic.copy_from_slice(b"mps\x01");
        }
        slot::fuzz_one(&bytes);
    }
}
