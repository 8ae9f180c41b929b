//! A redis that is killed, paused, slow, full or back again under load.

use std::time::{Duration, Instant};

use super::load::{Guest, expect_unavailable, guests, under_load};
use crate::support::{Backend, Nodes, Sent, Visitor, wait_until};

super::on_every_redis! {
    a_killed_redis_loses_nothing_and_is_found_again
    a_paused_redis_keeps_nobody_waiting
    a_slow_redis_is_only_slow
    a_full_redis_refuses_newcomers_and_serves_the_others
    newcomers_during_an_outage_get_a_session_or_a_503
    a_quota_refuses_newcomers_on_all_nodes_and_serves_the_others
}

/// "About a second", on a machine that is busy with other tests.
const BACK_WITHIN: Duration = Duration::from_secs(6);

/// No answer takes longer, whatever the store does.
const LONGEST: Duration = Duration::from_secs(10);

fn a_killed_redis_loses_nothing_and_is_found_again(backend: Backend) {
    let nodes = Nodes::start(backend, 2);
    let mut guests = guests(&nodes, 6);
    let mut probe = nodes.visitor();
    probe.text(0, "/count");
    let back = under_load(&nodes, &mut guests, || {
        (0..3).map(|_| kill_and_restart(&nodes, &mut probe)).collect::<Vec<_>>()
    });
    eprintln!("{backend:?}: nodes served again after redis did, one after the other: {back:?}");
    for guest in &mut guests {
        assert!(guest.tally.refused > 0, "nobody was refused: {:?}", guest.tally);
        assert!(guest.tally.longest < LONGEST, "{:?}", guest.tally);
        guest.check(&nodes);
    }
    assert!(back.iter().flatten().all(|time| *time < BACK_WITHIN), "{back:?}");
}

/// How long after redis each node was back.
fn kill_and_restart(nodes: &Nodes, probe: &mut Visitor<'_>) -> Vec<Duration> {
    std::thread::sleep(Duration::from_millis(300));
    nodes.redis().kill();
    for node in 0..nodes.count() {
        let begun = Instant::now();
        expect_unavailable(&probe.get(node, "/count"));
        assert!(begun.elapsed() < LONGEST, "a refusal took {:?}", begun.elapsed());
        assert_eq!(probe.get(node, "/").status, 200, "what needs no session is served");
    }
    nodes.redis().start_again();
    let begun = Instant::now();
    (0..nodes.count())
        .map(|node| {
            wait_until("the node is back", LONGEST, || probe.get(node, "/read").status == 200);
            begun.elapsed()
        })
        .collect()
}

fn a_paused_redis_keeps_nobody_waiting(backend: Backend) {
    let nodes = Nodes::start(backend, 2);
    let mut guests = guests(&nodes, 4);
    let begun = Instant::now();
    under_load(&nodes, &mut guests, || {
        std::thread::sleep(Duration::from_millis(200));
        nodes.redis().run("CLIENT PAUSE 2500 ALL");
        // It takes no command meanwhile, this one neither.
        nodes.redis().run("PING");
        std::thread::sleep(Duration::from_millis(500));
    });
    eprintln!("{backend:?}: paused for 2.5 s of {:?}", begun.elapsed());
    for guest in &mut guests {
        assert!(guest.tally.longest < LONGEST, "{:?}", guest.tally);
        guest.check(&nodes);
    }
}

fn a_slow_redis_is_only_slow(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut guests = guests(&nodes, 4);
    under_load(&nodes, &mut guests, || {
        let mut client = nodes.redis().client();
        for _ in 0..60 {
            client.run("DEBUG SLEEP 0.02");
        }
    });
    for guest in &mut guests {
        assert_eq!(guest.tally.unknown, 0, "{:?}", guest.tally);
        guest.check(&nodes);
    }
}

fn a_full_redis_refuses_newcomers_and_serves_the_others(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut guests = guests(&nodes, 4);
    let filling = format!("/set/filling/{}", "x".repeat(6_000));
    let mut accepted = fill_up(&nodes, &filling);
    eprintln!("{backend:?}: full after {} newcomers", accepted.len());
    for node in 0..2 {
        expect_unavailable(&nodes.visitor().get(node, &filling));
        assert_eq!(nodes.visitor().text(node, "/read"), "0", "who only looks is served");
    }
    for newcomer in &mut accepted {
        assert_eq!(newcomer.text(0, "/get/filling").len(), 6_000);
    }
    for guest in &mut guests {
        guest.count(0);
        guest.check(&nodes);
    }
    leave(&mut guests.remove(0));
    nodes.redis().run("CONFIG SET maxmemory 0");
    wait_until("newcomers are welcome again", BACK_WITHIN, || {
        nodes.visitor().get(1, "/set/k/v").status == 204
    });
    for guest in &mut guests {
        leave(guest);
    }
}

/// The quota counts all nodes' sessions; visitors who came back are not given up for newcomers.
fn a_quota_refuses_newcomers_on_all_nodes_and_serves_the_others(backend: Backend) {
    let nodes = Nodes::patient_with(backend, 2, &[("MAYPOLE_SESSION_MAX_SESSIONS", "40")]);
    let mut guests = guests(&nodes, 4);
    let mut regulars = Vec::new();
    for number in 0..200 {
        let mut newcomer = nodes.visitor();
        let answer = newcomer.get(number % 2, "/set/k/v");
        if answer.status == 204 {
            assert_eq!(newcomer.text(1, "/set/k/w"), "");
            regulars.push(newcomer);
        } else {
            expect_unavailable(&answer);
        }
    }
    let keys = nodes.redis().run("DBSIZE").integer();
    assert!(regulars.len() > 20 && keys <= 40, "{} let in, {keys} keys", regulars.len());
    for regular in &mut regulars {
        assert_eq!(regular.text(0, "/get/k"), "w");
    }
    for guest in &mut guests {
        guest.count(0);
        guest.check(&nodes);
        leave(guest);
    }
}

/// Newcomers with much luggage until one is refused; those who were not.
fn fill_up<'a>(nodes: &'a Nodes, filling: &str) -> Vec<Visitor<'a>> {
    let used: u64 = nodes.redis().info("used_memory").parse().expect("a number");
    nodes.redis().run("CONFIG SET maxmemory-policy noeviction");
    nodes.redis().run(&format!("CONFIG SET maxmemory {}", used + 300_000));
    let mut accepted = Vec::new();
    for number in 0..2_000 {
        let mut newcomer = nodes.visitor();
        let answer = newcomer.get(number % 2, filling);
        if answer.status != 204 {
            expect_unavailable(&answer);
            // What it uses goes up and down by its buffers; from now on it stays above.
            let used: u64 = nodes.redis().info("used_memory").parse().expect("a number");
            nodes.redis().run(&format!("CONFIG SET maxmemory {}", used - 100_000));
            return accepted;
        }
        accepted.push(newcomer);
    }
    panic!("it never was full");
}

/// A logout makes nothing larger: it works with redis full as well.
fn leave(guest: &mut Guest<'_>) {
    let mut old = guest.visitor.clone();
    assert_eq!(guest.visitor.get(0, "/logout").status, 204);
    assert_eq!(old.text(1, "/get/base"), "none");
}

fn newcomers_during_an_outage_get_a_session_or_a_503(backend: Backend) {
    let nodes = Nodes::start(backend, 2);
    let (mut welcomed, mut refused) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let outage = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            nodes.redis().kill();
            std::thread::sleep(Duration::from_millis(500));
            nodes.redis().start_again();
        });
        let mut after = 0;
        for turn in 0.. {
            let mut newcomer = nodes.visitor();
            match newcomer.try_get(turn % 2, "/count") {
                Sent::Answered(answer) if answer.status == 200 => {
                    assert!(newcomer.browser.session().is_some(), "{}", answer.head);
                    welcomed.push(newcomer);
                    after += usize::from(outage.is_finished());
                }
                Sent::Answered(answer) => {
                    expect_unavailable(&answer);
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
            if after > 20 {
                break;
            }
        }
    });
    eprintln!("{backend:?}: {} newcomers were welcomed, {refused} refused", welcomed.len());
    assert!(refused > 0, "there was no outage");
    for newcomer in &mut welcomed {
        assert_eq!(newcomer.text(0, "/read"), "1");
    }
}
