//! One thread for each sentinel: it asks again and again who is master.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Named, SETTLED};
use crate::config::RedisAddress;
use crate::redis::dial::Dialer;
use crate::redis::transport::Transport;
use crate::runtime::{self, sync::ShortLock};

/// The time between two questions to a sentinel, short commands on a connection that is kept.
const PAUSE: Duration = Duration::from_millis(200);

/// Who was told of: which sentinel named which other master. A process may have several connections
/// to one redis, and says it once.
static TOLD: ShortLock<Vec<[RedisAddress; 2]>> = ShortLock::new(Vec::new());

/// Of more it may say it again.
const MAX_TOLD: usize = 64;

/// Asks each sentinel for as long as the dialer lives, once somebody has connected.
pub(in crate::redis) fn watch(dialer: &Arc<Dialer>) {
    for at in dialer.sentinels() {
        let (dialer, at) = (Arc::downgrade(dialer), at.clone());
        // Each on a thread of its own: one that does not answer keeps nobody from hearing the others.
        let started = runtime::thread("maypole-sentinel", move || follow(&dialer, &at));
        if let Err(error) = started {
            log::error!("no thread asks a sentinel who is master: {error}");
        }
    }
}

fn follow(dialer: &Weak<Dialer>, at: &RedisAddress) {
    // Since when it names another master than the known one.
    let (mut kept, mut dissent) = (None, None);
    loop {
        std::thread::park_timeout(PAUSE);
        let Some(dialer) = dialer.upgrade() else { return };
        if dialer.masters().known_address().is_some() {
            // A failure says nothing about the master.
            kept = ask_again(&dialer, at, kept.take(), &mut dissent);
        }
    }
}

/// A connection to a sentinel, and whom it named over it last.
type Kept = (Transport, Option<Named>);

fn ask_again(
    dialer: &Dialer,
    at: &RedisAddress,
    kept: Option<Kept>,
    dissent: &mut Option<Instant>,
) -> Option<Kept> {
    let (sentinel, before) = match kept {
        Some(kept) => kept,
        None => (dialer.open_sentinel(at).ok()?, None),
    };
    let Some(said) = dialer.master_of(&sentinel, before.as_ref()).ok()? else {
        // Who is told of another master by hand knows of none for a moment.
        return Some((sentinel, before));
    };
    let agrees = dialer.masters().hear(&said, before.as_ref().map(|before| &before.master));
    let since = dissent.take().filter(|_| !agrees);
    *dissent = (!agrees).then(|| since.unwrap_or_else(Instant::now));
    if since.is_some_and(|since| since.elapsed() >= SETTLED) {
        tell_of_dissent(dialer, at, &said);
    }
    Some((sentinel, Some(said)))
}

fn tell_of_dissent(dialer: &Dialer, at: &RedisAddress, said: &Named) {
    let news = [at.clone(), said.master.clone()];
    let is_told = TOLD.with(|told| {
        let is_told = told.contains(&news);
        if !is_told {
            told.truncate(MAX_TOLD - 1);
            told.insert(0, news);
        }
        is_told
    });
    if is_told {
        return;
    }
    let known = dialer.masters().known_address();
    let known = known.map(|known| known.to_string()).unwrap_or_default();
    log::warn!(
        "the sentinel at {at} goes on to call {} the master; connections to redis stay with {known}. \
         It calls the same server otherwise than the others do (resolve-hostnames, \
         announce-hostnames), or is cut off from them, or belongs to another group (said once)",
        said.master
    );
}
