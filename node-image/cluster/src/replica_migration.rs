//! A primary without replicas gets one from a primary that has more than it needs.
//!
//! Only the replica with the smallest id among the candidates moves, so that not all do at once.
//! Not known here: failover; an orphan's slots are safe as long as it lives.

use holdfast_wire::id::NodeId;

use crate::node::Node;
use crate::ready::LogLevel;

/// How long a primary must be an orphan before it is given a replica.
const ORPHAN_MS: u64 = 5000;

impl Node {
    fn replicas_that_live(&self, primary: NodeId) -> u64 {
        let live = |peer: &&crate::peer::Peer| peer.primary == Some(primary) && !peer.failed();
        let me = u64::from(self.primary == Some(primary));
        self.peers.values().filter(live).count() as u64 + me
    }

    fn is_orphan(&self, id: NodeId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.migrate_to && !peer.failed())
            && self.slots.has_slots(id)
            && self.replicas_that_live(id) == 0
    }

    /// Follows an orphan when this replica is the one to go.
    pub(crate) fn migrate_replica(&mut self) {
        let now = self.now;
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            let orphan = self.is_orphan(id);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.orphan_since = orphan.then(|| peer.orphan_since.unwrap_or(now));
            }
        }
        let Some(primary) = self.primary else { return };
        let blocked = !self.health.ok
            || !self.config.allow_replica_migration
            || self.manual.ends.is_some()
            || self.replicas_that_live(primary) <= self.config.migration_barrier;
        if blocked || self.most_replicas() != self.replicas_that_live(primary) {
            return;
        }
        let target = self
            .peers
            .iter()
            .find(|(_, peer)| peer.orphan_since.is_some_and(|since| now.since(since) >= ORPHAN_MS));
        let Some(target) = target.map(|(id, _)| *id) else { return };
        let smallest = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_replica && !peer.failed())
            .filter(|(_, peer)| {
                let count = peer.primary.map(|primary| self.replicas_that_live(primary));
                count == Some(self.most_replicas())
            })
            .map(|(id, _)| *id)
            .min();
        if smallest.is_none_or(|other| self.id < other) {
            self.log(LogLevel::Notice, format!("Migrating to orphaned master {target}."));
            self.follow(target);
        }
    }

    fn most_replicas(&self) -> u64 {
        let primaries = self.slots.owners();
        primaries.map(|primary| self.replicas_that_live(primary)).max().unwrap_or(0)
    }
}
