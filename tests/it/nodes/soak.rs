//! Visitors who do anything they like on any node, while nodes and store are killed, stopped and
//! cut off, against a model of what was acknowledged. `tests/soak` runs it for minutes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::model::{Model, Random, Totals};
use crate::support::{Backend, Nodes};

super::on_every_backend! {
    whatever_happens_nothing_acknowledged_is_lost
}

const VISITORS: u64 = 6;

fn whatever_happens_nothing_acknowledged_is_lost(backend: Backend) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let length = Duration::from_secs(number("MAYPOLE_SOAK_SECS").unwrap_or(20));
    let seed = number("MAYPOLE_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("{backend:?}: {length:?} with MAYPOLE_SOAK_SEED={seed}");
    let nodes = Nodes::start(backend, 3);
    let (is_over, has_failed) = (AtomicBool::new(false), AtomicBool::new(false));
    let served = AtomicU64::new(0);
    let models: Vec<Model<'_>> = std::thread::scope(|scope| {
        let visitors: Vec<_> = (1..=VISITORS)
            .map(|number| {
                let (nodes, is_over, failed, served) = (&nodes, &is_over, &has_failed, &served);
                scope.spawn(move || {
                    let _alarm = Alarm(failed);
                    let random = Random::new(seed.wrapping_mul(1_000).wrapping_add(number));
                    let mut model = Model::new(nodes, number, random);
                    while !is_over.load(Ordering::Relaxed) {
                        model.step();
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    model
                })
            })
            .collect();
        let trouble = {
            let (nodes, failed) = (&nodes, &has_failed);
            scope.spawn(move || make_trouble(nodes, Random::new(seed), length, failed))
        };
        let trouble = trouble.join();
        is_over.store(true, Ordering::Relaxed);
        let models: Vec<_> = visitors.into_iter().map(|it| it.join().expect("no loss")).collect();
        eprintln!("{backend:?}: {}", trouble.expect("the trouble goes as planned"));
        models
    });
    let mut totals = Totals::default();
    for mut model in models {
        model.check_at_the_end();
        totals.add(&model.totals);
    }
    eprintln!("{backend:?}: {totals:?}");
    assert!(totals.acknowledged > 20 * length.as_secs(), "there was no load: {totals:?}");
}

/// Ends the trouble when a visitor fails.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Something bad every now and then; what there was.
fn make_trouble(
    nodes: &Nodes,
    mut random: Random,
    length: Duration,
    failed: &AtomicBool,
) -> String {
    let end = Instant::now() + length;
    let (mut node_kills, mut stops, mut redis_kills, mut pauses, mut cuts) = (0, 0, 0, 0, 0);
    while Instant::now() < end && !failed.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100 + random.below(700)));
        let node = usize::try_from(random.below(3)).expect("few");
        match random.below(if nodes.has_redis() { 10 } else { 5 }) {
            0..=2 => {
                nodes.kill(node);
                std::thread::sleep(Duration::from_millis(random.below(300)));
                nodes.restart(node);
                node_kills += 1;
            }
            3 | 4 => {
                nodes.signal(node, libc::SIGSTOP);
                std::thread::sleep(Duration::from_millis(random.below(1_000)));
                nodes.signal(node, libc::SIGCONT);
                stops += 1;
            }
            5 | 6 => {
                nodes.redis().kill();
                std::thread::sleep(Duration::from_millis(random.below(500)));
                nodes.redis().start_again();
                redis_kills += 1;
            }
            7 => {
                nodes.redis().run(&format!("CLIENT PAUSE {} ALL", random.below(1_500)));
                pauses += 1;
            }
            kind => {
                let kind = if kind == 8 { "pubsub" } else { "normal" };
                nodes.redis().run(&format!("CLIENT KILL TYPE {kind} SKIPME yes"));
                cuts += 1;
            }
        }
    }
    format!(
        "{node_kills} nodes killed, {stops} stopped, redis {redis_kills} times killed, {pauses} \
         times paused, {cuts} times cut off"
    )
}
