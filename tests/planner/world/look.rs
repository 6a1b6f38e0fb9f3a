//! An observation of the world, as the operator's observe stage would make it.

use std::collections::BTreeMap;

use holdfast::observed::*;
use holdfast::resources::Kind;
use holdfast_wire::id::NodeId;
use holdfast_wire::state::{BootState, MigrationState, NodeRole, NodeState, PeerState};

use super::World;

impl World {
    pub(crate) fn observe(&mut self) -> Observed {
        self.note_ranges();
        let names: Vec<String> = self.pods.keys().cloned().collect();
        for name in &names {
            self.remember(name);
        }
        let spoken_of =
            |id: &NodeId| self.nodes.values().any(|node| node.alive && node.known.contains_key(id));
        let departed = self.memory.departed.values().filter(|pod| {
            pod.incarnation.as_ref().is_some_and(|incarnation| spoken_of(&incarnation.node_id))
        });
        Observed {
            at_ms: self.now_ms,
            carried: self.carried.clone(),
            deleting: self.deleting,
            has_finalizer: self.has_finalizer,
            stateful_sets: self.set_facts(),
            pods: names.iter().map(|name| self.pod_fact(name)).collect(),
            departed: departed.cloned().collect(),
            volumes: self.volume_facts(),
            objects: self.object_facts(),
            machines: self.machine_facts(),
        }
    }

    /// Working out runs of slots is what takes longest, so it is done once a node.
    pub(super) fn note_ranges(&mut self) {
        self.ranges = self.nodes.iter().map(|(id, node)| (*id, node.slots.ranges())).collect();
    }

    fn remember(&mut self, name: &str) {
        let now_ms = self.now_ms;
        let pod = &self.pods[name];
        let Some(state) = self.answer_of(name) else {
            self.memory.answering_since_ms.remove(name);
            self.memory.silent_since_ms.entry(pod.uid.clone()).or_insert(now_ms);
            return;
        };
        self.memory.silent_since_ms.remove(&pod.uid);
        let life = format!("{} {:?}", state.boot_id, state.boot);
        let entry =
            self.memory.answering_since_ms.entry(name.to_owned()).or_insert((life.clone(), now_ms));
        if entry.0 != life {
            *entry = (life, now_ms);
        }
        let incarnation = Incarnation {
            node_id: state.node_id.parse().unwrap(),
            boot_id: state.boot_id,
            container_id: pod.container.running_id.clone(),
            config_epoch: state.config_epoch,
        };
        self.memory.incarnations.insert(pod.uid.clone(), incarnation);
    }

    fn answer_of(&self, name: &str) -> Option<NodeState> {
        let pod = &self.pods[name];
        let id = pod.node.filter(|_| !pod.silenced && !pod.container.running_id.is_empty())?;
        self.nodes[&id].alive.then(|| self.state_of(id))
    }

    pub(super) fn pod_fact(&self, name: &str) -> PodFact {
        let pod = &self.pods[name];
        let for_ms = |since_ms: i64| (self.now_ms - since_ms) as u64;
        let view = match self.answer_of(name) {
            Some(state) => NodeView::Answered {
                state: Box::new(state),
                for_ms: self.memory.answering_since_ms.get(name).map_or(0, |(_, at)| for_ms(*at)),
            },
            None if pod.node.is_none() => NodeView::NotAsked,
            None => NodeView::Silent {
                for_ms: self.memory.silent_since_ms.get(&pod.uid).map_or(0, |at| for_ms(*at)),
            },
        };
        PodFact {
            name: name.to_owned(),
            shard: pod.shard,
            ordinal: pod.ordinal,
            uid: pod.uid.clone(),
            ip: pod.ip.clone(),
            machine: pod.machine.clone(),
            revision: pod.revision.clone(),
            role_label: pod.role_label.clone(),
            deleting: pod.deleting,
            ready: matches!(view, NodeView::Answered { .. }),
            created_at_ms: pod.created_at_ms,
            container: pod.container.clone(),
            view,
            incarnation: self.memory.incarnations.get(&pod.uid).cloned(),
        }
    }

    fn state_of(&self, id: NodeId) -> NodeState {
        let node = &self.nodes[&id];
        let role = if node.primary.is_some() { NodeRole::Replica } else { NodeRole::Primary };
        let peers: Vec<PeerState> = node.known.keys().map(|peer| self.peer_of(id, *peer)).collect();
        let assigned = node
            .known
            .keys()
            .fold(node.slots.clone(), |all, peer| all.union(&self.nodes[peer].slots));
        let synced =
            self.nodes.iter().filter(|(_, n)| n.alive && n.link_up && n.primary == Some(id));
        NodeState {
            node_id: id.to_string(),
            boot_id: node.boot_id.clone(),
            pod_uid: node.pod_uid.clone(),
            cluster_id: self.carried.cluster_id.clone().unwrap_or_default(),
            boot: match node.boot {
                Some(boot) => boot,
                None if node.lame => BootState::Lame,
                None => BootState::Ready,
            },
            role,
            primary_id: node.primary.map(|id| id.to_string()).unwrap_or_default(),
            link_up: node.link_up,
            offset: node.offset,
            current_epoch: self.nodes.values().map(|node| node.config_epoch).max().unwrap_or(0),
            config_epoch: node.config_epoch,
            cluster_ok: assigned.len() == 16384 && node.failed.is_empty(),
            slots: self.ranges[&id].clone(),
            slots_assigned: assigned.len(),
            keys: u64::from(node.keyed.len()),
            used_bytes: u64::from(node.keyed.len()) * 1000,
            synced_replicas: synced.map(|(id, _)| id.to_string()).collect(),
            migrations: node
                .jobs
                .iter()
                .map(|job| MigrationState {
                    outgoing: true,
                    peer_id: job.target.to_string(),
                    slots: job.slots.ranges(),
                    state: "running".into(),
                    ..MigrationState::default()
                })
                .collect(),
            address: node.ip.clone(),
            port: 6379,
            bus_port: 16379,
            hostname: format!("{}.cache-nodes.shop.svc.cluster.local", node.pod),
            peers,
            ..NodeState::default()
        }
    }

    fn peer_of(&self, id: NodeId, peer_id: NodeId) -> PeerState {
        let (node, peer) = (&self.nodes[&id], &self.nodes[&peer_id]);
        let address = node.known[&peer_id].clone();
        if !node.met.contains(&peer_id) {
            return PeerState {
                node_id: peer_id.to_string(),
                address,
                port: 6379,
                hostname: format!("{}.cache-nodes.shop.svc.cluster.local", peer.pod),
                role: if peer.primary.is_some() { NodeRole::Replica } else { NodeRole::Primary },
                fail: node.failed.contains(&peer_id),
                ..PeerState::default()
            };
        }
        PeerState {
            node_id: peer_id.to_string(),
            boot_id: peer.boot_id.clone(),
            connected: peer.alive && address == peer.ip,
            address,
            port: 6379,
            hostname: format!("{}.cache-nodes.shop.svc.cluster.local", peer.pod),
            role: if peer.primary.is_some() { NodeRole::Replica } else { NodeRole::Primary },
            primary_id: peer.primary.map(|id| id.to_string()).unwrap_or_default(),
            config_epoch: peer.config_epoch,
            offset: peer.offset,
            pfail: !peer.alive && peer.dead_ticks > 4,
            fail: node.failed.contains(&peer_id),
            lame: peer.lame,
            slots: self.ranges[&peer_id].clone(),
        }
    }

    fn set_facts(&self) -> Vec<StatefulSetFact> {
        let facts = self.sets.iter().map(|(name, set)| StatefulSetFact {
            name: name.clone(),
            shard: set.shard,
            uid: set.uid.clone(),
            replicas: set.replicas,
            applied_hash: set.hash.clone(),
            revision: set.revision.clone(),
            deleting: set.deleting,
        });
        facts.collect()
    }

    fn volume_facts(&self) -> Vec<VolumeFact> {
        let facts = self.volumes.iter().map(|(name, (uid, _))| {
            let mut numbers = name.rsplit('-').map(|part| part.parse().unwrap());
            let ordinal = numbers.next().unwrap();
            let shard = numbers.next().unwrap();
            VolumeFact { name: name.clone(), shard, ordinal, uid: uid.clone(), deleting: false }
        });
        facts.collect()
    }

    fn object_facts(&self) -> Vec<ObjectFact> {
        let facts = self.objects.iter().map(|((kind, name), live)| ObjectFact {
            kind: *kind,
            name: name.clone(),
            uid: format!("uid-of-{name}"),
            applied_hash: live["metadata"]["annotations"]["holdfast.dev/applied"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            keys: match kind {
                Kind::Secret => vec![live["key"].as_str().unwrap_or_default().to_owned()],
                _ => Vec::new(),
            },
            live: live.clone(),
        });
        facts.collect()
    }

    fn machine_facts(&self) -> BTreeMap<String, MachineFact> {
        (0..self.machines)
            .map(|number| {
                let name = format!("machine-{number}");
                let is_gone = self.machines_gone.contains(&name);
                let fact = MachineFact { exists: !is_gone, out_of_service: false };
                (name, fact)
            })
            .collect()
    }
}
