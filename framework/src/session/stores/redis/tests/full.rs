//! A redis that has no memory left.

use super::{HOUR, create, key, now, record, replace, store};
use crate::redis::tests::server::Server;
use crate::session::{Expected, Renewed, SessionStore, StoreError, Swap, Touch};

#[test]
fn a_full_redis_refuses_new_sessions_and_lets_old_ones_end() {
    let server = Server::start_with(&["--maxmemory-policy", "noeviction"]);
    let store = store(&server);
    create(&store, &key(1), &record(1, vec![b'x'; 300]));
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let new = store.swap(&key(2), Expected::Absent, &record(1, "x"), now());
    assert!(matches!(new, Err(StoreError::Full)), "{new:?}");
    assert_eq!(store.load(&key(2), now()).unwrap(), None);
    let larger = record(2, vec![b'x'; 301]);
    let grown = store.swap(&key(1), Expected::Version(1), &larger, now());
    assert!(matches!(grown, Err(StoreError::Refused(_))), "{grown:?}");
    assert_eq!(store.load(&key(1), now()).unwrap().unwrap().version, 1, "nothing was changed");
    // What needs no memory goes on: saves, renewals, and the end of a session.
    replace(&store, &key(1), &record(2, vec![b'y'; 300]));
    let renewed = Renewed { deadline: now() + HOUR, last_seen: now(), evictable: false };
    assert_eq!(store.touch(&key(1), 2, renewed, now()).unwrap(), Touch::Done);
    replace(&store, &key(1), &record(3, "tombstone"));
    replace(&store, &key(1), &record(4, "tombstone"));
    assert_eq!(store.load(&key(1), now()).unwrap().unwrap().bytes, b"tombstone");
    let stale = store.swap(&key(1), Expected::Version(2), &record(5, "x"), now()).unwrap();
    assert_eq!(stale, Swap::Conflict, "answers are as good as ever");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    create(&store, &key(2), &record(1, "x"));
}
