use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, Semaphore, channel};
use super::{
    Context, RuntimeSettings, blocking, current_context, run_to_end, scope, sleep, spawn, start,
    swap_context,
};

fn context(number: u32) -> Context {
    Arc::new(number)
}

fn seen() -> Option<u32> {
    current_context()?.downcast_ref().copied()
}

#[test]
fn children_and_jobs_see_the_context_of_their_parent_and_nobody_else() {
    let parents: Vec<_> = (0..200_u32)
        .map(|number| {
            spawn(move || {
                swap_context(Some(context(number)));
                sleep(Duration::from_millis(u64::from(number % 7)));
                let child = spawn(move || {
                    sleep(Duration::from_millis(1));
                    (seen(), spawn(seen).unwrap().join().unwrap())
                });
                let job = blocking(seen).unwrap();
                let mut in_scope = Vec::new();
                let (send, receive) = channel(3);
                scope(|s| {
                    for _ in 0..3 {
                        let send = send.clone();
                        s.spawn(move || {
                            send.send(seen()).ok();
                        })?;
                    }
                    Ok(())
                })
                .unwrap();
                drop(send);
                while let Some(number) = receive.recv() {
                    in_scope.push(number);
                }
                (number, seen(), child.unwrap().join().unwrap(), job, in_scope)
            })
            .unwrap()
        })
        .collect();
    for parent in parents {
        let (number, own, (child, grandchild), job, in_scope) = parent.join().unwrap();
        let mine = Some(number);
        assert_eq!((own, child, grandchild, job), (mine, mine, mine, mine));
        assert_eq!(in_scope, [mine; 3]);
    }
    assert_eq!(seen(), None, "a plain thread has no context");
}

#[test]
fn a_fresh_coroutine_has_no_context_of_the_one_that_ran_before_it() {
    for _ in 0..300 {
        spawn(|| swap_context(Some(context(1))).is_some()).unwrap().join().unwrap();
        assert_eq!(spawn(seen).unwrap().join().unwrap(), None);
    }
}

#[test]
fn many_more_jobs_than_threads_all_run_and_come_home() {
    let done = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..400)
        .map(|number| {
            let done = Arc::clone(&done);
            spawn(move || {
                for round in 0..5 {
                    let count = Arc::clone(&done);
                    let answer = blocking(move || {
                        count.fetch_add(1, Ordering::Relaxed);
                        number * 10 + round
                    });
                    assert_eq!(answer.unwrap(), number * 10 + round);
                }
            })
            .unwrap()
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    assert_eq!(done.load(Ordering::Relaxed), 2000);
}

#[test]
fn a_slow_job_does_not_keep_a_quick_one_waiting() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    #[expect(clippy::disallowed_methods, reason = "it shall block a thread of the pool")]
    let slow = spawn(move || blocking(move || wait.recv().is_err())).unwrap();
    for _ in 0..50 {
        assert!(run_to_end(|| blocking(|| true)).unwrap().unwrap());
    }
    assert!(!slow.is_finished());
    drop(release);
    assert!(slow.join().unwrap().unwrap());
}

#[test]
fn a_panic_of_a_job_or_a_child_reaches_whoever_waits_for_it() {
    let job = spawn(|| blocking(|| -> u8 { panic!("in the job") })).unwrap().join();
    assert_eq!(job.unwrap_err().to_string(), "a coroutine panicked: in the job");
    let child = scope(|s| s.spawn(|| panic!("in the child")));
    assert_eq!(child.unwrap_err().to_string(), "a coroutine panicked: in the child");
    assert_eq!(run_to_end(|| blocking(|| 7).unwrap()).unwrap(), 7, "the pool lives");
}

#[test]
fn a_lock_held_over_a_sleep_stops_nobody_but_those_who_want_it() {
    let total = Arc::new(Mutex::new(0));
    let adders: Vec<_> = (0..50)
        .map(|_| {
            let total = Arc::clone(&total);
            spawn(move || {
                let mut total = total.lock();
                let before = *total;
                sleep(Duration::from_millis(1));
                *total = before + 1;
            })
            .unwrap()
        })
        .collect();
    adders.into_iter().for_each(|adder| adder.join().unwrap());
    assert_eq!(*total.lock(), 50);
}

/// Short sections, so that all ways of taking and giving back meet: free, held, waited for. A
/// waiter that is overlooked would wait for ever, and two holders would lose a count.
#[test]
fn a_contended_lock_has_one_holder_and_forgets_nobody() {
    const EACH: u32 = 20_000;
    let total = Arc::new(Mutex::new(0_u32));
    let add = |total: &Mutex<u32>| {
        for n in 0..EACH {
            match total.try_lock().filter(|_| n % 3 == 0) {
                Some(mut total) => *total += 1,
                None => *total.lock() += 1,
            }
        }
    };
    let coroutines: Vec<_> = (0..4)
        .map(|_| {
            let total = Arc::clone(&total);
            spawn(move || add(&total)).unwrap()
        })
        .collect();
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| add(&total))));
    });
    coroutines.into_iter().for_each(|adder| adder.join().unwrap());
    assert_eq!(*total.lock(), 7 * EACH);
}

#[test]
fn a_lock_outlives_the_panic_of_its_holder() {
    let value = Arc::new(Mutex::new(1));
    let held = Arc::clone(&value);
    let panicked = spawn(move || {
        let _guard = held.lock();
        panic!("while holding it");
    });
    assert!(panicked.unwrap().join().is_err());
    assert_eq!(*value.lock(), 1);
}

#[test]
fn a_channel_delivers_each_value_once_and_ends_with_its_senders() {
    let (send, receive) = channel(4);
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let receive = receive.clone();
            spawn(move || {
                let mut sum = 0_u64;
                while let Some(value) = receive.recv() {
                    sum += value;
                }
                sum
            })
            .unwrap()
        })
        .collect();
    drop(receive);
    let senders: Vec<_> = (0..8_u64)
        .map(|sender| {
            let send = send.clone();
            spawn(move || (0..500).for_each(|value| send.send(sender * 1000 + value).unwrap()))
                .unwrap()
        })
        .collect();
    drop(send);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let sum: u64 = receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum();
    assert_eq!(sum, (0..8_u64).map(|s| (0..500).map(|v| s * 1000 + v).sum::<u64>()).sum::<u64>());
}

#[test]
fn a_channel_gives_values_back_when_it_is_full_or_nobody_listens() {
    let (send, receive) = channel(1);
    assert_eq!(send.try_send(1), Ok(()));
    assert_eq!(send.try_send(2), Err(2));
    assert_eq!(receive.try_recv(), Some(1));
    assert_eq!(receive.try_recv(), None);
    drop(receive);
    assert_eq!(send.send(3), Err(3));
    assert_eq!(send.send(4), Err(4), "also the second time");
}

#[test]
fn waiting_has_a_limit_where_one_is_given() {
    run_to_end(|| {
        let (ready, changed) = (Mutex::new(false), Condvar::new());
        let (guard, ran_out) = changed.wait_timeout(ready.lock(), Duration::from_millis(5));
        assert!(ran_out && !*guard);
        let one = Semaphore::new(1);
        let held = one.acquire();
        assert!(one.acquire_timeout(Duration::from_micros(10)).is_none(), "under a millisecond");
        drop(held);
        assert!(one.try_acquire().is_some());
    })
    .unwrap();
}

/// Coroutines that wait and end right after; nobody holds a handle of theirs. One of the two
/// workers gets a core only when nobody else wants it, so it is often still busy with the wait of
/// a coroutine when that one has gone on to the other worker and ended.
fn short_lives() {
    start(RuntimeSettings { workers: 2, ..RuntimeSettings::default() });
    let begin = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    for _ in 0..2 {
        let over = Arc::clone(&over);
        let burn = move || while !over.load(Ordering::Relaxed) {};
        super::thread("burner", burn).unwrap();
    }
    super::spawn::spawn_on(0, come_last).unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let mut begun = 0;
    while begin.elapsed() < Duration::from_secs(4) {
        for n in 0..20 {
            let ended = Arc::clone(&ended);
            let short = move || {
                // Of many lengths, since a worker that adds a new one wakes another thread.
                sleep(Duration::from_micros(1000 + n * 100));
                sleep(Duration::from_micros(1000 + n));
                ended.fetch_add(1, Ordering::Release);
            };
            spawn(short).unwrap();
            begun += 1;
        }
        while ended.load(Ordering::Acquire) < begun {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
    over.store(true, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "the system offers this by a C function only")]
fn come_last() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters outlive the call, which is about the calling thread.
    let outcome = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    assert_eq!(outcome, 0);
}

/// A write of the scheduler to what an ended coroutine owned spoils the heap. The process whose
/// heap it is fills freed memory with a pattern, so that such a write is not overlooked.
#[test]
fn coroutines_that_end_soon_after_a_wait_leave_the_heap_whole() {
    const INSIDE: &str = "MAYPOLE_TEST_SHORT_LIVES";
    if std::env::var_os(INSIDE).is_some() {
        return short_lives();
    }
    let name = "runtime::tests::coroutines_that_end_soon_after_a_wait_leave_the_heap_whole";
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .envs([(INSIDE, "1"), ("MALLOC_PERTURB_", "222")])
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
}
