//! Three masters that share the 16,384 slots of a cluster.

use super::{Redis, Reply};
use crate::support::PATIENCE;
use crate::support::process::wait_until;

const SLOTS: usize = 16_384;

/// A cluster of three masters without replicas.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) masters: Vec<Redis>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "3000"];
        let masters: Vec<_> = (0..3).map(|_| Redis::start_with(&arguments)).collect();
        for (number, master) in masters.iter().enumerate() {
            let slots = number * SLOTS / 3..(number + 1) * SLOTS / 3;
            let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
            master.run(&format!("CLUSTER ADDSLOTS {}", slots.join(" ")));
            master.run(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
        }
        let cluster = Self { masters };
        for other in &cluster.masters[1..] {
            cluster.masters[0].run(&format!("CLUSTER MEET 127.0.0.1 {}", other.port()));
        }
        cluster.wait_until_whole();
        cluster
    }

    /// Where the masters listen.
    pub(crate) fn addrs(&self) -> Vec<String> {
        self.masters.iter().map(|master| format!("127.0.0.1:{}", master.port())).collect()
    }

    /// Waits until all masters know each other and serve all slots.
    pub(crate) fn wait_until_whole(&self) {
        wait_until("the cluster is whole", PATIENCE, || {
            self.masters.iter().all(|master| {
                let info = master.run("CLUSTER INFO").text();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
        });
    }

    /// The slots of this master that hold keys.
    pub(crate) fn slots_in_use(&self, master: usize) -> Vec<usize> {
        let mut client = self.masters[master].client();
        let mut slots = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let page = client.run(&format!("SCAN {cursor} COUNT 1000"));
            let [next, keys] = page.list() else { panic!("SCAN gave {page:?}") };
            for key in keys.list() {
                let slot = client.run(&format!("CLUSTER KEYSLOT {}", key.text())).integer();
                slots.push(usize::try_from(slot).expect("a slot"));
            }
            cursor = next.text();
            if cursor == "0" {
                slots.sort_unstable();
                slots.dedup();
                return slots;
            }
        }
    }

    /// Moves a slot with all its keys, the way `redis-cli --cluster reshard` does: for a while the
    /// old master answers ASK, then MOVED.
    pub(crate) fn move_slot(&self, slot: usize, from: usize, to: usize) {
        let id = |master: usize| self.masters[master].run("CLUSTER MYID").text();
        let (from_id, to_id) = (id(from), id(to));
        let (mut old, mut new) = (self.masters[from].client(), self.masters[to].client());
        new.run(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
        old.run(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
        loop {
            let keys = old.run(&format!("CLUSTER GETKEYSINSLOT {slot} 10"));
            let keys: Vec<_> = keys.list().iter().map(Reply::text).collect();
            if keys.is_empty() {
                break;
            }
            let port = self.masters[to].port();
            // One by one: `KEYS` needs an empty word, which this client cannot send.
            for key in keys {
                let reply = old.try_run(&format!("MIGRATE 127.0.0.1 {port} {key} 0 5000"));
                assert!(matches!(reply, Some(Reply::Text(_))), "{key}: {reply:?}");
            }
        }
        for master in [to, from] {
            self.masters[master].run(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
        }
        for (number, other) in self.masters.iter().enumerate() {
            if number != from && number != to {
                other.run(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
            }
        }
        // What they still tell each other of before would be taken for news of a later move.
        wait_until("all masters agree on the move", PATIENCE, || {
            (0..3).all(|master| self.owner_as_seen_by(master, slot) == self.masters[to].port())
        });
    }

    /// The port of the master of a slot.
    fn owner_as_seen_by(&self, master: usize, slot: usize) -> u16 {
        let slots = self.masters[master].run("CLUSTER SLOTS");
        let slot = i64::try_from(slot).expect("a slot");
        let range = slots.list().iter().find_map(|range| match range.list() {
            [from, to, owner, ..] if (from.integer()..=to.integer()).contains(&slot) => Some(owner),
            _ => None,
        });
        let port = range.map_or(0, |owner| owner.list()[1].integer());
        u16::try_from(port).expect("a port")
    }
}
