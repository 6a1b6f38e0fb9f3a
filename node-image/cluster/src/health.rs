//! `cluster_state`: whether this node serves.
//!
//! It does while every slot is covered (unless partial coverage is allowed) and a majority of the
//! primaries that own slots is within reach. A primary that was cut off, or that comes back with
//! slots on record, waits a little before it serves again: the others may have replaced it, and
//! their word needs a moment to arrive.
//!
//! Not known here: what a command gets then; see `route.rs`.

use crate::event::Millis;
use crate::node::Node;
use crate::ready::LogLevel;

/// How long a primary that starts with slots on record waits before it serves.
const START_DELAY_MS: u64 = 2000;
/// Bounds of the wait after being in the minority.
const REJOIN_MS: (u64, u64) = (500, 5000);

/// The state, and since when.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Health {
    pub(crate) ok: bool,
    /// It was ok once in this life, so that clients may hold a view from before.
    served: bool,
    minority_at: Option<Millis>,
}

impl Health {
    /// The node has just replaced its primary, with a new epoch: nobody has a newer word about its
    /// slots, so there is nothing to wait for.
    pub(crate) fn promoted(&mut self) {
        self.minority_at = None;
    }
}

impl Node {
    /// True when the majority of voters is within reach.
    fn majority_reachable(&self) -> bool {
        let well = |id| id == self.id || self.peers.get(&id).is_some_and(|peer| peer.well());
        let reachable = self.slots.owners().filter(|owner| well(*owner)).count();
        reachable >= self.majority()
    }

    fn covered(&self) -> bool {
        let failed = |id| self.peers.get(&id).is_some_and(|peer| peer.failed());
        !self.config.require_full_coverage
            || (self.slots.is_complete() && !self.slots.owners().any(failed))
    }

    pub(crate) fn judge_health(&mut self) {
        let now = self.now;
        let majority = self.majority_reachable();
        // Only who served, in this life or the one before, can have clients with an old view.
        if !majority && (self.health.served || self.had_slots_at_start) {
            self.health.minority_at = Some(now);
        }
        let ok = majority && self.covered();
        if ok == self.health.ok {
            return;
        }
        if ok && self.is_primary() {
            let (least, most) = REJOIN_MS;
            // Below three voters nobody can be elected while this one is away: only an order
            // with proof of death takes slots, and its news comes with the link. The wait would
            // be the longest part of such a failover.
            let most = if self.slots.size() < 3 { least } else { most };
            let rejoin_ms = self.config.node_timeout_ms.clamp(least, most);
            let rejoining = self.health.minority_at.is_some_and(|at| now.since(at) < rejoin_ms);
            let starting = self.had_slots_at_start
                && self.started.is_some_and(|at| now.since(at) < START_DELAY_MS);
            if rejoining || starting {
                return;
            }
        }
        self.health.ok = ok;
        self.health.served |= ok;
        self.reroute = true;
        let state = if ok { "ok" } else { "fail" };
        self.log(LogLevel::Notice, format!("Cluster state changed: {state}"));
    }
}
