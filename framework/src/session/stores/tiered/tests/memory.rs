//! The memory by itself: bounds, and what must not be kept.

use std::time::{Duration, Instant};

use super::super::cache::{Cache, Look};
use super::{key, now, record};
use crate::session::Renewed;

fn version(cache: &Cache, number: u32) -> Option<u64> {
    match cache.look(&key(number), now(), || true) {
        Look::Here(stored) => stored.map(|stored| stored.version),
        Look::Unknown(_) => None,
    }
}

#[test]
fn what_was_loaded_before_a_change_was_told_is_not_kept() {
    let cache = Cache::new(1000, 1 << 20);
    let ticket = cache.ticket(&key(1));
    cache.outdate(&key(1), 2);
    cache.fill(&key(1), ticket, &record(1, "old"));
    assert_eq!(version(&cache, 1), None);
    let ticket = cache.ticket(&key(1));
    cache.flush();
    cache.fill(&key(1), ticket, &record(1, "old"));
    cache.fill_absent(&key(1), ticket);
    cache.replace(&key(1), ticket, &record(2, "old"), false);
    assert!(matches!(cache.look(&key(1), now(), || true), Look::Unknown(_)));
    let ticket = cache.ticket(&key(1));
    cache.fill(&key(1), ticket, &record(3, "new"));
    assert_eq!(version(&cache, 1), Some(3));
}

#[test]
fn a_copy_gives_way_to_a_newer_version_only() {
    let cache = Cache::new(1000, 1 << 20);
    let ticket = cache.ticket(&key(1));
    cache.fill(&key(1), ticket, &record(5, "five"));
    cache.fill(&key(1), ticket, &record(4, "four, loaded earlier"));
    cache.replace(&key(1), ticket, &record(4, "four, by another coroutine"), false);
    cache.outdate(&key(1), 5);
    cache.fill_absent(&key(1), ticket);
    assert_eq!(version(&cache, 1), Some(5));
    cache.replace(&key(1), ticket, &record(6, "six"), false);
    assert_eq!(version(&cache, 1), Some(6));
    cache.replace(&key(1), ticket, &record(2, "begun again"), true);
    assert_eq!(version(&cache, 1), Some(2));
    cache.outdate(&key(1), 3);
    assert_eq!(version(&cache, 1), None);
}

#[test]
fn a_save_of_the_same_length_writes_over_the_copy_unless_that_is_newer_or_was_dropped() {
    let cache = Cache::new(1000, 1 << 20);
    let bytes = || match cache.look(&key(1), now(), || true) {
        Look::Here(stored) => stored.map(|stored| (stored.version, stored.bytes)),
        Look::Unknown(_) => None,
    };
    let ticket = cache.ticket(&key(1));
    cache.fill(&key(1), ticket, &record(5, "five"));
    cache.replace(&key(1), ticket, &record(6, "six!"), false);
    assert_eq!(bytes(), Some((6, record(6, "six!").bytes)));
    cache.replace(&key(1), ticket, &record(4, "four"), false);
    assert_eq!(bytes(), Some((6, record(6, "six!").bytes)));
    assert_eq!(cache.usage().records, 1);
    cache.outdate(&key(1), 7);
    let later = cache.ticket(&key(1));
    cache.fill(&key(1), later, &record(7, "more"));
    cache.replace(&key(1), ticket, &record(8, "8888"), false);
    assert_eq!(bytes(), None, "the swap was begun before the copy was dropped");
}

/// Two workers, each with its own connection to redis: the load was answered before the save.
#[test]
fn a_load_on_its_way_is_not_kept_after_a_save_that_found_no_copy() {
    let cache = Cache::new(1000, 1 << 20);
    let save = cache.ticket(&key(1));
    cache.drop(&key(1));
    let load = cache.ticket(&key(1));
    cache.replace(&key(1), save, &record(2, "new"), false);
    cache.fill(&key(1), load, &record(1, "old"));
    assert_eq!(version(&cache, 1), None);
}

#[test]
fn a_copy_is_compared_again_after_a_minute() {
    let cache = Cache::new(1000, 1 << 20);
    let begun = Instant::now();
    cache.fill(&key(1), cache.ticket(&key(1)), &record(1, "x"));
    cache.pass_time(begun + Duration::from_secs(60));
    assert_eq!(version(&cache, 1), Some(1));
    cache.pass_time(begun + Duration::from_secs(62));
    assert_eq!(version(&cache, 1), None);
}

#[test]
fn a_passed_deadline_is_a_question_not_an_answer() {
    let cache = Cache::new(1000, 1 << 20);
    let stored = record(1, "x");
    cache.fill(&key(1), cache.ticket(&key(1)), &stored);
    let late = cache.look(&key(1), stored.deadline, || true);
    assert!(matches!(late, Look::Unknown(_)), "another node may have renewed it");
    let deadline = stored.deadline + Duration::from_secs(60);
    let renewed = Renewed { deadline, last_seen: now(), evictable: false };
    cache.renew(&key(1), 2, renewed);
    assert!(matches!(cache.look(&key(1), stored.deadline, || true), Look::Unknown(_)));
    cache.renew(&key(1), 1, renewed);
    assert!(matches!(cache.look(&key(1), stored.deadline, || true), Look::Here(Some(_))));
    assert!(matches!(cache.look(&key(1), now(), || false), Look::Unknown(_)), "no lease");
}

#[test]
fn memory_is_bounded_and_what_is_used_stays() {
    let cache = Cache::new(640, 1 << 20);
    for number in 0..20_000_u32 {
        cache.fill(&key(number), cache.ticket(&key(number)), &record(1, vec![b'x'; 100]));
        if number >= 5 {
            (0..5).for_each(|used| drop(cache.look(&key(used), now(), || true)));
        }
        let usage = cache.usage();
        assert!(usage.records <= 640 && usage.bytes <= usage.records * 300);
    }
    assert_eq!((0..5).filter(|number| version(&cache, *number).is_some()).count(), 5);
    let cache = Cache::new(1_000_000, 64 << 10);
    for number in 0..5000_u32 {
        cache.fill(&key(number), cache.ticket(&key(number)), &record(1, vec![b'x'; 300]));
        assert!(cache.usage().bytes <= 64 << 10);
    }
    cache.fill(&key(1), cache.ticket(&key(1)), &record(2, vec![b'x'; 2000]));
    assert_eq!(version(&cache, 1), None, "too large for its part of the memory");
    cache.flush();
    assert_eq!(cache.usage().records + cache.usage().bytes, 0);
}

#[test]
fn a_newer_record_that_may_not_be_kept_ends_the_older_copy() {
    let cache = Cache::new(1000, 1 << 20);
    let ticket = cache.ticket(&key(1));
    cache.drop(&key(1));
    // A save of ours is kept while the load is on its way, which then brings one that is newer.
    cache.replace(&key(1), cache.ticket(&key(1)), &record(8, "ours"), false);
    cache.fill(&key(1), ticket, &record(9, "newer"));
    assert_eq!(version(&cache, 1), None, "its reader would find the older one next time");
}
