//! That what comes out of a store is what went in.

use std::time::Duration;

use super::{HOUR, Subject, assert_same, fresh_key};
use crate::session::{Expected, SessionStore, Stored, Swap};

/// Sizes around those where stores change their ways: empty, a byte, a slot, a page, 64 KiB.
const SIZES: [usize; 17] =
    [0, 1, 2, 127, 255, 256, 423, 424, 425, 511, 512, 4007, 4008, 4009, 65_535, 65_536, 100_003];

/// Every byte value, and text that a careless protocol would stumble over.
fn content(bytes: usize, seed: u8) -> Vec<u8> {
    let nasty = b"\0\r\n$-1\r\n\xff\xfe|\"'\\{}%s";
    let every = 0..=u8::MAX;
    nasty.iter().copied().chain(every).cycle().map(|b| b.wrapping_add(seed)).take(bytes).collect()
}

pub(super) fn every_size_comes_back<S: SessionStore>(subject: &Subject<S>) {
    for size in SIZES {
        let key = fresh_key();
        let record = subject.record(1, content(size, 0));
        subject.create(&key, &record);
        let sentence = format!("a record of {size} bytes is loaded as it was stored");
        assert_same(subject.load(&key).as_ref(), Some(&record), &sentence);
    }
}

pub(super) fn a_record_grows_and_shrinks<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    subject.create(&key, &subject.record(0, ""));
    let there_and_back = SIZES.iter().chain(SIZES.iter().rev()).chain([&65_536, &3, &4096, &0]);
    for (version, size) in (1..).zip(there_and_back) {
        let seed = u8::try_from(version % 251).unwrap_or_default();
        let record = subject.record(version, content(*size, seed));
        let swapped = subject.swap(&key, Expected::Version(version - 1), &record);
        assert_eq!(swapped, Swap::Done, "contract: a record may change its size to {size}");
        let sentence = format!("after a change of size to {size} the new bytes are loaded");
        assert_same(subject.load(&key).as_ref(), Some(&record), &sentence);
    }
}

pub(super) fn flags_and_times_come_back<S: SessionStore>(subject: &Subject<S>) {
    let key = fresh_key();
    let mut expected = Expected::Absent;
    for (version, evictable) in [(1, true), (2, false), (3, false), (4, true)] {
        let odd = Duration::from_millis(version * 7919 + 1);
        let record = Stored {
            bytes: b"times".to_vec(),
            version,
            deadline: subject.now + HOUR + odd,
            last_seen: subject.now - odd,
            evictable,
        };
        let swapped = subject.swap(&key, expected, &record);
        assert_eq!(swapped, Swap::Done, "contract: a swap of what is there is Done");
        let sentence = "deadline, last_seen (to the millisecond) and evictable come back";
        assert_same(subject.load(&key).as_ref(), Some(&record), sentence);
        expected = Expected::Version(version);
    }
}
