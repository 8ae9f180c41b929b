use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::Queue;
use super::{Letter, Mailbox, Received, WhenFull};
use crate::runtime::spawn;

/// A kind and a number. Kinds from 100 are states, which are joined; 255 is the last of all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    kind: u8,
    numbers: Vec<u32>,
}

impl Letter for Note {
    fn joins(&self, older: &Self) -> bool {
        self.kind >= 100 && self.kind == older.kind
    }

    fn counts(&self) -> bool {
        self.kind < 100
    }

    fn replaces(&self, older: &Self) -> bool {
        self.kind == older.kind
    }

    fn absorb(&mut self, older: &Self) {
        self.numbers.splice(0..0, older.numbers.iter().copied());
    }

    fn is_last(&self) -> bool {
        self.kind == 255
    }
}

struct Held(#[expect(dead_code, reason = "counted")] Arc<()>);
impl Letter for Held {
    fn joins(&self, _: &Self) -> bool {
        false
    }
    fn counts(&self) -> bool {
        true
    }
    fn replaces(&self, _: &Self) -> bool {
        false
    }
    fn absorb(&mut self, _: &Self) {}
    fn is_last(&self) -> bool {
        false
    }
}

fn note(kind: u8, number: u32) -> Note {
    Note { kind, numbers: vec![number] }
}

fn drain(mailbox: &Mailbox<Note>) -> Vec<Received<Note>> {
    let mut found = Vec::new();
    loop {
        match mailbox.take() {
            Received::Nothing => return found,
            Received::Overflowed => {
                found.push(Received::Overflowed);
                return found;
            }
            received => found.push(received),
        }
    }
}

#[test]
fn a_slow_receiver_gets_what_fitted_and_then_the_end() {
    let mailbox = Mailbox::new(2, WhenFull::Close);
    let post = mailbox.post();
    for number in 0..4 {
        assert!(post.send(note(0, number)), "the receiver is there");
    }
    let expected =
        [Received::Letter(note(0, 0)), Received::Letter(note(0, 1)), Received::Overflowed];
    assert_eq!(drain(&mailbox), expected);
    post.send(note(0, 9));
    assert_eq!(mailbox.take(), Received::Overflowed, "an overflow is for good");
}

#[test]
fn the_oldest_go_and_are_counted() {
    let mailbox = Mailbox::new(2, WhenFull::DropOldest);
    let post = mailbox.post();
    for number in 0..5 {
        post.send(note(0, number));
    }
    let expected =
        [Received::Missed(3), Received::Letter(note(0, 3)), Received::Letter(note(0, 4))];
    assert_eq!(drain(&mailbox), expected);
}

fn joined(kind: u8, numbers: &[u32]) -> Received<Note> {
    Received::Letter(Note { kind, numbers: numbers.to_vec() })
}

#[test]
fn the_latest_of_a_kind_tells_what_the_older_told() {
    let mailbox = Mailbox::new(8, WhenFull::Latest);
    let post = mailbox.post();
    for (kind, number) in [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)] {
        post.send(note(kind, number));
    }
    assert_eq!(drain(&mailbox), [joined(2, &[1, 2]), joined(1, &[1, 2, 3])]);
}

#[test]
fn states_are_told_as_one_in_the_place_of_the_first_whatever_the_policy() {
    for when_full in [WhenFull::Close, WhenFull::DropOldest, WhenFull::Latest] {
        let mailbox = Mailbox::new(1, when_full);
        let post = mailbox.post();
        post.send(note(100, 0));
        post.send(note(1, 7));
        for number in 1..200 {
            post.send(note(100, number));
            post.send(note(101, number));
        }
        let of_one: Vec<_> = (0..200).collect();
        let expected = [joined(100, &of_one), joined(1, &[7]), joined(101, &of_one[1..])];
        assert_eq!(drain(&mailbox), expected, "{when_full:?}");
    }
}

#[test]
fn states_neither_fill_a_mailbox_nor_are_dropped_from_a_full_one() {
    for when_full in [WhenFull::Close, WhenFull::DropOldest] {
        let mailbox = Mailbox::new(2, when_full);
        let post = mailbox.post();
        for letter in [note(100, 1), note(1, 1), note(101, 1), note(1, 2), note(1, 3), note(102, 1)]
        {
            post.send(letter);
        }
        let expected: &[_] = match when_full {
            WhenFull::Close => &[
                joined(100, &[1]),
                joined(1, &[1]),
                joined(101, &[1]),
                joined(1, &[2]),
                Received::Overflowed,
            ],
            _ => &[
                Received::Missed(1),
                joined(100, &[1]),
                joined(101, &[1]),
                joined(1, &[2]),
                joined(1, &[3]),
                joined(102, &[1]),
            ],
        };
        assert_eq!(drain(&mailbox), expected, "{when_full:?}");
        // There is room again as soon as something was read.
        let expected: &[_] = match when_full {
            WhenFull::Close => &[Received::Overflowed],
            _ => &[Received::Missed(1), joined(1, &[5]), joined(1, &[6])],
        };
        for number in 4..7 {
            post.send(note(1, number));
        }
        assert_eq!(drain(&mailbox), expected, "{when_full:?}");
    }
}

#[test]
fn the_last_letter_fits_always_and_nothing_comes_after_it() {
    for when_full in [WhenFull::Close, WhenFull::DropOldest, WhenFull::Latest] {
        let mailbox = Mailbox::new(1, when_full);
        let post = mailbox.post();
        post.send(note(0, 1));
        post.send(note(255, 2));
        post.send(note(0, 3));
        let expected = [Received::Letter(note(0, 1)), Received::Letter(note(255, 2))];
        assert_eq!(drain(&mailbox), expected, "{when_full:?}");
    }
}

#[test]
fn the_last_letter_reaches_who_was_too_slow() {
    let mailbox = Mailbox::new(1, WhenFull::Close);
    let post = mailbox.post();
    for letter in [note(0, 1), note(0, 2), note(255, 3), note(255, 4)] {
        post.send(letter);
    }
    assert_eq!(mailbox.take_end(), Some(note(255, 3)));
    assert_eq!(drain(&mailbox), [Received::Letter(note(0, 1)), Received::Overflowed]);
}

#[test]
fn senders_learn_that_nobody_reads() {
    let mailbox = Mailbox::new(2, WhenFull::Close);
    let post = mailbox.post();
    let payload = Arc::new(());
    let held = Mailbox::new(2, WhenFull::Close);
    let to_held = held.post();
    assert!(to_held.send(Held(Arc::clone(&payload))));
    drop((mailbox, held));
    assert!(!post.send(note(0, 1)));
    assert!(!to_held.send(Held(Arc::clone(&payload))));
    assert_eq!(Arc::strong_count(&payload), 1, "what nobody reads is given back");
}

#[test]
fn a_receiver_waits_for_one_of_many_senders() {
    let (count, each) = (8_u32, 200_u32);
    let capacity = usize::try_from(count * each).unwrap();
    let mailbox = Mailbox::new(capacity, WhenFull::Close);
    let children: Vec<_> = (0..count)
        .map(|sender| {
            let post = mailbox.post();
            let send = move || {
                for number in 0..each {
                    post.send(note(u8::try_from(sender).unwrap(), number));
                    if number % 16 == 0 {
                        crate::sleep(Duration::from_millis(1));
                    }
                }
            };
            spawn(send).unwrap()
        })
        .collect();
    let receive = move || {
        let mut next = vec![0; usize::try_from(count).unwrap()];
        for _ in 0..count * each {
            let received = mailbox.recv(Some(Duration::from_secs(20)));
            let Received::Letter(note) = received else { panic!("{received:?}") };
            let next = &mut next[usize::from(note.kind)];
            assert_eq!(note.numbers, [*next], "in the order one sender sent them");
            *next += 1;
        }
    };
    spawn(receive).unwrap().join().unwrap();
    children.into_iter().for_each(|child| child.join().unwrap());
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    for on_coroutine in [false, true] {
        let mailbox = Mailbox::<Note>::new(1, WhenFull::Close);
        let wait = move || {
            let start = Instant::now();
            assert_eq!(mailbox.recv(Some(Duration::from_millis(30))), Received::Nothing);
            assert!(start.elapsed() >= Duration::from_millis(30));
        };
        if on_coroutine { spawn(wait).unwrap().join().unwrap() } else { wait() }
    }
}

/// The real queue, with the checker's lock and parking. A flag stands for what a park looks at
/// first: may's flag of a socket, or that of a `Parker`.
fn delivers_everything(when_full: WhenFull) {
    use shuttle::sync::Mutex;
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use shuttle::thread;

    const EACH: u32 = 3;
    let shared = Arc::new((Mutex::new(Queue::new(2, when_full)), AtomicBool::new(false)));
    let receiver = thread::current();
    let senders: Vec<_> = (0..2_u8)
        .map(|kind| {
            let (shared, receiver) = (Arc::clone(&shared), receiver.clone());
            thread::spawn(move || {
                for number in 0..EACH {
                    let kind = if number % 2 == 0 { kind } else { 100 + kind };
                    let posted = shared.0.lock().unwrap().post(note(kind, number));
                    if posted.wakes {
                        shared.1.store(true, Ordering::SeqCst);
                        receiver.unpark();
                    }
                }
            })
        })
        .collect();
    let mut heard = 0;
    while heard < 2 * EACH {
        let received = shared.0.lock().unwrap().take_or_await();
        match received {
            Received::Letter(note) => heard += u32::try_from(note.numbers.len()).unwrap(),
            Received::Missed(count) => heard += u32::try_from(count).unwrap(),
            Received::Overflowed => break,
            // Without a wake the checker finds everybody waiting, and fails.
            Received::Nothing => {
                while !shared.1.swap(false, Ordering::SeqCst) {
                    thread::park();
                }
            }
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn no_wake_is_lost_in_any_order_of_steps() {
    for when_full in [WhenFull::Close, WhenFull::DropOldest, WhenFull::Latest] {
        shuttle::check_random(move || delivers_everything(when_full), 2000);
    }
}
