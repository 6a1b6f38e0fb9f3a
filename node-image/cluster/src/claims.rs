//! Claims on slots: whose word counts, who must be told, and what a loss means for us.
//!
//! Every heartbeat claims slots with a configuration epoch. The higher epoch wins a slot; a slot
//! without owner goes to whoever claims it; a slot that we import is left alone until SETSLOT
//! ends the migration. Whoever claims with an old epoch is sent an UPDATE. Two primaries with one
//! epoch draw apart by their ids.
//!
//! Not known here: how an epoch is won; see `election.rs`.

use holdfast_wire::bus::{Body, Header};
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;

use crate::node::Node;
use crate::ready::LogLevel;

impl Node {
    /// Compares the slots of a heartbeat with our view.
    pub(crate) fn learn_slots(&mut self, header: &Header) {
        let Some(peer) = self.peers.get(&header.sender) else { return };
        let claimer = if peer.is_replica { peer.primary } else { Some(header.sender) };
        let Some(claimer) = claimer else { return };
        if self.slots.of(claimer) == header.slots {
            return;
        }
        if claimer == header.sender {
            self.apply_claim(claimer, header.config_epoch, &header.slots);
        }
        // Those who own what the sender believes to be another's, by a newer epoch.
        let newer: Vec<_> = self
            .slots
            .iter()
            .filter(|(owner, slots)| *owner != claimer && slots.intersects(&header.slots))
            .filter(|(owner, _)| self.config_epoch_of(*owner) > header.config_epoch)
            .map(|(owner, _)| owner)
            .collect();
        for owner in newer {
            self.send_update(header.sender, owner);
        }
    }

    fn send_update(&mut self, to: NodeId, owner: NodeId) {
        let claim_pending = owner == self.id && self.told.is_some();
        let Some(link) = self.link_of(to).filter(|_| !claim_pending) else { return };
        let body = Body::Update {
            node: owner,
            config_epoch: self.config_epoch_of(owner),
            slots: self.slots.of(owner),
        };
        let packet = self.packet_of(body);
        self.send(link, &packet, None);
    }

    /// An UPDATE: the owner's word by a third party.
    pub(crate) fn told_update(&mut self, node: NodeId, config_epoch: u64, slots: &SlotSet) {
        if node == self.id {
            return;
        }
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.config_epoch >= config_epoch {
            return;
        }
        peer.config_epoch = config_epoch;
        if peer.is_replica {
            peer.is_replica = false;
            peer.primary = None;
        }
        self.changed();
        self.apply_claim(node, config_epoch, slots);
    }

    /// Gives `claimer` what its epoch entitles it to, and bears the consequences.
    fn apply_claim(&mut self, claimer: NodeId, epoch: u64, claimed: &SlotSet) {
        if claimer == self.id {
            return;
        }
        let importing: SlotSet = self.importing.keys().copied().collect();
        let wanted = claimed.difference(&self.slots.of(claimer)).difference(&importing);
        if wanted.is_empty() {
            return;
        }
        let shard_primary = self.primary.unwrap_or(self.id);
        let mut won = self.slots.free().intersection(&wanted);
        let mut lost = SlotSet::new();
        for (owner, slots) in self.slots.iter() {
            if !slots.intersects(&wanted) || !self.is_newer(epoch, owner) {
                continue;
            }
            let taken = slots.intersection(&wanted);
            if owner == shard_primary {
                lost = taken.clone();
            }
            won = won.union(&taken);
        }
        if won.is_empty() {
            return;
        }
        self.slots.assign(&won, claimer);
        self.migrating.retain(|slot, _| !won.contains(*slot));
        self.changed();
        if !lost.is_empty() {
            self.bear_loss(claimer, claimed, &lost, shard_primary);
        }
    }

    fn is_newer(&self, epoch: u64, owner: NodeId) -> bool {
        #[cfg(feature = "mutants")]
        if self.config.mutant == Some(crate::config::Mutant::BelievesOldEpochs) {
            return true;
        }
        epoch > self.config_epoch_of(owner)
    }

    /// Our shard lost slots: with the last one we follow the winner.
    fn bear_loss(
        &mut self,
        claimer: NodeId,
        claimed: &SlotSet,
        lost: &SlotSet,
        shard_primary: NodeId,
    ) {
        let all_gone = !self.slots.has_slots(shard_primary);
        let replaced = claimed.len() == lost.len();
        if all_gone && (self.config.allow_replica_migration || replaced) {
            self.log(
                LogLevel::Notice,
                format!("Configuration change detected. Following {claimer} from now on."),
            );
            self.follow(claimer);
        } else if self.is_primary() {
            let dropped = self.out.drop_slots.take().unwrap_or_default();
            self.out.drop_slots = Some(dropped.union(lost));
        }
    }

    /// Two primaries with one configuration epoch: the one with the smaller id takes a new one.
    pub(crate) fn resolve_epoch_collision(&mut self, header: &Header) {
        let both_primaries = self.is_primary() && header.replica_of.is_none();
        if !both_primaries
            || header.config_epoch != self.config_epoch
            || header.sender <= self.id
            || self.disk_failed.is_some()
        {
            return;
        }
        self.close_gate();
        self.current_epoch += 1;
        self.config_epoch = self.current_epoch;
        self.log(
            LogLevel::Verbose,
            format!(
                "configEpoch collision with node {}. Updating ours to {}.",
                header.sender, self.config_epoch
            ),
        );
    }

    /// Takes a configuration epoch above all others without asking; none when ours is that
    /// already. The caller has closed the gate.
    pub(crate) fn bump_epoch(&mut self) -> Option<u64> {
        let highest = self
            .peers
            .values()
            .map(|peer| peer.config_epoch)
            .fold(self.current_epoch.max(self.config_epoch), u64::max);
        if self.config_epoch != 0 && self.config_epoch == highest {
            return None;
        }
        self.current_epoch = highest + 1;
        self.config_epoch = self.current_epoch;
        Some(self.config_epoch)
    }

    /// A replica whose primary became a replica itself follows the one that its primary follows.
    pub(crate) fn follow_successor(&mut self) {
        let primary = self.primary.and_then(|id| self.peers.get(&id));
        let successor = primary.filter(|peer| peer.is_replica).and_then(|peer| peer.primary);
        let Some(successor) = successor.filter(|id| *id != self.id) else { return };
        if self.peers.get(&successor).is_some_and(|peer| !peer.is_replica) {
            self.follow(successor);
        }
    }

    /// Becomes a replica of a primary.
    pub(crate) fn follow(&mut self, primary: NodeId) {
        if self.primary.is_none() {
            self.migrating.clear();
            self.importing.clear();
            self.slots.clear(self.id);
            self.migrate_to = false;
        }
        self.primary = Some(primary);
        self.lame = false;
        if let Some(peer) = self.peers.get_mut(&primary) {
            peer.migrate_to = true;
            if let Some(shard) = peer.shard {
                self.shard = shard;
            }
        }
        self.end_manual_failover();
        self.election = crate::election::Election::default();
        // An old claim of ours that waits for the disk must not be told any more.
        self.told = None;
        self.changed();
        self.broadcast_pong();
    }
}
