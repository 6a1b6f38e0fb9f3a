//! One effect on the world, complete: whoever carries it out decides nothing.
//!
//! A step names the node ids, slots, epochs and uids that it was planned for, and is idempotent.
//! Not known here: how a step is carried out.

use std::fmt;

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;
use serde::Serialize;

use crate::api::Carried;
use crate::resources::{Object, SecretPurpose};

/// Where to find a node, and who must be met there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address {
    /// Name of the pod.
    pub pod: String,
    /// Address of the pod.
    pub ip: String,
    /// Id that must answer there; a step is not carried out on another node.
    pub node_id: NodeId,
}

/// How a replica is told to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum FailoverMode {
    /// Hand-over agreed with the living primary; no write is lost.
    Graceful,
    /// Election without the primary's consent: the majority decides.
    Force,
    /// Without majority: only after a proof of death.
    Takeover,
}

/// Why a primary is known to be dead. Each names one incarnation, never a name that could have
/// been taken over by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Proof {
    /// The kubelet reports this container as terminated.
    ContainerEnded {
        /// Id of the container.
        container_id: String,
    },
    /// The Node object is gone.
    MachineGone {
        /// Name of the Kubernetes node.
        machine: String,
    },
    /// Somebody vouched by the taint out-of-service that the machine is off.
    MachineOutOfService {
        /// Name of the Kubernetes node.
        machine: String,
    },
    /// The node id answers with another, newer boot id.
    NewerBoot {
        /// The boot id that answers now.
        boot_id: String,
    },
    /// The node says of itself that it has lost its data and serves nothing.
    Lame,
    /// The pod object is gone, and the pod that came in its place has been answering for longer
    /// than any process outlives the deletion of its pod. Where both are of one machine, its
    /// kubelet has killed the old one by then; elsewhere that is only enough to hand out slots
    /// whose data went with the pod's directory, never to choose between two copies.
    Replaced {
        /// Name of the pod.
        pod: String,
    },
}

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write these values into the status, and go on only when that is durable.
    Record(Carried),
    /// Put the operator's finalizer on the object.
    AddFinalizer,
    /// Take the operator's finalizer off the object.
    RemoveFinalizer,
    /// Server-side apply of this object.
    Apply(Box<Object>),
    /// Create a Secret with a fresh random password, if there is none of that name.
    CreateSecret(SecretPurpose),
    /// Delete a rendered object that is no longer wanted.
    DeleteObject {
        /// What it is.
        kind: crate::resources::Kind,
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Delete a pod; its StatefulSet makes a new one.
    DeletePod {
        /// Name of the pod.
        name: String,
        /// Its uid.
        uid: String,
        /// Why, in a sentence for an event.
        why: String,
    },
    /// Write the label `holdfast.dev/role` of a pod, for selectors of people and autoscalers.
    LabelRole {
        /// Name of the pod.
        pod: String,
        /// Its uid.
        uid: String,
        /// `primary` or `replica`.
        role: &'static str,
    },
    /// Delete a StatefulSet and with it its pods.
    DeleteStatefulSet {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Delete a volume claim.
    DeleteVolume {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// `CLUSTER MEET`: `on` learns where `other` is.
    Meet {
        /// Who is told.
        on: Address,
        /// Whom to meet.
        other: Address,
        /// Client port of the other.
        port: u16,
        /// Cluster bus port of the other.
        bus_port: u16,
    },
    /// `CLUSTER FORGET`.
    Forget {
        /// Who is told.
        on: Address,
        /// Whom to forget.
        node_id: NodeId,
    },
    /// `CLUSTER FORGET` of a dead owner of slots of which no copy is left: they are free then.
    GiveUp {
        /// Who is told.
        on: Address,
        /// Whom to forget.
        node_id: NodeId,
        /// Why it is known to be dead.
        proof: Proof,
    },
    /// Slots of a lame owner of which no copy is left become free: `CLUSTER FLUSHSLOTS` on the
    /// owner itself, which refuses it when it has keys after all, else `CLUSTER DELSLOTSRANGE`.
    FreeSlots {
        /// Who is told.
        on: Address,
        /// Who owns them.
        node_id: NodeId,
        /// The slots.
        slots: SlotSet,
    },
    /// `CLUSTER SET-CONFIG-EPOCH`, on a node that knows nobody yet.
    SetConfigEpoch {
        /// Who is told.
        on: Address,
        /// The epoch.
        epoch: u64,
    },
    /// `CLUSTER ADDSLOTSRANGE`, of slots that have no owner.
    AddSlots {
        /// Who is told.
        on: Address,
        /// The slots.
        slots: SlotSet,
        /// They had an owner once, and no copy of them is left.
        lost: bool,
    },
    /// `CLUSTER REPLICATE`.
    Replicate {
        /// Who is told.
        on: Address,
        /// The primary to follow.
        primary_id: NodeId,
    },
    /// `CLUSTER FAILOVER`, on a replica.
    Failover {
        /// The replica that shall lead.
        on: Address,
        /// The primary that it replaces.
        primary_id: NodeId,
        /// How.
        mode: FailoverMode,
        /// Why the primary is known to be dead; always there with [`FailoverMode::Takeover`].
        proof: Option<Proof>,
    },
    /// `HOLDFAST DEAD`, at once on all of them.
    DeclareDead {
        /// Who is told.
        on: Vec<Address>,
        /// Who is dead.
        node_id: NodeId,
        /// Which life of it; empty when it was never learned.
        boot_id: String,
        /// Its config epoch, as the nodes know it.
        config_epoch: u64,
        /// What speaks for it, in a sentence for an event.
        evidence: String,
    },
    /// `CLUSTER MIGRATESLOTS`, on the source.
    MigrateSlots {
        /// Who gives.
        source: Address,
        /// Who takes.
        target: NodeId,
        /// The slots.
        slots: SlotSet,
    },
    /// `CLUSTER CANCELSLOTMIGRATIONS`, on the source.
    CancelMigrations {
        /// Who is told.
        source: Address,
    },
}

/// Slots as people write them: `0-5460,5500`.
pub(crate) fn slots_text(slots: &SlotSet) -> String {
    let texts: Vec<String> = slots
        .ranges()
        .into_iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    texts.join(",")
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(carried) => write!(
                f,
                "record cluster id {}, templates {}, formed {}",
                carried.cluster_id.as_deref().unwrap_or("-"),
                carried.template_version.unwrap_or_default(),
                carried.formed
            ),
            Self::AddFinalizer => f.write_str("add finalizer"),
            Self::RemoveFinalizer => f.write_str("remove finalizer"),
            Self::Apply(object) => write!(f, "apply {} {}", object.kind.as_str(), object.name),
            Self::CreateSecret(purpose) => write!(f, "create secret for {purpose:?}"),
            Self::DeleteObject { kind, name, .. } => {
                write!(f, "delete {} {name}", kind.as_str())
            }
            Self::DeletePod { name, why, .. } => write!(f, "delete pod {name}: {why}"),
            Self::LabelRole { pod, role, .. } => write!(f, "label pod {pod} as {role}"),
            Self::DeleteStatefulSet { name, .. } => write!(f, "delete StatefulSet {name}"),
            Self::DeleteVolume { name, .. } => write!(f, "delete volume {name}"),
            _ => self.fmt_on_node(f),
        }
    }
}

impl Step {
    fn fmt_on_node(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meet { on, other, .. } => write!(f, "tell {on} to meet {other} at {}", other.ip),
            Self::Forget { on, node_id } => write!(f, "tell {on} to forget {node_id}"),
            Self::GiveUp { on, node_id, proof } => {
                write!(f, "tell {on} to give up {node_id} and its slots, since {proof}")
            }
            Self::FreeSlots { on, node_id, slots } => {
                write!(f, "tell {on} to free slots {} of {node_id}", slots_text(slots))
            }
            Self::SetConfigEpoch { on, epoch } => {
                write!(f, "tell {on} to set config epoch {epoch}")
            }
            Self::AddSlots { on, slots, lost } => {
                let how = if *lost { " empty" } else { "" };
                write!(f, "tell {on} to add slots {}{how}", slots_text(slots))
            }
            Self::Replicate { on, primary_id } => write!(f, "tell {on} to replicate {primary_id}"),
            Self::Failover { on, primary_id, mode, proof } => {
                write!(f, "tell {on} to fail over {primary_id}, {mode:?}")?;
                proof.as_ref().map_or(Ok(()), |proof| write!(f, ", since {proof}"))
            }
            Self::DeclareDead { on, node_id, boot_id, config_epoch, evidence } => {
                let pods: Vec<&str> = on.iter().map(|address| address.pod.as_str()).collect();
                let pods = pods.join(", ");
                write!(
                    f,
                    "tell {pods} that {node_id} is dead (boot {boot_id}, epoch {config_epoch}): \
                     {evidence}"
                )
            }
            Self::MigrateSlots { source, target, slots } => {
                write!(f, "tell {source} to migrate to {target} slots {}", slots_text(slots))
            }
            Self::CancelMigrations { source } => write!(f, "tell {source} to cancel migrations"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContainerEnded { container_id } => {
                write!(f, "container {container_id} has ended")
            }
            Self::MachineGone { machine } => write!(f, "Kubernetes node {machine} is gone"),
            Self::MachineOutOfService { machine } => {
                write!(f, "Kubernetes node {machine} is out of service")
            }
            Self::NewerBoot { boot_id } => write!(f, "the node started anew as {boot_id}"),
            Self::Lame => f.write_str("the node has lost its data"),
            Self::Replaced { pod } => write!(f, "another node lives in {pod}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pod, self.node_id)
    }
}
