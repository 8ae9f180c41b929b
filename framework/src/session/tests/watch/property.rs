//! Whatever happens in whatever order, those who watch come to know the last state, and are never
//! told an older one after a newer.

use proptest::prelude::*;

use super::{Pair, SessionEnd, eventually, follow};
use crate::session::Session;

/// What happens, on one of two nodes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write,
    Rotate,
    Join,
    Leave,
    Cut,
    Mend,
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize)>> {
    let step = prop_oneof![
        6 => Just(Step::Write),
        1 => Just(Step::Rotate),
        3 => Just(Step::Join),
        1 => Just(Step::Leave),
        1 => Just(Step::Cut),
        1 => Just(Step::Mend),
        1 => Just(Step::Tick),
    ];
    prop::collection::vec((step, 0..2_usize), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_last_version_told_is_the_one_stored(steps in steps()) {
        let pair = Pair::new();
        let mut cookie = pair.a().visitor();
        let mut following = Vec::new();
        let mut is_cut = [false, false];
        for (step, at) in steps {
            let node = &pair.nodes[at];
            match step {
                Step::Write => drop(node.request(&cookie, |session| session.increment("count", 1))),
                Step::Rotate => cookie = node.request(&cookie, Session::rotate).1,
                Step::Join => {
                    let joined = follow(node, &cookie);
                    let version = joined.0.version().unwrap();
                    following.push((joined, version));
                }
                Step::Leave => drop(following.pop()),
                Step::Cut => {
                    pair.bus.cut(at);
                    is_cut[at] = true;
                }
                Step::Mend => {
                    pair.bus.mend(at);
                    is_cut[at] = false;
                }
                Step::Tick => {
                    node.manager.watchers.tick();
                }
            }
        }
        (0..2).filter(|at| is_cut[*at]).for_each(|at| pair.bus.mend(at));
        // The last change of all, so that everybody has to hear of one.
        pair.a().request(&cookie, |session| session.increment("count", 1));
        let version = pair.b().request(&cookie, Session::version).0;
        for ((_, told, _), joined_at) in &following {
            eventually(&version, || told.last_version());
            prop_assert!(told.last_version() > *joined_at);
            prop_assert_eq!(told.end(), None::<SessionEnd>);
        }
        drop(following);
        for node in &pair.nodes {
            prop_assert_eq!(node.manager.watchers.sizes(), (0, 0, 0));
        }
    }
}
