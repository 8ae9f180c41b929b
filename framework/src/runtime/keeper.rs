//! One thread that looks after things some times a second: overdue requests, lost connections.
//!
//! may's timers cost about 8 us each, so what may be a little late is looked at in rounds instead.

use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::sync::ShortLock;

/// The time between two rounds.
const ROUND: Duration = Duration::from_millis(20);

/// Something to be looked after.
pub(crate) trait Kept: Send + Sync {
    /// Called every 20 ms or so, on a plain thread that others need too: it must not block.
    fn look_after(self: Arc<Self>);
}

static KEPT: ShortLock<Vec<Weak<dyn Kept>>> = ShortLock::new(Vec::new());
static KEEPER: OnceLock<bool> = OnceLock::new();

/// Looks after `kept` for as long as somebody else holds it. False when there is no thread for it.
pub(crate) fn keep(kept: Weak<dyn Kept>) -> bool {
    KEPT.with(|list| list.push(kept));
    *KEEPER.get_or_init(|| thread("maypole-keeper", go_round).is_ok())
}

fn go_round() {
    let mut round = Vec::new();
    loop {
        KEPT.with(|list| {
            list.retain(|kept| kept.strong_count() > 0);
            round.extend(list.iter().filter_map(Weak::upgrade));
        });
        for kept in round.drain(..) {
            kept.look_after();
        }
        std::thread::park_timeout(ROUND);
    }
}

/// Starts a plain thread, for work that blocks and that nobody waits for.
pub(crate) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
