//! What was seen of the world: facts only, with their age.
//!
//! An [`Observed`] is everything that a plan may know. It is made by the observe stage in one
//! pass, and it is plain data: the moment it was taken is a field, not a clock. A node that did
//! not answer is [`NodeView::Silent`]; nothing here says why, and nothing may conclude that it
//! does not exist.
//!
//! Not known here: the wish, and what any fact means.

use std::collections::BTreeMap;

use holdfast_wire::id::NodeId;
use holdfast_wire::state::NodeState;
use serde::{Deserialize, Serialize};

use crate::api::Carried;
use crate::resources::Kind;

/// One pass over the world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// When the pass was made: milliseconds since 1970 by the operator's clock. Compared only
    /// with other values of the operator's clock.
    pub at_ms: i64,
    /// What the object's status carries over; read from the object itself.
    pub carried: Carried,
    /// The object is being deleted.
    pub deleting: bool,
    /// The object has the operator's finalizer.
    pub has_finalizer: bool,
    /// StatefulSets of this cluster, ordered by name.
    pub stateful_sets: Vec<StatefulSetFact>,
    /// Pods of this cluster, ordered by name.
    pub pods: Vec<PodFact>,
    /// Pods that the operator has seen in its life and that are no longer there, with the last
    /// that was known of them, for as long as a node still speaks of them. Their view is `Silent`
    /// since they went. Empty after a restart of the operator.
    pub departed: Vec<PodFact>,
    /// Volume claims of this cluster's pods, ordered by name.
    pub volumes: Vec<VolumeFact>,
    /// Everything else that a cluster consists of (services, budgets, ...), ordered.
    pub objects: Vec<ObjectFact>,
    /// Kubernetes nodes by name, as far as they were asked for; see [`MachineFact`].
    pub machines: BTreeMap<String, MachineFact>,
}

/// A StatefulSet: one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct StatefulSetFact {
    /// Name, `<cluster>-<shard>`.
    pub name: String,
    /// Number of the shard, from its label.
    pub shard: u16,
    /// Uid, the precondition of a deletion.
    pub uid: String,
    /// `spec.replicas`.
    pub replicas: u16,
    /// Annotation `holdfast.dev/applied`: hash of what was applied last.
    pub applied_hash: String,
    /// Label `holdfast.dev/revision` of the pod template.
    pub revision: String,
    /// It is being deleted.
    pub deleting: bool,
}

/// A pod, and what its node said.
#[derive(Clone, Debug, PartialEq)]
pub struct PodFact {
    /// Name, `<cluster>-<shard>-<ordinal>`.
    pub name: String,
    /// Number of the shard, from its label.
    pub shard: u16,
    /// Number within the shard, from its name.
    pub ordinal: u16,
    /// Uid.
    pub uid: String,
    /// Address; empty while there is none.
    pub ip: String,
    /// Name of the Kubernetes node; empty while it is not scheduled.
    pub machine: String,
    /// Label `holdfast.dev/revision`: what the pod was made from.
    pub revision: String,
    /// Label `holdfast.dev/role` as it stands; empty without one. Never believed, only kept right.
    pub role_label: String,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// Kubernetes says that it is ready.
    pub ready: bool,
    /// Milliseconds since 1970 when it was created, by the API server's clock.
    pub created_at_ms: i64,
    /// The node's container.
    pub container: ContainerFact,
    /// What the node said.
    pub view: NodeView,
    /// The last life of this pod's node that the operator itself has spoken with: which process
    /// of which container had which id. `None` when it never has.
    pub incarnation: Option<Incarnation>,
}

/// The container `node` of a pod, by the kubelet's word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFact {
    /// Id of the container that runs; empty when none does.
    pub running_id: String,
    /// The container that ended last, current or previous.
    pub ended: Option<EndedContainer>,
    /// How often it was restarted.
    pub restarts: u32,
    /// Why it waits (`ImagePullBackOff`, ...); empty when it does not.
    pub waiting_reason: String,
}

/// A container that the kubelet reports as terminated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedContainer {
    /// Id of the container.
    pub id: String,
    /// Milliseconds since 1970 when it ended, by the kubelet's clock, at second precision. The
    /// kubelet leaves it out where it only lost sight of a container, so it is asked for.
    pub finished_at_ms: i64,
}

/// One life of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// Id of the node.
    pub node_id: NodeId,
    /// Id of the process' life.
    pub boot_id: String,
    /// Id of the container that ran when this was learned.
    pub container_id: String,
    /// Config epoch that the node had then.
    pub config_epoch: u64,
}

/// What a node said when it was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeView {
    /// It was not asked, since its pod has no address yet.
    NotAsked,
    /// It did not answer within its second. It may be well and own slots.
    Silent {
        /// Milliseconds for which it has not answered, as far as this operator remembers.
        for_ms: u64,
    },
    /// It answered.
    Answered {
        /// The node's own view.
        state: Box<NodeState>,
        /// Milliseconds for which the same life (boot id) has been answering with the same boot
        /// state, as far as this operator remembers.
        for_ms: u64,
    },
}

impl NodeView {
    /// The answer, if there is one.
    pub fn state(&self) -> Option<&NodeState> {
        match self {
            Self::Answered { state, .. } => Some(state),
            Self::Silent { .. } | Self::NotAsked => None,
        }
    }
}

/// A Kubernetes node, asked for only when a death must be proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFact {
    /// The Node object exists. False only when the API server said so.
    pub exists: bool,
    /// It has the taint `node.kubernetes.io/out-of-service`.
    pub out_of_service: bool,
}

/// A PersistentVolumeClaim of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFact {
    /// Name, `data-<pod>`.
    pub name: String,
    /// Number of the shard, from its label.
    pub shard: u16,
    /// Number within the shard, from its name.
    pub ordinal: u16,
    /// Uid, the precondition of a deletion.
    pub uid: String,
    /// It is being deleted.
    pub deleting: bool,
}

/// A service, a budget, a config map, a secret, an account.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectFact {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Uid, the precondition of a deletion.
    pub uid: String,
    /// Annotation `holdfast.dev/applied`: hash of what was applied last; empty without one.
    pub applied_hash: String,
    /// For a Secret: the names of its keys. Empty for others. Values are never observed.
    pub keys: Vec<String>,
    /// The object as the API server gave it, to notice foreign edits; null for a Secret.
    pub live: serde_json::Value,
}
