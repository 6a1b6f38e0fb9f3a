//! Is a node that does not serve dead, and how sure is that?
//!
//! Three degrees. *Unknown*: it is silent, nothing more. *Evidence*: Kubernetes says that the
//! container has ended or the pod is gone; enough to tell the nodes, who decide by majority.
//! *Proof*: this very process cannot run any more; enough to act where no majority can decide.
//!
//!   container ended, as the kubelet says                        proof
//!   pod object gone, without a word of its container            evidence (force deletion)
//!     and its successor has long been answering, same machine   proof
//!   Node object gone, or tainted out-of-service                 proof
//!   the node id answers with a newer boot id                    proof, of the older life
//!   the node says that it is lame                               proof, of its data
//!
//! A container that has ended never runs again, so the kubelet's word about it does not grow old
//! (`docs/adr/0005`). But a proof is of one life: where a next container of the same pod name runs
//! and does not answer, the node may serve again, and nothing is proven of it.
//! Not known here: what is done about it.

use holdfast_wire::id::NodeId;

use super::step::Proof;
use super::topology::{Heard, Topology};
use crate::observed::{EndedContainer, NodeView, Observed, PodFact};
use crate::resources::GRACE_SECONDS;

/// The grace period of the pods, after which the kubelet kills.
const GRACE_MS: u64 = GRACE_SECONDS * 1000;

/// The grace period, and time for the kubelet and the kernel to carry it out.
const LONGER_THAN_GRACE_MS: u64 = GRACE_MS + 15_000;

/// How long nobody has a link to a node whose pod is gone, before nobody will.
const UNHEARD_MS: u64 = 10_000;

/// What is known of a node that does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// What speaks for its death, in a sentence; `None` when nothing does.
    pub(super) evidence: Option<String>,
    /// Why it is certain.
    pub(super) proof: Option<Proof>,
    /// The boot id of the life in question; empty when it was never learned.
    pub(super) boot_id: String,
    /// Milliseconds for which it has not served, as far as the operator remembers.
    pub(super) for_ms: u64,
}

/// What is known of one that members speak of but that did not answer.
pub(super) fn fate_of(heard: &Heard, topology: &Topology<'_>, observed: &Observed) -> Fate {
    let remembered =
        observed.pods.iter().chain(&observed.departed).find(|pod| lived_in(pod, heard.id));
    if let Some(pod) = remembered {
        return by_its_pod(pod, heard, observed);
    }
    // The operator has never spoken with it: only the name that it announced leads to a pod.
    let unknown = Fate { evidence: None, proof: None, boot_id: heard.boot_id.clone(), for_ms: 0 };
    let Some(place) = heard.place else { return unknown };
    let here = observed.pods.iter().find(|pod| (pod.shard, pod.ordinal) == place);
    match here {
        None => {
            let evidence = Some("its pod is gone".to_owned());
            Fate { evidence, ..unknown }
        }
        Some(pod) if topology.members.values().any(|member| member.pod.uid == pod.uid) => {
            let evidence = Some(format!("another node lives in {} now", pod.name));
            Fate { evidence, for_ms: answering_for_ms(pod), ..unknown }
        }
        Some(pod) if pod.container.running_id.is_empty() && pod.container.ended.is_some() => {
            by_its_pod(pod, heard, observed)
        }
        Some(pod) => Fate { for_ms: silent_for_ms(pod), ..unknown },
    }
}

fn lived_in(pod: &PodFact, id: NodeId) -> bool {
    pod.incarnation.as_ref().is_some_and(|incarnation| incarnation.node_id == id)
}

fn silent_for_ms(pod: &PodFact) -> u64 {
    match pod.view {
        NodeView::Silent { for_ms } => for_ms,
        NodeView::NotAsked | NodeView::Answered { .. } => 0,
    }
}

fn answering_for_ms(pod: &PodFact) -> u64 {
    match pod.view {
        NodeView::Answered { for_ms, .. } => for_ms,
        NodeView::NotAsked | NodeView::Silent { .. } => 0,
    }
}

fn by_its_pod(pod: &PodFact, heard: &Heard, observed: &Observed) -> Fate {
    let is_departed = observed.departed.iter().any(|departed| departed.uid == pod.uid);
    let incarnation = pod.incarnation.as_ref().filter(|life| life.node_id == heard.id);
    let container_id =
        incarnation.map(|life| life.container_id.as_str()).filter(|id| !id.is_empty());
    // Where no life is bound to a container, the last one that ended is meant only if none runs.
    let ended = pod.container.ended.as_ref().filter(|ended| match container_id {
        Some(id) => ended.id == id,
        None => pod.container.running_id.is_empty(),
    });
    let evidence = match (ended, is_departed) {
        (Some(_), _) => Some(format!("its container in {} has ended", pod.name)),
        (None, true) => Some(format!("its pod {} is gone", pod.name)),
        (None, false) => None,
    };
    let boot_id = incarnation.map_or(&heard.boot_id, |life| &life.boot_id).clone();
    let proof = machine_proof(pod, observed)
        .or_else(|| ended.map(container_proof))
        .filter(|_| !may_live_anew(pod, observed))
        .or_else(|| outlived(pod, observed).filter(|_| is_departed));
    let evidence = evidence.or_else(|| proof.as_ref().map(|_| format!("{} is lost", pod.machine)));
    Fate { evidence, proof, boot_id, for_ms: silent_for_ms(pod) }
}

fn machine_proof(pod: &PodFact, observed: &Observed) -> Option<Proof> {
    let machine = observed.machines.get(&pod.machine)?;
    if !machine.exists {
        return Some(Proof::MachineGone { machine: pod.machine.clone() });
    }
    machine.out_of_service.then(|| Proof::MachineOutOfService { machine: pod.machine.clone() })
}

fn container_proof(ended: &EndedContainer) -> Proof {
    Proof::ContainerEnded { container_id: ended.id.clone() }
}

/// The pod object is gone, and its successor has been answering on the same machine for longer than
/// any process outlives the deletion of its pod. The kubelet hears of pods in order: whoever
/// started the successor has heard of the deletion before, and kills what is left after its grace.
fn outlived(pod: &PodFact, observed: &Observed) -> Option<Proof> {
    let successor = observed.pods.iter().find(|now| {
        now.name == pod.name
            && now.uid != pod.uid
            && !pod.machine.is_empty()
            && now.machine == pod.machine
            && answering_for_ms(now) >= LONGER_THAN_GRACE_MS
    })?;
    Some(Proof::Replaced { pod: successor.name.clone() })
}

/// One life has ended, but a next one of the same node may serve already, in this pod or in the
/// one that came after it, and only the operator does not reach it.
fn may_live_anew(pod: &PodFact, observed: &Observed) -> bool {
    observed.pods.iter().any(|now| {
        (now.shard, now.ordinal) == (pod.shard, pod.ordinal)
            && !matches!(now.view, NodeView::Answered { .. })
            && !now.container.running_id.is_empty()
            && machine_proof(now, observed).is_none()
    })
}

/// Without volumes, that another node has long been living where one that is heard of lived. Its
/// data goes with its pod's directory, so there is nothing to wait for but its last clients; while
/// a member still has a link to it, that is as long as any process outlives its pod.
pub(super) fn replaced(heard: &Heard, topology: &Topology<'_>) -> Option<Proof> {
    let place = heard.place?;
    let successor =
        topology.members.values().find(|member| (member.pod.shard, member.pod.ordinal) == place)?;
    let long = if heard.connected { 2 * GRACE_MS } else { UNHEARD_MS };
    (successor.for_ms >= long).then(|| Proof::Replaced { pod: successor.pod.name.clone() })
}
