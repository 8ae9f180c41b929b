//! Versions of records: a random beginning and random steps upwards.
//!
//! A step of one would do as long as no store ever goes back. One that does (a failover to a replica
//! that had not heard the last write) gives the same number to two states, and a request that had
//! read the lost one would overwrite the other unseen. With steps of up to 65,536 that takes such
//! a coincidence as well.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::id;
use crate::error::Result;

/// Different in every process, so that two nodes do not step alike.
static STEPS: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one("steps")));

/// The version of a new record: random, so that none is ever repeated for a key, with room to count
/// up below 2^53, where the numbers of JavaScript are exact: pages compare versions.
pub(super) fn first_version() -> Result<u64> {
    Ok(u64::from_be_bytes(id::random()?) >> 12)
}

/// A version after `version`. Half the room below 2^53 lasts for 2^37 steps.
pub(super) fn next_version(version: u64) -> u64 {
    version.wrapping_add(1 + (scrambled(&STEPS) & 0xffff))
}

/// A number no earlier call gave: the finalizer of splitmix64, a bijection, over a counter.
pub(super) fn scrambled(counter: &AtomicU64) -> u64 {
    let mut number = counter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{first_version, next_version};

    #[test]
    fn two_writers_after_one_version_do_not_meet() {
        let first = first_version().unwrap();
        let next: BTreeSet<u64> = (0..100).map(|_| next_version(first)).collect();
        assert!(next.iter().all(|version| (first + 1..=first + 65_536).contains(version)));
        // 100 of 65,536: a pair among them is likely once in thirteen runs, ten of them never.
        assert!(next.len() > 90, "{}", next.len());
    }
}
