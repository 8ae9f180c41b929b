//! One at a time, and nothing stays behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Queue, StoreKey};

impl Queue {
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.with(|slots| slots.len())).sum()
    }
}

#[test]
fn commits_of_one_key_exclude_each_other_and_leave_nothing() {
    let (queue, inside) = (Arc::new(Queue::new()), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..50)
        .map(|n| {
            let (queue, inside) = (Arc::clone(&queue), Arc::clone(&inside));
            crate::runtime::spawn(move || {
                let key = StoreKey::from_bytes([n % 2; 32]);
                queue.in_turn(&key, |_| {
                    let weight = if n % 2 == 0 { 1 } else { 1000 };
                    let before = inside.fetch_add(weight, Ordering::SeqCst);
                    assert_eq!(before / weight % 1000, 0, "somebody of this key is inside");
                    may_yield();
                    inside.fetch_sub(weight, Ordering::SeqCst);
                });
            })
            .unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_panic_gives_the_turn_back() {
    let (queue, key) = (Queue::new(), StoreKey::from_bytes([1; 32]));
    let panicking = AssertUnwindSafe(|| queue.in_turn(&key, |_| panic!("a commit's own")));
    assert!(catch_unwind(panicking).is_err());
    assert_eq!(queue.len(), 0);
    assert_eq!(queue.in_turn(&key, |_| 7), 7);
}

/// Lets other coroutines run: joining a finished one parks.
fn may_yield() {
    crate::runtime::spawn(|| {}).unwrap().join().unwrap();
}
