//! A small world for the planner: pods, machines and nodes, just true enough to be planned for.
//!
//! One tick is half a second. In a tick Kubernetes makes and removes pods, containers start, and
//! the nodes gossip, sync, elect and move slots (`nodes.rs`). Steps are carried out in
//! `effects.rs`, which also watches over what must never happen; `look.rs` makes an observation.
//! Every slot that was ever written holds one key, so "which slots have their key" is the data.

mod effects;
mod look;
mod nodes;

use std::collections::{BTreeMap, BTreeSet};

use holdfast::api::{Carried, RedisCluster};
use holdfast::observed::{ContainerFact, EndedContainer, Incarnation, NodeView, PodFact};
use holdfast::resources::pod_name;
use holdfast::validate::{Defaults, ValidatedCluster, validate};
use holdfast_wire::id::NodeId;
use serde_json::{Value, json};

pub(crate) use nodes::Node;

pub(crate) const TICK_MS: i64 = 500;

/// A StatefulSet.
pub(crate) struct Set {
    pub(crate) uid: String,
    pub(crate) shard: u16,
    pub(crate) replicas: u16,
    pub(crate) hash: String,
    pub(crate) revision: String,
    pub(crate) deleting: bool,
}

/// A pod.
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) shard: u16,
    pub(crate) ordinal: u16,
    pub(crate) ip: String,
    pub(crate) machine: String,
    pub(crate) revision: String,
    pub(crate) role_label: String,
    pub(crate) created_at_ms: i64,
    pub(crate) container: ContainerFact,
    /// The node in it, once its container has started.
    pub(crate) node: Option<NodeId>,
    /// The operator's probes do not get through.
    pub(crate) silenced: bool,
    /// Its container may not start again.
    pub(crate) broken: bool,
    pub(crate) deleting: bool,
}

/// What the operator remembers; gone when it restarts.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) incarnations: BTreeMap<String, Incarnation>,
    pub(crate) silent_since_ms: BTreeMap<String, i64>,
    pub(crate) answering_since_ms: BTreeMap<String, (String, i64)>,
    pub(crate) departed: BTreeMap<String, PodFact>,
}

/// The world.
pub(crate) struct World {
    pub(crate) spec: Value,
    pub(crate) now_ms: i64,
    pub(crate) carried: Carried,
    pub(crate) has_finalizer: bool,
    pub(crate) deleting: bool,
    pub(crate) sets: BTreeMap<String, Set>,
    pub(crate) pods: BTreeMap<String, Pod>,
    /// Volume claims: uid, and the node whose files are on it.
    pub(crate) volumes: BTreeMap<String, (String, Option<NodeId>)>,
    pub(crate) objects: BTreeMap<(holdfast::resources::Kind, String), Value>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) machines_gone: BTreeSet<String>,
    pub(crate) memory: Memory,
    /// The nodes elect by themselves where they have a majority.
    pub(crate) elections: bool,
    pub(crate) machines: u16,
    /// Processes whose pod objects are gone already, with the ticks until SIGTERM reaches them.
    pub(crate) lingering: Vec<(NodeId, u8)>,
    /// Broken promises, in words.
    pub(crate) violations: Vec<String>,
    counter: u64,
    ranges: BTreeMap<NodeId, Vec<(u16, u16)>>,
}

impl World {
    pub(crate) fn new(spec: Value) -> Self {
        Self {
            spec,
            now_ms: 1_000_000,
            carried: Carried::default(),
            has_finalizer: false,
            deleting: false,
            sets: BTreeMap::new(),
            pods: BTreeMap::new(),
            volumes: BTreeMap::new(),
            objects: BTreeMap::new(),
            nodes: BTreeMap::new(),
            machines_gone: BTreeSet::new(),
            memory: Memory::default(),
            elections: true,
            machines: 3,
            lingering: Vec::new(),
            violations: Vec::new(),
            counter: 0,
            ranges: BTreeMap::new(),
        }
    }

    pub(crate) fn object(&self) -> RedisCluster {
        serde_json::from_value(json!({
            "apiVersion": "holdfast.dev/v1alpha1",
            "kind": "RedisCluster",
            "metadata": {
                "name": "cache", "namespace": "shop", "generation": 1,
                "uid": "1f6e7a1c-8f0e-4a63-9d2f-2f4a3c5b6d7e",
            },
            "spec": self.spec,
        }))
        .unwrap()
    }

    pub(crate) fn cluster(&self) -> ValidatedCluster {
        let defaults = Defaults { node_repository: "holdfast/node".into(), node_tag: "1".into() };
        validate(&self.object(), &defaults).unwrap()
    }

    fn fresh(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn has_storage(&self) -> bool {
        !self.spec["storage"].is_null()
    }

    /// Half a second passes.
    pub(crate) fn tick(&mut self) {
        self.now_ms += TICK_MS;
        self.remove_pods();
        self.make_pods();
        self.start_containers();
        self.end_lingering();
        self.nodes_tick();
    }

    fn remove_pods(&mut self) {
        self.sets.retain(|_, set| !set.deleting);
        let wanted: BTreeSet<String> = self
            .sets
            .values()
            .flat_map(|set| (0..set.replicas).map(|ordinal| pod_name("cache", set.shard, ordinal)))
            .collect();
        let names: Vec<String> = self.pods.keys().cloned().collect();
        for name in names {
            if !wanted.contains(&name) || self.pods[&name].deleting {
                self.end_container(&name);
                self.depart(&name);
                let pod = self.pods.remove(&name);
                let has_storage = self.has_storage();
                if let Some(node) = pod.and_then(|pod| self.nodes.get_mut(&pod.node?)) {
                    node.gone = !has_storage;
                }
            }
        }
    }

    /// The operator's watch sees a pod's last state before it goes.
    fn depart(&mut self, name: &str) {
        self.note_ranges();
        let fact = self.pod_fact(name);
        if fact.incarnation.is_some() {
            self.memory.departed.insert(fact.uid.clone(), fact);
        }
    }

    /// The pod object goes at once, and its process goes on until the kubelet ends it.
    pub(crate) fn force_delete(&mut self, name: &str) {
        self.note_ranges();
        let view = NodeView::Silent { for_ms: 0 };
        let fact = PodFact { view, ..self.pod_fact(name) };
        self.memory.departed.insert(fact.uid.clone(), fact);
        if let Some(node) = self.pods.remove(name).and_then(|pod| pod.node) {
            self.lingering.push((node, 4));
        }
    }

    /// SIGTERM: a primary hands over to a replica in sync that still listens to it, and ends.
    fn end_lingering(&mut self) {
        for (_, ticks) in &mut self.lingering {
            *ticks = ticks.saturating_sub(1);
        }
        let (ended, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lingering).into_iter().partition(|(_, ticks)| *ticks == 0);
        self.lingering = rest;
        for (id, _) in ended {
            let heir = self.nodes.iter().find(|(_, node)| {
                node.alive && node.primary == Some(id) && node.link_up && !node.failed.contains(&id)
            });
            if let Some(heir) = heir.map(|(heir, _)| *heir) {
                self.promote(heir);
            }
            let gone = !self.has_storage();
            let node = self.nodes.get_mut(&id).unwrap();
            (node.alive, node.gone, node.dead_ticks) = (false, gone, 0);
        }
    }

    /// What is left of force-deleted pods dies without a hand-over.
    pub(crate) fn kill_lingering(&mut self) {
        let gone = !self.has_storage();
        for (id, _) in std::mem::take(&mut self.lingering) {
            let node = self.nodes.get_mut(&id).unwrap();
            (node.alive, node.gone, node.dead_ticks) = (false, gone, 0);
        }
    }

    fn make_pods(&mut self) {
        let wanted: Vec<(u16, u16, String)> = self
            .sets
            .values()
            .flat_map(|set| (0..set.replicas).map(|o| (set.shard, o, set.revision.clone())))
            .collect();
        for (shard, ordinal, revision) in wanted {
            let name = pod_name("cache", shard, ordinal);
            if self.pods.contains_key(&name) {
                continue;
            }
            let number = self.fresh();
            let volume = format!("data-{name}");
            if self.has_storage() && !self.volumes.contains_key(&volume) {
                self.volumes.insert(volume, (format!("volume-{number}"), None));
            }
            let machine = (shard + ordinal) % self.machines;
            let pod = Pod {
                uid: format!("pod-{number}"),
                shard,
                ordinal,
                ip: format!("10.0.{}.{}", number / 250, number % 250 + 1),
                machine: format!("machine-{machine}"),
                revision,
                role_label: String::new(),
                created_at_ms: self.now_ms,
                container: ContainerFact::default(),
                node: None,
                silenced: false,
                broken: false,
                deleting: false,
            };
            self.pods.insert(name, pod);
        }
    }

    fn start_containers(&mut self) {
        let names: Vec<String> = self.pods.keys().cloned().collect();
        for name in names {
            let pod = &self.pods[&name];
            if pod.broken || !pod.container.running_id.is_empty() {
                continue;
            }
            if self.machines_gone.contains(&pod.machine) {
                continue;
            }
            self.start_container(&name);
        }
    }

    fn start_container(&mut self, name: &str) {
        let number = self.fresh();
        let volume = format!("data-{name}");
        let on_volume = self.volumes.get(&volume).and_then(|(_, node)| *node);
        // Without a volume the pod's own directory outlives the container, with nodes.conf in it.
        let node_id = on_volume.or(self.pods[name].node);
        let node_id = match node_id {
            Some(id) => {
                self.restart_node(id, name, number);
                id
            }
            None => self.new_node(name, number),
        };
        if let Some((_, node)) = self.volumes.get_mut(&volume) {
            *node = Some(node_id);
        }
        let pod = self.pods.get_mut(name).unwrap();
        pod.node = Some(node_id);
        pod.container.running_id = format!("container-{number}");
        pod.container.waiting_reason.clear();
    }

    /// The process in this pod ends.
    pub(crate) fn end_container(&mut self, name: &str) {
        let now_ms = self.now_ms;
        let Some(pod) = self.pods.get_mut(name) else { return };
        if pod.container.running_id.is_empty() {
            return;
        }
        let id = std::mem::take(&mut pod.container.running_id);
        pod.container.restarts += 1;
        pod.container.ended = Some(EndedContainer { id, finished_at_ms: now_ms });
        if let Some(node) = pod.node.and_then(|id| self.nodes.get_mut(&id)) {
            node.alive = false;
            node.dead_ticks = 0;
        }
    }

    /// Kills a container; `stays` keeps it from being started again.
    pub(crate) fn kill(&mut self, name: &str, stays: bool) {
        self.end_container(name);
        if let Some(pod) = self.pods.get_mut(name) {
            pod.broken = stays;
        }
    }

    pub(crate) fn node_in(&mut self, pod: &str) -> Option<&mut Node> {
        self.nodes.get_mut(&self.pods.get(pod)?.node?)
    }

    /// The node in this pod answers that it is in this boot state.
    pub(crate) fn pretend_boot(&mut self, pod: &str, state: Option<&str>) {
        let state = state.map(|state| serde_json::from_value(json!(state)).unwrap());
        self.node_in(pod).unwrap().boot = state;
    }

    /// A machine burns down: its processes end, and no kubelet says so.
    pub(crate) fn lose_machine(&mut self, machine: &str) {
        self.machines_gone.insert(machine.to_owned());
        for pod in self.pods.values_mut().filter(|pod| pod.machine == machine) {
            pod.broken = true;
            if let Some(node) = pod.node.and_then(|id| self.nodes.get_mut(&id)) {
                node.alive = false;
                node.dead_ticks = 0;
            }
        }
    }

    /// The operator loses its memory.
    pub(crate) fn restart_operator(&mut self) {
        self.memory = Memory::default();
    }
}
