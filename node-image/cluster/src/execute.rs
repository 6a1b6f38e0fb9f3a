//! Carries out CLUSTER commands.
//!
//! A command is checked whole before it changes anything; a change that must not be forgotten
//! answers only once it is durable. The texts of errors are Redis 7.0's. Not known here: where
//! the command came from.

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;

use crate::command::{ClusterCommand, Reply, SlotChange};
use crate::event::{CommandFacts, Ticket, Token};
use crate::health::Health;
use crate::node::Node;
use crate::ready::{Answer, LogLevel};

/// For how long a forgotten node is not learned again from others.
const FORGET_MS: u64 = 60_000;

type Outcome = Result<Reply, String>;

impl Node {
    /// Answers at once.
    pub(crate) fn answer(&mut self, token: Token, result: Outcome) {
        self.answer_after(token, result, None);
    }

    fn answer_after(&mut self, token: Token, result: Outcome, after: Option<Ticket>) {
        self.out.answers.push(Answer { token, result, after });
    }

    pub(crate) fn command(&mut self, token: Token, command: ClusterCommand, facts: CommandFacts) {
        if let ClusterCommand::Failover(kind) = command {
            self.fail_over(token, kind);
            return;
        }
        let saved_before = self.save;
        self.save = false;
        let result = self.execute(command, facts);
        let after = (self.save && result.is_ok()).then(|| self.next_ticket());
        self.save |= saved_before;
        self.answer_after(token, result, after);
    }

    fn execute(&mut self, command: ClusterCommand, facts: CommandFacts) -> Outcome {
        match command {
            ClusterCommand::Meet { ip, port, bus_port } => {
                self.start_handshake(ip, port, bus_port, true, false);
                Ok(Reply::Ok)
            }
            ClusterCommand::Forget(id) => self.forget(id),
            ClusterCommand::AddSlots(slots) => self.add_slots(&slots),
            ClusterCommand::DelSlots(slots) => self.del_slots(&slots),
            ClusterCommand::FlushSlots => self.flush_slots(facts),
            ClusterCommand::SetSlots { slots, change } => self.set_slots(&slots, change, facts),
            ClusterCommand::ClaimSlots { slots, from } => self.claim_slots(&slots, from),
            ClusterCommand::Replicate(id) => self.replicate(id, facts),
            ClusterCommand::Reset { hard } => self.reset(hard, facts),
            ClusterCommand::SetConfigEpoch(epoch) => self.set_config_epoch(epoch),
            ClusterCommand::BumpEpoch => {
                self.close_gate();
                Ok(Reply::Status(match self.bump_epoch() {
                    Some(epoch) => format!("BUMPED {epoch}"),
                    None => format!("STILL {}", self.config_epoch),
                }))
            }
            ClusterCommand::SaveConfig => {
                self.save = true;
                Ok(Reply::Ok)
            }
            other => self.query(other, facts.secured),
        }
    }

    fn query(&mut self, command: ClusterCommand, secured: bool) -> Outcome {
        Ok(match command {
            ClusterCommand::Nodes => Reply::Text(self.nodes_text(secured)),
            ClusterCommand::Slots => Reply::Slots(self.slot_ranges(secured)),
            ClusterCommand::Shards => Reply::Shards(self.shards()),
            ClusterCommand::Info => Reply::Text(self.info_text()),
            ClusterCommand::MyId => Reply::Text(self.id.to_string()),
            ClusterCommand::MyShardId => Reply::Text(self.shard.to_string()),
            ClusterCommand::Links => Reply::Links(self.link_lines()),
            ClusterCommand::CountFailureReports(id) => {
                self.known(id)?;
                Reply::Integer(self.count_reports(id) as i64)
            }
            ClusterCommand::Replicas(id) => {
                self.known(id)?;
                if self.is_replica_node(id) {
                    return Err("ERR The specified node is not a master".to_owned());
                }
                let line = |id| {
                    if id == self.id { self.own_line(secured) } else { self.peer_line(id, secured) }
                };
                let lines = self.replicas_of(id).into_iter().map(line);
                Reply::Lines(lines.map(|line| line.trim_end().to_owned()).collect())
            }
            _ => return Err("ERR unknown subcommand. Try CLUSTER HELP.".to_owned()),
        })
    }

    fn known(&self, id: NodeId) -> Result<(), String> {
        if id == self.id || self.peers.contains_key(&id) {
            Ok(())
        } else {
            Err(format!("ERR Unknown node {id}"))
        }
    }

    fn is_replica_node(&self, id: NodeId) -> bool {
        if id == self.id {
            self.primary.is_some()
        } else {
            self.peers.get(&id).is_some_and(|peer| peer.is_replica)
        }
    }

    fn forget(&mut self, id: NodeId) -> Outcome {
        self.known(id)?;
        if id == self.id {
            return Err("ERR I tried hard but I can't forget myself...".to_owned());
        }
        if self.primary == Some(id) {
            return Err("ERR Can't forget my master!".to_owned());
        }
        self.forgotten.insert(id, self.now.plus(FORGET_MS));
        self.remove_peer(id);
        Ok(Reply::Ok)
    }

    fn remove_peer(&mut self, id: NodeId) {
        self.drop_link_of(id);
        self.peers.remove(&id);
        self.slots.clear(id);
        self.migrating.retain(|_, to| *to != id);
        self.importing.retain(|_, from| *from != id);
        for peer in self.peers.values_mut() {
            peer.reports.remove(&id);
            peer.primary = peer.primary.filter(|primary| *primary != id);
        }
        self.changed();
    }

    fn add_slots(&mut self, slots: &SlotSet) -> Outcome {
        let busy = slots.difference(&self.slots.free());
        if let Some(slot) = busy.iter().next() {
            return Err(format!("ERR Slot {slot} is already busy"));
        }
        self.close_gate();
        self.slots.assign(slots, self.id);
        self.importing.retain(|slot, _| !slots.contains(*slot));
        Ok(Reply::Ok)
    }

    fn del_slots(&mut self, slots: &SlotSet) -> Outcome {
        if let Some(slot) = slots.intersection(&self.slots.free()).iter().next() {
            return Err(format!("ERR Slot {slot} is already unassigned"));
        }
        self.release(slots);
        Ok(Reply::Ok)
    }

    fn release(&mut self, slots: &SlotSet) {
        self.slots.release(slots);
        self.migrating.retain(|slot, _| !slots.contains(*slot));
        self.changed();
    }

    fn flush_slots(&mut self, facts: CommandFacts) -> Outcome {
        if facts.keys > 0 {
            return Err("ERR DB must be empty to perform CLUSTER FLUSHSLOTS.".to_owned());
        }
        self.release(&self.slots.of(self.id));
        Ok(Reply::Ok)
    }

    fn set_slots(&mut self, slots: &SlotSet, change: SlotChange, facts: CommandFacts) -> Outcome {
        if !self.is_primary() {
            return Err("ERR You can use SETSLOT only with masters.".to_owned());
        }
        let own = self.slots.of(self.id);
        match change {
            SlotChange::Migrating(to) => {
                if let Some(slot) = slots.difference(&own).iter().next() {
                    return Err(format!("ERR I'm not the owner of hash slot {slot}"));
                }
                self.check_partner(to)?;
                self.migrating.extend(slots.iter().map(|slot| (slot, to)));
            }
            SlotChange::Importing(from) => {
                if let Some(slot) = slots.intersection(&own).iter().next() {
                    return Err(format!("ERR I'm already the owner of hash slot {slot}"));
                }
                self.check_partner(from)?;
                self.importing.extend(slots.iter().map(|slot| (slot, from)));
            }
            SlotChange::Stable => {
                self.migrating.retain(|slot, _| !slots.contains(*slot));
                self.importing.retain(|slot, _| !slots.contains(*slot));
            }
            SlotChange::Node(to) => return self.set_slots_node(slots, to, facts),
        }
        self.changed();
        Ok(Reply::Ok)
    }

    fn check_partner(&self, id: NodeId) -> Result<(), String> {
        if self.known(id).is_err() {
            return Err(format!("ERR I don't know about node {id}"));
        }
        if self.is_replica_node(id) {
            Err("ERR Target node is not a master".to_owned())
        } else {
            Ok(())
        }
    }

    fn set_slots_node(&mut self, slots: &SlotSet, to: NodeId, facts: CommandFacts) -> Outcome {
        self.known(to)?;
        if self.is_replica_node(to) {
            return Err("ERR Target node is not a master".to_owned());
        }
        let own = self.slots.of(self.id);
        let leaving = own.intersection(slots);
        if to != self.id && facts.keys_in_slots > 0 && !leaving.is_empty() {
            let slot = leaving.iter().next().unwrap_or_default();
            return Err(format!(
                "ERR Can't assign hashslot {slot} to a different node while I still hold keys \
                 for this hash slot."
            ));
        }
        self.close_gate();
        self.migrating.retain(|slot, _| !slots.contains(*slot));
        let imported = self.importing.keys().any(|slot| slots.contains(*slot));
        self.importing.retain(|slot, _| !slots.contains(*slot));
        self.slots.assign(slots, to);
        if to == self.id && imported {
            self.bump_and_log();
        }
        let emptied = !leaving.is_empty() && !self.slots.has_slots(self.id);
        if emptied && to != self.id && self.config.allow_replica_migration {
            self.log(
                LogLevel::Notice,
                format!("Lost the last slot to {to}: following it from now on."),
            );
            self.follow(to);
        }
        Ok(Reply::Ok)
    }

    fn bump_and_log(&mut self) {
        if let Some(epoch) = self.bump_epoch() {
            self.log(LogLevel::Notice, format!("configEpoch updated to {epoch} after importing."));
        }
    }

    /// The hand-over of MIGRATESLOTS at the target.
    fn claim_slots(&mut self, slots: &SlotSet, from: NodeId) -> Outcome {
        if !self.is_primary() {
            return Err("ERR Only a primary can claim slots".to_owned());
        }
        let missing = slots.difference(&self.slots.of(self.id));
        if missing.is_empty() {
            // Asked again; the answer still waits for what is not durable yet.
            self.save = true;
            return Ok(Reply::Ok);
        }
        if let Some(slot) = missing.difference(&self.slots.of(from)).iter().next() {
            return Err(format!("ERR Slot {slot} is not owned by {from}"));
        }
        self.close_gate();
        if self.bump_epoch().is_none() && self.config_epoch <= self.config_epoch_of(from) {
            self.current_epoch += 1;
            self.config_epoch = self.current_epoch;
        }
        self.slots.assign(&missing, self.id);
        self.importing.retain(|slot, _| !slots.contains(*slot));
        self.log(LogLevel::Notice, format!("Taking {} slots over from {from}.", missing.len()));
        Ok(Reply::Ok)
    }

    fn replicate(&mut self, id: NodeId, facts: CommandFacts) -> Outcome {
        self.known(id)?;
        if id == self.id {
            return Err("ERR Can't replicate myself".to_owned());
        }
        if self.is_replica_node(id) {
            return Err("ERR I can only replicate a master, not a replica.".to_owned());
        }
        if self.is_primary() && (self.slots.has_slots(self.id) || facts.keys > 0) {
            return Err(
                "ERR To set a master the node must be empty and without assigned slots.".to_owned()
            );
        }
        if self.primary != Some(id) {
            self.follow(id);
        }
        Ok(Reply::Ok)
    }

    fn set_config_epoch(&mut self, epoch: u64) -> Outcome {
        if !self.peers.is_empty() {
            return Err("ERR The user can assign a config epoch only when the node does not know \
                        any other node."
                .to_owned());
        }
        if self.config_epoch != 0 {
            return Err("ERR Node config epoch is already non-zero".to_owned());
        }
        self.close_gate();
        self.config_epoch = epoch;
        self.current_epoch = self.current_epoch.max(epoch);
        Ok(Reply::Ok)
    }

    fn reset(&mut self, hard: bool, facts: CommandFacts) -> Outcome {
        if self.is_primary() && facts.keys > 0 {
            return Err(
                "ERR CLUSTER RESET can't be called with master nodes containing keys".to_owned()
            );
        }
        self.out.flush_all = !self.is_primary();
        self.end_manual_failover();
        self.told = None;
        self.primary = None;
        let addresses: Vec<_> = self.handshakes.keys().copied().collect();
        for address in addresses {
            let handshake = self.handshakes.remove(&address);
            if let Some(link) = handshake.and_then(|handshake| handshake.link) {
                self.close(link);
            }
        }
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            self.remove_peer(id);
        }
        self.release(&SlotSet::full());
        self.importing.clear();
        self.health = Health::default();
        self.lame = false;
        self.had_slots_at_start = false;
        self.shard = holdfast_wire::id::ShardId(self.rng.bytes());
        if hard {
            self.id = NodeId(self.rng.bytes());
            self.current_epoch = 0;
            self.config_epoch = 0;
            self.last_vote_epoch = 0;
            self.last_vote = None;
            self.log(LogLevel::Notice, format!("Node hard reset, now I'm {}.", self.id));
        }
        Ok(Reply::Ok)
    }
}
