//! The nodes: who knows whom, who follows whom, who owns and who holds what.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;
use holdfast_wire::state::BootState;

use super::World;

/// A running job of CLUSTER MIGRATESLOTS.
pub(crate) struct Job {
    pub(crate) target: NodeId,
    pub(crate) slots: SlotSet,
    pub(crate) ticks_left: u8,
}

/// One node, alive or not.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) alive: bool,
    /// Its files are gone, so it can never come back.
    pub(crate) gone: bool,
    pub(crate) lame: bool,
    /// A state in which it answers and does not serve, until it is taken back.
    pub(crate) boot: Option<BootState>,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
    pub(crate) boot_id: String,
    pub(crate) ip: String,
    /// Whom it knows, and at which address.
    pub(crate) known: BTreeMap<NodeId, String>,
    /// Whom it has heard itself: of others it knows neither slots nor epoch.
    pub(crate) met: BTreeSet<NodeId>,
    /// Whom it was told to forget.
    pub(crate) forgotten: BTreeSet<NodeId>,
    pub(crate) primary: Option<NodeId>,
    pub(crate) link_up: bool,
    pub(crate) slots: SlotSet,
    /// Slots whose key it holds.
    pub(crate) keyed: SlotSet,
    pub(crate) config_epoch: u64,
    pub(crate) offset: u64,
    pub(crate) jobs: Vec<Job>,
    /// Ids that it holds for failed.
    pub(crate) failed: BTreeSet<NodeId>,
    pub(crate) dead_ticks: u32,
}

fn id_of(number: u64) -> NodeId {
    format!("{number:040x}").parse().unwrap()
}

impl World {
    pub(super) fn new_node(&mut self, pod: &str, number: u64) -> NodeId {
        let id = id_of(number);
        self.nodes.insert(id, Node::default());
        self.restart_node(id, pod, number);
        id
    }

    /// A process starts with this identity; without a volume or persistence its keys are gone.
    pub(super) fn restart_node(&mut self, id: NodeId, pod: &str, number: u64) {
        let keeps_keys = self.has_storage() && self.spec["persistence"]["mode"] != "none";
        let (uid, ip) = (self.pods[pod].uid.clone(), self.pods[pod].ip.clone());
        let node = self.nodes.get_mut(&id).unwrap();
        let had_keys = !node.keyed.is_empty();
        node.alive = true;
        pod.clone_into(&mut node.pod);
        node.pod_uid = uid;
        node.ip = ip;
        node.boot_id = format!("{number:032x}");
        node.link_up = false;
        node.jobs.clear();
        node.failed.clear();
        node.offset = 0;
        node.boot = None;
        if keeps_keys {
            node.offset = u64::from(node.keyed.len());
        } else {
            node.keyed = SlotSet::new();
            node.lame = had_keys && !node.slots.is_empty() && node.primary.is_none();
        }
    }

    pub(super) fn alive_ids(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.alive).map(|(id, _)| *id).collect()
    }

    fn reaches(&self, from: NodeId, to: NodeId) -> bool {
        let (one, other) = (&self.nodes[&from], &self.nodes[&to]);
        one.alive && other.alive && one.known.get(&to) == Some(&other.ip)
    }

    pub(super) fn nodes_tick(&mut self) {
        for node in self.nodes.values_mut().filter(|node| !node.alive) {
            node.dead_ticks += 1;
        }
        self.gossip();
        self.notice_failures();
        if self.elections {
            self.elect();
        }
        self.settle_claims();
        self.replicate();
        self.move_slots();
    }

    fn gossip(&mut self) {
        let alive = self.alive_ids();
        for one in &alive {
            for other in &alive {
                if one == other || !self.reaches(*one, *other) {
                    continue;
                }
                let ip = self.nodes[one].ip.clone();
                let words = self.nodes[one].known.clone();
                let listener = self.nodes.get_mut(other).unwrap();
                // A known node is heard at its new address; a stranger is not heard at all.
                if !listener.known.contains_key(one) {
                    continue;
                }
                listener.known.insert(*one, ip);
                listener.met.insert(*one);
                listener.failed.remove(one);
                for (id, address) in words {
                    if id != *other && !listener.forgotten.contains(&id) {
                        listener.known.entry(id).or_insert(address);
                    }
                }
            }
        }
    }

    fn owners(&self) -> Vec<NodeId> {
        let spoken_of =
            |id: &NodeId| self.nodes.values().any(|node| node.alive && node.met.contains(id));
        let owners = self.nodes.iter().filter(|(_, node)| !node.slots.is_empty());
        owners.filter(|(id, node)| node.alive || spoken_of(id)).map(|(id, _)| *id).collect()
    }

    pub(super) fn has_majority(&self) -> bool {
        let owners = self.owners();
        let alive = owners.iter().filter(|id| self.nodes[id].alive).count();
        alive * 2 > owners.len()
    }

    /// Three seconds of death, or the operator's word, make FAIL where a majority agrees.
    fn notice_failures(&mut self) {
        if !self.has_majority() {
            return;
        }
        let dead: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(_, n)| !n.alive && n.dead_ticks > 6)
            .map(|(id, _)| *id)
            .collect();
        for node in self.nodes.values_mut().filter(|node| node.alive) {
            node.failed.extend(dead.iter().filter(|id| node.known.contains_key(id)));
        }
    }

    fn elect(&mut self) {
        for owner in self.owners() {
            let failing = self.alive_ids().into_iter().find(|id| {
                let node = &self.nodes[id];
                node.primary == Some(owner)
                    && node.boot.is_none()
                    && node.offset > 0
                    && (node.failed.contains(&owner) && self.has_majority()
                        || self.nodes[&owner].lame && self.nodes[&owner].alive)
            });
            if let Some(winner) = failing {
                self.promote(winner);
            }
        }
    }

    /// The replica takes its primary's slots with a new epoch.
    pub(super) fn promote(&mut self, winner: NodeId) {
        let Some(primary) = self.nodes[&winner].primary else { return };
        let epoch = self.nodes.values().map(|node| node.config_epoch).max().unwrap_or(0) + 1;
        // It takes what it knows of.
        let has_met = self.nodes[&winner].met.contains(&primary);
        let slots = if has_met { self.nodes[&primary].slots.clone() } else { SlotSet::new() };
        let node = self.nodes.get_mut(&winner).unwrap();
        node.primary = None;
        node.link_up = false;
        // Keys of slots that it does not own are dropped, as the node does.
        node.keyed = node.keyed.intersection(&slots);
        node.slots = slots;
        node.config_epoch = epoch;
    }

    /// The higher epoch wins a slot; who loses its last one follows the winner.
    fn settle_claims(&mut self) {
        let mut owners = self.owners();
        owners.sort_by_key(|id| std::cmp::Reverse(self.nodes[id].config_epoch));
        for (index, winner) in owners.iter().enumerate() {
            for loser in owners.iter().skip(index + 1) {
                let lost = self.nodes[winner].slots.intersection(&self.nodes[loser].slots);
                // A dead loser learns it when it is back; in others' views it has lost already.
                if lost.is_empty() || !self.nodes[winner].alive {
                    continue;
                }
                let node = self.nodes.get_mut(loser).unwrap();
                node.slots = node.slots.difference(&lost);
                if node.slots.is_empty() {
                    node.primary = Some(*winner);
                    node.link_up = false;
                    node.lame = false;
                }
            }
        }
        // Who followed the loser follows the winner, as after an election.
        let followers: Vec<(NodeId, NodeId)> = self
            .alive_ids()
            .into_iter()
            .filter_map(|id| {
                let primary = self.nodes[&id].primary?;
                let next = self.nodes.get(&primary)?.primary?;
                (next != id && self.nodes[&primary].alive).then_some((id, next))
            })
            .collect();
        for (id, next) in followers {
            self.nodes.get_mut(&id).unwrap().primary = Some(next);
        }
    }

    fn replicate(&mut self) {
        for id in self.alive_ids() {
            let Some(primary) = self.nodes[&id].primary else { continue };
            let is_up = self.nodes.contains_key(&primary)
                && self.reaches(id, primary)
                && !self.nodes[&primary].lame
                && self.nodes[&primary].primary.is_none();
            let copy = self.nodes.get(&primary).map(|node| (node.keyed.clone(), node.offset));
            let node = self.nodes.get_mut(&id).unwrap();
            if let Some((keyed, offset)) = copy.filter(|_| is_up) {
                node.keyed = keyed;
                node.offset = offset.max(1);
            }
            node.link_up = is_up;
        }
    }

    fn move_slots(&mut self) {
        for source in self.alive_ids() {
            let node = self.nodes.get_mut(&source).unwrap();
            for job in &mut node.jobs {
                job.ticks_left = job.ticks_left.saturating_sub(1);
            }
            let (done, running): (Vec<Job>, Vec<Job>) =
                std::mem::take(&mut node.jobs).into_iter().partition(|job| job.ticks_left == 0);
            node.jobs = running;
            for job in done {
                self.finish_job(source, &job);
            }
        }
    }

    fn finish_job(&mut self, source: NodeId, job: &Job) {
        let is_up =
            self.nodes.get(&job.target).is_some_and(|node| node.alive && node.primary.is_none());
        if !is_up {
            return;
        }
        let epoch = self.nodes.values().map(|node| node.config_epoch).max().unwrap_or(0) + 1;
        let giver = self.nodes.get_mut(&source).unwrap();
        let slots = job.slots.intersection(&giver.slots);
        let keyed = giver.keyed.intersection(&slots);
        giver.slots = giver.slots.difference(&slots);
        giver.keyed = giver.keyed.difference(&slots);
        let taker = self.nodes.get_mut(&job.target).unwrap();
        taker.slots = taker.slots.union(&slots);
        taker.keyed = taker.keyed.union(&keyed);
        taker.offset += 1;
        taker.config_epoch = epoch;
    }

    /// Clients write one key into every slot that has an owner that serves.
    pub(crate) fn write(&mut self) {
        for id in self.owners() {
            let node = self.nodes.get_mut(&id).unwrap();
            if node.alive && !node.lame {
                node.keyed = node.slots.clone();
                node.offset += u64::from(node.slots.len());
            }
        }
        self.replicate();
    }

    /// Slots whose owner serves and holds their key.
    pub(crate) fn slots_with_their_key(&self) -> SlotSet {
        let serving = self.nodes.values().filter(|node| node.alive && !node.lame);
        serving.fold(SlotSet::new(), |all, node| all.union(&node.slots.intersection(&node.keyed)))
    }
}
