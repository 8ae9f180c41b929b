//! Nodes that are killed or stopped under load.

use std::time::{Duration, Instant};

use super::load::{guests, under_load};
use crate::support::{Backend, Nodes, Visitor, Wire};

super::on_every_backend! {
    kill_9_of_nodes_loses_nothing_that_was_acknowledged
    a_node_that_was_stopped_serves_nothing_old
}

fn kill_9_of_nodes_loses_nothing_that_was_acknowledged(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let mut guests = guests(&nodes, 6);
    under_load(&nodes, &mut guests, || {
        for round in 0..6 {
            std::thread::sleep(Duration::from_millis(150 + 50 * round));
            let node = usize::try_from(round).expect("few") % 3;
            nodes.kill(node);
            nodes.restart(node);
        }
    });
    for guest in &mut guests {
        assert_eq!(guest.tally.refused, 0, "{:?}", guest.tally);
        guest.check(&nodes);
    }
}

/// A machine that hung, a container that was frozen: what it remembers is out of date when it goes
/// on, also for requests that were waiting at its door.
fn a_node_that_was_stopped_serves_nothing_old(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let ends = ["/logout", "/login/grace", "/regenerate", "/revoke-all/ada"];
    let mut visitors: Vec<_> = (0..ends.len()).map(|_| nodes.visitor()).collect();
    for visitor in &mut visitors {
        visitor.text(0, "/login/ada");
    }
    // They are known on the other node, and each has a connection to it.
    let old = visitors.clone();
    let mut waiting: Vec<_> = old.iter().map(|_| Wire::connect(nodes.addr(1))).collect();
    let ask = |visitor: &Visitor<'_>, wire: &mut Wire| {
        wire.send(visitor.browser.head("GET", "/user") + "\r\n");
    };
    for (visitor, wire) in old.iter().zip(&mut waiting) {
        ask(visitor, wire);
        assert_eq!(wire.answer().text(), "ada");
    }
    let begun = Instant::now();
    nodes.signal(1, libc::SIGSTOP);
    for (number, path) in ends.into_iter().enumerate() {
        let before = Instant::now();
        visitors[number].text(0, path);
        eprintln!("{backend:?}: with a node stopped {path} takes {:?}", before.elapsed());
        ask(&old[number], &mut waiting[number]);
    }
    std::thread::sleep(Duration::from_secs(2).saturating_sub(begun.elapsed()));
    nodes.signal(1, libc::SIGCONT);
    for (number, path) in ends.into_iter().enumerate() {
        assert_eq!(waiting[number].answer().text(), "nobody", "{path}: it waited at the door");
        assert_eq!(old[number].clone().text(1, "/user"), "nobody", "{path}: afterwards");
    }
}
