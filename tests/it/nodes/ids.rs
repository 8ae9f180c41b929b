//! Renewal from several nodes at once, first visits, and messages that are shown once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::{Backend, Nodes, PATIENCE, Visitor, wait_until};

super::on_every_backend! {
    rotations_on_three_nodes_agree_on_one_id
    the_old_id_of_a_rotated_session_works_for_the_grace_time
    first_visits_at_once_are_sessions_of_their_own
    a_flash_message_is_shown_once_over_all_nodes
}

/// The same request on several nodes at once, `each` times a node; what every visitor came out
/// with, and what was answered.
fn at_once<'a>(
    nodes: &'a Nodes,
    visitor: &Visitor<'a>,
    each: usize,
    path: &str,
) -> Vec<(Visitor<'a>, String)> {
    std::thread::scope(|scope| {
        let all = (0..nodes.count() * each).map(|number| {
            let mut visitor = visitor.clone();
            scope.spawn(move || {
                let text = visitor.text(number % nodes.count(), path);
                (visitor, text)
            })
        });
        let all: Vec<_> = all.collect();
        all.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    })
}

fn rotations_on_three_nodes_agree_on_one_id(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    for round in 1..=10 {
        let old = visitor.clone();
        let answered = at_once(&nodes, &visitor, 2, "/rotate");
        let ids: BTreeSet<_> =
            answered.iter().map(|(visitor, _)| visitor.browser.session()).collect();
        assert_eq!(ids.len(), 1, "round {round}: {} ids", ids.len());
        assert!(!ids.contains(&old.browser.session()), "round {round}: it was renewed");
        let (new, _) = answered.into_iter().next().expect("six");
        // What comes with the old id during the grace time is not lost.
        old.clone().text(round % 3, "/count");
        visitor = new;
        for node in 0..3 {
            visitor.expect(node, "/read", (1 + round).to_string());
        }
    }
}

fn the_old_id_of_a_rotated_session_works_for_the_grace_time(backend: Backend) {
    let grace = Duration::from_secs(3);
    let nodes = Nodes::patient_with(backend, 2, &[("MAYPOLE_SESSION_ROTATE_GRACE", "3s")]);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/login/ada");
    let old = visitor.clone();
    let begun = Instant::now();
    visitor.text(0, "/rotate");
    let seen = old.clone().text(1, "/user");
    assert!(seen == "ada" || begun.elapsed() >= grace, "{seen}");
    wait_until("the grace time is over", PATIENCE, || old.clone().text(1, "/user") == "nobody");
    assert!(begun.elapsed() >= grace, "after {:?}", begun.elapsed());
    assert_eq!(old.clone().text(0, "/user"), "nobody");
    for node in 0..2 {
        assert_eq!(visitor.text(node, "/user"), "ada");
    }
}

fn first_visits_at_once_are_sessions_of_their_own(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let answered = at_once(&nodes, &nodes.visitor(), 5, "/count");
    let mut ids = BTreeSet::new();
    for (mut visitor, text) in answered {
        assert_eq!(text, "1");
        for node in 0..2 {
            visitor.expect(node, "/read", "1");
        }
        ids.insert(visitor.browser.session().expect("a session").to_owned());
    }
    assert_eq!(ids.len(), 10);
}

fn a_flash_message_is_shown_once_over_all_nodes(backend: Backend) {
    let nodes = Nodes::patient(backend, 5);
    let mut visitor = nodes.visitor();
    for round in 0..20 {
        let saved = format!("saved{round}");
        visitor.text(round % 5, &format!("/flash/{saved}"));
        for node in 0..5 {
            visitor.expect(node, "/get/flashed", &saved);
        }
        let shown: Vec<_> =
            at_once(&nodes, &visitor, 1, "/flashed").into_iter().map(|(_, text)| text).collect();
        assert_eq!(shown.iter().filter(|text| **text == saved).count(), 1, "{shown:?}");
        assert_eq!(shown.iter().filter(|text| *text == "-").count(), 4, "{shown:?}");
    }
}
