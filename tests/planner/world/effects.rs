//! Carrying out a step in the model, and noting every broken promise.

use holdfast::plan::{Address, FailoverMode, Proof, Step};
use holdfast::resources::{Kind, Object, SecretPurpose};
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;
use serde_json::json;

use super::nodes::{Job, Node};
use super::{Set, World};

impl World {
    /// Carries out one step; an error is what the world answers to one that does not fit it.
    pub(crate) fn carry_out(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Record(carried) => self.carried = carried.clone(),
            Step::AddFinalizer => self.has_finalizer = true,
            Step::RemoveFinalizer => self.has_finalizer = false,
            Step::Apply(object) => self.apply(object),
            Step::CreateSecret(purpose) => self.create_secret(*purpose),
            Step::DeleteObject { kind, name, .. } => {
                self.objects.remove(&(*kind, name.clone()));
            }
            Step::LabelRole { pod, role, .. } => {
                let pod = self.pods.get_mut(pod).ok_or("no such pod")?;
                (*role).clone_into(&mut pod.role_label);
            }
            Step::DeletePod { name, uid, .. } => self.delete_pod(name, uid)?,
            Step::DeleteStatefulSet { name, uid } => self.delete_set(name, uid)?,
            Step::DeleteVolume { name, uid } => self.delete_volume(name, uid)?,
            _ => self.carry_out_on_node(step)?,
        }
        Ok(())
    }

    fn carry_out_on_node(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Meet { on, other, .. } => self.meet(on, other),
            Step::Forget { on, node_id } => self.forget(on, *node_id),
            Step::GiveUp { on, node_id, .. } => self.give_up(on, *node_id),
            Step::SetConfigEpoch { on, epoch } => {
                let id = self.at(on)?;
                let node = self.nodes.get_mut(&id).unwrap();
                if node.config_epoch != 0 || !node.known.is_empty() {
                    return Err("the node has an epoch or knows others".into());
                }
                node.config_epoch = *epoch;
                Ok(())
            }
            Step::AddSlots { on, slots, .. } => {
                let id = self.at(on)?;
                let believed = self.nodes[&id].met.iter().filter(|peer| **peer != id);
                if believed.clone().any(|peer| self.nodes[peer].slots.intersects(slots)) {
                    return Err("a slot is busy".into());
                }
                if self.nodes.values().any(|node| !node.gone && node.slots.intersects(slots)) {
                    self.violations.push(format!("slots with an owner handed out to {on}"));
                }
                let node = self.nodes.get_mut(&id).unwrap();
                node.slots = node.slots.union(slots);
                Ok(())
            }
            Step::FreeSlots { on, node_id, slots } => self.free_slots(on, *node_id, slots),
            Step::Replicate { on, primary_id } => self.follow(on, *primary_id),
            Step::Failover { on, primary_id, mode, proof } => {
                self.fail_over(on, *primary_id, *mode, proof.as_ref())
            }
            Step::DeclareDead { on, node_id, boot_id, .. } => {
                self.declare_dead(on, *node_id, boot_id);
                Ok(())
            }
            Step::MigrateSlots { source, target, slots } => {
                let id = self.at(source)?;
                let node = self.nodes.get_mut(&id).unwrap();
                if !slots.is_subset(&node.slots) {
                    return Err("the source does not own the slots".into());
                }
                node.jobs.push(Job { target: *target, slots: slots.clone(), ticks_left: 2 });
                Ok(())
            }
            Step::CancelMigrations { source } => {
                let id = self.at(source)?;
                self.nodes.get_mut(&id).unwrap().jobs.clear();
                Ok(())
            }
            _ => Err("not a node's step".into()),
        }
    }

    fn at(&self, address: &Address) -> Result<NodeId, String> {
        let pod = self.pods.get(&address.pod).ok_or("no such pod")?;
        let id = pod.node.filter(|id| *id == address.node_id).ok_or("another node lives there")?;
        if pod.silenced || !self.nodes[&id].alive { Err("no answer".into()) } else { Ok(id) }
    }

    fn apply(&mut self, object: &Object) {
        if object.kind != Kind::StatefulSet {
            self.objects.insert((object.kind, object.name.clone()), object.manifest.clone());
            return;
        }
        let spec = &object.manifest["spec"];
        let labels = &spec["template"]["metadata"]["labels"];
        let uid = format!("set-{}", self.fresh());
        let set = self.sets.entry(object.name.clone()).or_insert(Set {
            uid,
            shard: labels["holdfast.dev/shard"].as_str().unwrap().parse().unwrap(),
            replicas: 0,
            hash: String::new(),
            revision: String::new(),
            deleting: false,
        });
        set.replicas = spec["replicas"].as_u64().unwrap() as u16;
        set.hash.clone_from(&object.hash);
        labels["holdfast.dev/revision"].as_str().unwrap().clone_into(&mut set.revision);
    }

    fn create_secret(&mut self, purpose: SecretPurpose) {
        let key = (Kind::Secret, purpose.secret_name("cache"));
        self.objects.entry(key).or_insert(json!({"key": purpose.key()}));
    }

    /// Keys that only this node holds and that no volume keeps.
    fn is_last_copy(&self, id: NodeId) -> bool {
        let node = &self.nodes[&id];
        let others = self.nodes.iter().filter(|(other, n)| **other != id && n.alive && !n.lame);
        !others
            .fold(node.keyed.clone(), |rest, (_, other)| rest.difference(&other.keyed))
            .is_empty()
    }

    fn delete_pod(&mut self, name: &str, uid: &str) -> Result<(), String> {
        let pod = self.pods.get_mut(name).filter(|pod| pod.uid == uid).ok_or("no such pod")?;
        pod.deleting = true;
        let node = pod.node.filter(|id| self.nodes[id].alive);
        if node.is_some_and(|id| self.is_last_copy(id)) && !self.has_storage() {
            self.violations.push(format!("the last copy in {name} was deleted"));
        }
        Ok(())
    }

    fn delete_set(&mut self, name: &str, uid: &str) -> Result<(), String> {
        let set = self.sets.get_mut(name).filter(|set| set.uid == uid).ok_or("no such set")?;
        set.deleting = true;
        let shard = set.shard;
        let full = self.pods.values().filter(|pod| pod.shard == shard).filter_map(|pod| pod.node);
        for id in full {
            let node = &self.nodes[&id];
            if !self.deleting && (!node.slots.is_empty() || !node.keyed.is_empty()) {
                self.violations.push(format!("{name} was deleted before it was empty"));
            }
        }
        Ok(())
    }

    fn delete_volume(&mut self, name: &str, uid: &str) -> Result<(), String> {
        let (_, node) =
            self.volumes.get(name).filter(|(own, _)| own == uid).ok_or("no such volume")?;
        let owns = node.is_some_and(|id| !self.nodes[&id].slots.is_empty());
        if owns && !self.deleting {
            self.violations.push(format!("{name} was deleted although its node owns slots"));
        }
        self.volumes.remove(name);
        Ok(())
    }

    fn meet(&mut self, on: &Address, other: &Address) -> Result<(), String> {
        let one = self.at(on)?;
        let two = self.at(other)?;
        let (one_ip, two_ip) = (self.nodes[&one].ip.clone(), self.nodes[&two].ip.clone());
        self.nodes.get_mut(&one).unwrap().known.insert(two, two_ip);
        self.nodes.get_mut(&two).unwrap().known.insert(one, one_ip);
        Ok(())
    }

    fn forget(&mut self, on: &Address, id: NodeId) -> Result<(), String> {
        let node = self.at(on)?;
        let gone = &self.nodes[&id];
        if !gone.slots.is_empty() || gone.alive {
            self.violations.push(format!("{id} was forgotten although it is alive or owns slots"));
        }
        self.drop_peer(node, id)
    }

    fn give_up(&mut self, on: &Address, id: NodeId) -> Result<(), String> {
        let node = self.at(on)?;
        let gone = &self.nodes[&id];
        if gone.alive || !gone.gone && self.has_storage() {
            self.violations.push(format!("{id} was given up although it may come back"));
        }
        let copies = self.nodes.values().filter(|node| node.alive && node.primary == Some(id));
        if copies.into_iter().any(|node| !node.keyed.is_empty()) {
            self.violations.push(format!("{id} was given up although there is a copy"));
        }
        self.drop_peer(node, id)
    }

    /// Those who only believe in the owner need nothing in this model: they read its own word.
    fn free_slots(&mut self, on: &Address, owner: NodeId, slots: &SlotSet) -> Result<(), String> {
        let id = self.at(on)?;
        if id != owner {
            return Ok(());
        }
        let node = self.nodes.get_mut(&id).unwrap();
        if !node.keyed.is_empty() {
            return Err("it has keys".into());
        }
        node.slots = node.slots.difference(slots);
        node.lame = false;
        let is_copy = |node: &Node| node.alive && node.primary == Some(id);
        if self.nodes.values().any(|node| is_copy(node) && !node.keyed.is_empty()) {
            self.violations.push(format!("slots of {on} were freed although there is a copy"));
        }
        Ok(())
    }

    fn drop_peer(&mut self, node: NodeId, id: NodeId) -> Result<(), String> {
        let node = self.nodes.get_mut(&node).unwrap();
        if node.primary == Some(id) {
            return Err("it follows that one".into());
        }
        node.known.remove(&id);
        node.met.remove(&id);
        node.failed.remove(&id);
        node.forgotten.insert(id);
        Ok(())
    }

    fn follow(&mut self, on: &Address, primary: NodeId) -> Result<(), String> {
        let id = self.at(on)?;
        let node = &self.nodes[&id];
        if !node.known.contains_key(&primary) {
            return Err("it does not know the primary".into());
        }
        if node.primary.is_none() && (!node.slots.is_empty() || !node.keyed.is_empty()) {
            return Err("it holds slots or keys".into());
        }
        if node.primary.is_some() && self.is_last_copy(id) {
            self.violations.push(format!("{on} dropped the last copy to follow another"));
        }
        let node = self.nodes.get_mut(&id).unwrap();
        node.primary = Some(primary);
        node.link_up = false;
        Ok(())
    }

    fn fail_over(
        &mut self,
        on: &Address,
        primary: NodeId,
        mode: FailoverMode,
        proof: Option<&Proof>,
    ) -> Result<(), String> {
        let id = self.at(on)?;
        if self.nodes[&id].primary != Some(primary) {
            return Err("it does not follow that primary".into());
        }
        let (is_alive, is_lame) = (self.nodes[&primary].alive, self.nodes[&primary].lame);
        match mode {
            FailoverMode::Graceful if !is_alive => return Err("the primary does not answer".into()),
            FailoverMode::Force if !self.has_majority() => return Err("no majority".into()),
            FailoverMode::Takeover if proof.is_none() => {
                self.violations.push(format!("{on} took over without proof"));
            }
            FailoverMode::Takeover if is_alive && !is_lame => {
                self.violations.push(format!("{on} took over from a living primary"));
            }
            _ => {}
        }
        let is_copy =
            |node: &Node| node.alive && node.primary == Some(primary) && !node.keyed.is_empty();
        if self.nodes[&id].keyed.is_empty() && self.nodes.values().any(is_copy) {
            self.violations.push(format!("{on} is empty and took over, and another has a copy"));
        }
        self.promote(id);
        Ok(())
    }

    fn declare_dead(&mut self, on: &[Address], id: NodeId, boot_id: &str) {
        if self.nodes[&id].alive && self.nodes[&id].boot_id == boot_id {
            self.violations.push(format!("{id} was declared dead and lives"));
        }
        for address in on {
            if let Ok(node) = self.at(address) {
                let is_this_life = self.nodes[&id].boot_id == boot_id;
                if is_this_life {
                    self.nodes.get_mut(&node).unwrap().failed.insert(id);
                }
            }
        }
    }
}
