//! Changes from several nodes at once: all that was acknowledged is there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Backend, Nodes, Visitor};

super::on_every_backend! {
    two_times_1000_increments_make_2000
    updates_and_pushes_all_count
    different_keys_both_stay
    merged_leaves_all_stay
    of_two_sets_one_is_there_whole
    a_removal_and_a_change_of_another_key_both_hold
    who_only_reads_undoes_nothing
    a_long_poll_holds_nobody_up
}

/// A visitor who has a session already.
fn known<'a>(nodes: &'a Nodes) -> Visitor<'a> {
    let mut visitor = nodes.visitor();
    visitor.text(0, "/set/base/1");
    visitor
}

/// `threads` threads on each node send what `path` says, `each` times; gives the number of
/// requests that each node acknowledged.
fn in_parallel(
    nodes: &Nodes,
    visitor: &Visitor<'_>,
    (threads, each): (usize, usize),
    path: impl Fn(usize) -> String + Sync,
) -> Vec<usize> {
    let serial = AtomicUsize::new(0);
    let acknowledged: Vec<_> = (0..nodes.count()).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for (node, acknowledged) in acknowledged.iter().enumerate() {
            for _ in 0..threads {
                let (mut visitor, serial, path) = (visitor.clone(), &serial, &path);
                scope.spawn(move || {
                    for _ in 0..each {
                        visitor.text(node, &path(serial.fetch_add(1, Ordering::Relaxed)));
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
    });
    acknowledged.into_iter().map(AtomicUsize::into_inner).collect()
}

fn two_times_1000_increments_make_2000(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = known(&nodes);
    let acknowledged = in_parallel(&nodes, &visitor, (4, 250), |_| "/count".to_owned());
    eprintln!("{backend:?}: the nodes acknowledged {acknowledged:?} increments");
    assert_eq!(acknowledged, [1000, 1000]);
    for node in 0..2 {
        visitor.expect(node, "/read", "2000");
    }
}

fn updates_and_pushes_all_count(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let mut visitor = known(&nodes);
    in_parallel(&nodes, &visitor, (2, 25), |_| "/update".to_owned());
    in_parallel(&nodes, &visitor, (2, 25), |serial| format!("/push/item{serial}"));
    for node in 0..3 {
        visitor.expect(node, "/updated", "150");
        visitor.expect(node, "/length", "150");
        let list = visitor.text(node, "/list");
        let items: Vec<_> = list.split(' ').collect();
        assert_eq!(items.len(), 150, "{list}");
        assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), 150, "{list}");
    }
}

fn different_keys_both_stay(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let mut visitor = known(&nodes);
    let mut held = [visitor.begin(0, "/slow/a"), visitor.begin(1, "/slow/b")];
    visitor.text(2, "/set/c/fast");
    for held in &mut held {
        assert_eq!(held.finish().status, 200);
    }
    for node in 0..3 {
        for (key, value) in [("base", "1"), ("a", "slow"), ("b", "slow"), ("c", "fast")] {
            visitor.expect(node, &format!("/get/{key}"), value);
        }
    }
}

fn merged_leaves_all_stay(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = known(&nodes);
    in_parallel(&nodes, &visitor, (2, 20), |serial| format!("/merge/leaf{serial}/{serial}"));
    let mut expected: Vec<_> = (0..80).map(|serial| format!("leaf{serial}={serial}")).collect();
    expected.sort_by_key(|leaf| leaf.split('=').next().map(str::to_owned));
    for node in 0..2 {
        visitor.expect(node, "/map", expected.join(" "));
    }
}

fn of_two_sets_one_is_there_whole(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = known(&nodes);
    for _ in 0..10 {
        in_parallel(&nodes, &visitor, (1, 3), |serial| {
            format!(
                "/set/same/{}",
                char::from(b'a' + u8::try_from(serial).expect("few")).to_string().repeat(40)
            )
        });
        let found = visitor.text(0, "/get/same");
        let first = found.chars().next().expect("a value").to_string();
        assert!(("a".."g").contains(&first.as_str()), "{found:?}");
        assert_eq!(found, first.repeat(40));
        // Memory may still hold the other value; what both agree on has been stored.
        let stored = visitor.text(0, "/update-and-get/same");
        visitor.expect(1, "/get/same", &stored);
    }
}

fn a_removal_and_a_change_of_another_key_both_hold(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = known(&nodes);
    visitor.text(0, "/set/k/here");
    let mut held = visitor.begin(0, "/slow/j");
    visitor.text(1, "/remove/k");
    assert_eq!(held.finish().status, 200);
    for node in 0..2 {
        visitor.expect(node, "/get/k", "none");
        visitor.expect(node, "/get/j", "slow");
    }
}

fn who_only_reads_undoes_nothing(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = known(&nodes);
    let mut reader = visitor.begin(0, "/poll");
    assert_eq!(visitor.text(1, "/count"), "1");
    for node in 0..2 {
        visitor.expect(node, "/read", "1");
    }
    assert_eq!(reader.finish().text(), "0 1", "before and after it looked again");
    for node in 0..2 {
        assert_eq!(visitor.text(node, "/read"), "1");
    }
}

fn a_long_poll_holds_nobody_up(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = known(&nodes);
    let mut polls = [visitor.begin(0, "/poll"), visitor.begin(1, "/poll")];
    // They would wait for ever here if they waited for the polls at all.
    for round in 0..20 {
        visitor.text(round % 2, "/count");
    }
    for node in 0..2 {
        visitor.expect(node, "/read", "20");
    }
    for poll in &mut polls {
        assert_eq!(poll.finish().text(), "0 20");
    }
}
