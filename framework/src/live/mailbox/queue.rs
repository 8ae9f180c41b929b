//! The mailbox as a value: what is kept, what is dropped, and when the receiver is to be woken. It
//! locks nothing and wakes nobody.

use std::collections::VecDeque;

/// What becomes of a letter when the mailbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The receiver is too slow: it gets what is waiting, then [`Received::Overflowed`]; or the
    /// [last](Letter::is_last) letter, should that come before it has read the others.
    Close,
    /// The oldest letter that counts is dropped, and the receiver told how many it missed.
    DropOldest,
    /// At any time a letter takes the place of an older one it [replaces](Letter::replaces), so
    /// that only the latest of a kind waits; beyond that as `DropOldest`.
    Latest,
}

/// What a mailbox may do with a letter.
pub(crate) trait Letter {
    /// Whether this letter and `older`, which was not read yet, are told as one, whatever the
    /// policy. The joined one keeps the older one's place, so it is read however often it is
    /// joined.
    fn joins(&self, older: &Self) -> bool;

    /// Takes over what `older`, which it joins or replaces, told beside.
    fn absorb(&mut self, older: &Self);

    /// Whether it counts towards the capacity. One that does not is kept whatever the policy; there
    /// must be a bound to those that [join](Self::joins) no other.
    fn counts(&self) -> bool;

    /// Whether who reads this letter need not read `older` any more.
    fn replaces(&self, older: &Self) -> bool;

    /// Whether nothing can come after it. Such a letter is kept whatever the policy.
    fn is_last(&self) -> bool;
}

/// What the receiver finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received<L> {
    Letter(L),
    /// So many letters were dropped before the next one.
    Missed(u64),
    /// It was too slow, and gets nothing more.
    Overflowed,
    /// Nothing has come yet.
    Nothing,
}

/// What became of a letter that was posted.
#[derive(Debug)]
pub(crate) struct Posted<L> {
    /// The receiver waits, and is to be woken now.
    pub(crate) wakes: bool,
    /// Nobody will ever read this mailbox again.
    pub(crate) is_closed: bool,
    /// What nobody will read; to be dropped outside the lock.
    pub(crate) dropped: Option<L>,
}

#[derive(Debug)]
pub(crate) struct Queue<L> {
    letters: VecDeque<L>,
    /// How many of them count.
    counted: usize,
    capacity: usize,
    when_full: WhenFull,
    missed: u64,
    has_overflowed: bool,
    /// The last letter was posted.
    has_ended: bool,
    is_closed: bool,
    /// The receiver found nothing and goes to wait; the next post wakes it.
    is_awaited: bool,
}

impl<L: Letter> Queue<L> {
    pub(crate) fn new(capacity: usize, when_full: WhenFull) -> Self {
        Self {
            letters: VecDeque::new(),
            counted: 0,
            capacity: capacity.max(1),
            when_full,
            missed: 0,
            has_overflowed: false,
            has_ended: false,
            is_closed: false,
            is_awaited: false,
        }
    }

    pub(crate) fn post(&mut self, letter: L) -> Posted<L> {
        let is_too_late = self.has_overflowed && !letter.is_last();
        if self.is_closed || self.has_ended || is_too_late {
            let is_closed = self.is_closed;
            return Posted { wakes: false, is_closed, dropped: Some(letter) };
        }
        let dropped = self.keep(letter);
        let wakes = std::mem::take(&mut self.is_awaited);
        Posted { wakes, is_closed: false, dropped }
    }

    fn keep(&mut self, mut letter: L) -> Option<L> {
        self.has_ended = letter.is_last();
        if let Some(older) = self.letters.iter_mut().rev().find(|older| letter.joins(older)) {
            letter.absorb(older);
            return Some(std::mem::replace(older, letter));
        }
        if !letter.counts() {
            self.letters.push_back(letter);
            return None;
        }
        let mut dropped = None;
        if self.when_full == WhenFull::Latest
            && let Some(place) = self.letters.iter().rposition(|older| letter.replaces(older))
        {
            dropped = self.remove(place);
            dropped.iter().for_each(|older| letter.absorb(older));
        } else if self.counted >= self.capacity {
            if self.when_full == WhenFull::Close {
                self.has_overflowed = true;
                return Some(letter);
            }
            self.missed += 1;
            dropped = self.letters.iter().position(L::counts).and_then(|place| self.remove(place));
        }
        self.counted += 1;
        self.letters.push_back(letter);
        dropped
    }

    fn remove(&mut self, place: usize) -> Option<L> {
        let letter = self.letters.remove(place)?;
        self.counted -= usize::from(letter.counts());
        Some(letter)
    }

    pub(crate) fn take(&mut self) -> Received<L> {
        if self.missed > 0 {
            return Received::Missed(std::mem::take(&mut self.missed));
        }
        match self.remove(0) {
            Some(letter) => {
                if self.letters.is_empty() && self.letters.capacity() > 16 {
                    self.letters = VecDeque::new();
                }
                Received::Letter(letter)
            }
            None if self.has_overflowed => Received::Overflowed,
            None => Received::Nothing,
        }
    }

    /// The letter that nothing can come after, before those that came earlier.
    pub(crate) fn take_end(&mut self) -> Option<L> {
        let place = self.letters.iter().rposition(L::is_last)?;
        self.remove(place)
    }

    /// As [`take`](Self::take); with [`Received::Nothing`] the next post wakes the receiver.
    pub(crate) fn take_or_await(&mut self) -> Received<L> {
        let received = self.take();
        self.is_awaited = matches!(received, Received::Nothing);
        received
    }

    /// Nobody will read it any more; gives what was waiting, to be dropped outside the lock.
    pub(crate) fn close(&mut self) -> VecDeque<L> {
        self.is_closed = true;
        std::mem::take(&mut self.letters)
    }
}
