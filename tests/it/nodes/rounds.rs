//! Somebody logs in, all nodes know the session, and it is ended on one node: from the moment that
//! node has answered, no node serves the old state, over and over, with others asking all the time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::support::{Browser, Nodes, Visitor};

/// The session of the running round, and the last round whose session has ended.
#[derive(Debug, Default)]
struct Board {
    current: Mutex<Option<(usize, Browser)>>,
    ended: AtomicUsize,
    is_over: AtomicBool,
}

/// Plays `count` rounds: `begin` makes a session whose `/user` is "ada", asking node 0; `end` ends
/// what its cookie opens, asking node 0. On all other nodes readers ask for it all the time.
pub(super) fn play(
    nodes: &Nodes,
    count: usize,
    begin: impl Fn(&mut Visitor<'_>) + Sync,
    end: impl Fn(&mut Visitor<'_>) + Sync,
) {
    let board = Board::default();
    let late = std::thread::scope(|scope| {
        let readers: Vec<_> = (1..nodes.count())
            .map(|node| {
                let (board, visitor) = (&board, nodes.visitor());
                scope.spawn(move || read_all_the_time(board, visitor, node))
            })
            .collect();
        let game = scope.spawn(|| {
            for round in 1..=count {
                one_round(nodes, &board, round, (&begin, &end));
            }
        });
        let outcome = game.join();
        board.is_over.store(true, Ordering::Relaxed);
        let asked: Vec<_> =
            readers.into_iter().map(|it| it.join().expect("no old state")).collect();
        outcome.expect("all rounds end well");
        asked
    });
    eprintln!("{count} rounds; readers saw (live, ended) sessions: {late:?}");
    assert!(late.iter().all(|(live, _)| *live > 0), "the readers came too late to see anything");
}

fn one_round(
    nodes: &Nodes,
    board: &Board,
    round: usize,
    (begin, end): (&(impl Fn(&mut Visitor<'_>) + Sync), &(impl Fn(&mut Visitor<'_>) + Sync)),
) {
    let mut visitor = nodes.visitor();
    begin(&mut visitor);
    let mut before = visitor.clone();
    *board.current.lock().unwrap_or_else(PoisonError::into_inner) =
        Some((round, before.browser.clone()));
    for node in 1..nodes.count() {
        assert_eq!(before.text(node, "/user"), "ada", "round {round}: the login, on node {node}");
    }
    let mut old = before.clone();
    end(&mut visitor);
    board.ended.store(round, Ordering::SeqCst);
    for node in (0..nodes.count()).rev() {
        assert_eq!(old.text(node, "/user"), "nobody", "round {round}: after the end, on {node}");
    }
}

/// Whoever asks after the end was answered gets nothing; gives how often the session was there and
/// how often it was gone.
fn read_all_the_time(board: &Board, mut visitor: Visitor<'_>, node: usize) -> (usize, usize) {
    let (mut live, mut gone) = (0, 0);
    while !board.is_over.load(Ordering::Relaxed) {
        let current = board.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((round, browser)) = current else {
            std::thread::yield_now();
            continue;
        };
        visitor.browser = browser;
        let had_ended = board.ended.load(Ordering::SeqCst) >= round;
        match visitor.text(node, "/user").as_str() {
            "ada" => {
                assert!(!had_ended, "round {round}: node {node} serves what has ended");
                live += 1;
            }
            _ => gone += 1,
        }
    }
    (live, gone)
}
