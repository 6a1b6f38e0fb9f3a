//! Is a node that does not serve dead, and how sure is that?
//!
//! Three degrees. *Unknown*: it is silent, nothing more. *Evidence*: Kubernetes says that the
//! container has ended or the pod is gone; enough to tell the nodes, who decide by majority.
//! *Proof*: this very process cannot run any more; enough to act where no majority can decide.
//!
//!   container ended, as the kubelet says                        evidence
//!     and the kubelet was heard of later                        proof
//!   pod object gone, without a word of its container            evidence (force deletion)
//!   Node object gone, or tainted out-of-service                 proof
//!   the node id answers with a newer boot id                    proof, of the older life
//!   the node says that it is lame                               proof, of its data
//!
//! The kubelet was heard of later: its Lease was renewed after the container ended, or it started
//! a new container of the same pod after that. All three times are the kubelet's own.
//! Not known here: what is done about it.

use holdfast_wire::id::NodeId;

use super::step::Proof;
use super::topology::{Heard, Topology};
use crate::observed::{NodeView, Observed, PodFact};

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
    let container_id =
        pod.incarnation.as_ref().map(|incarnation| incarnation.container_id.as_str());
    // Where no life is bound to a container, the last container that ended is the one in question only if none runs.
    let ended = pod.container.ended.as_ref().filter(|ended| match container_id {
        Some(id) => ended.id == id,
        None => pod.container.running_id.is_empty(),
    });
    let evidence = match (ended, is_departed) {
        (Some(_), _) => Some(format!("its container in {} has ended", pod.name)),
        (None, true) => Some(format!("its pod {} is gone", pod.name)),
        (None, false) => None,
    };
    let boot_id = match &pod.incarnation {
        Some(incarnation) if incarnation.node_id == heard.id => incarnation.boot_id.clone(),
        _ => heard.boot_id.clone(),
    };
    let proof = machine_proof(pod, observed).or_else(|| {
        let ended = ended?;
        let lease = observed.machines.get(&pod.machine).and_then(|fact| fact.lease_renewed_at_ms);
        let restarted =
            pod.container.running_since_ms.filter(|_| !pod.container.running_id.is_empty());
        let heard_later = lease.is_some_and(|at_ms| at_ms > ended.finished_at_ms)
            || restarted.is_some_and(|at_ms| at_ms >= ended.finished_at_ms);
        heard_later.then(|| Proof::ContainerEnded { container_id: ended.id.clone() })
    });
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

/// Without volumes, that the pod of one that is heard of belongs to another node since longer
/// than any process outlives the deletion of its pod.
pub(super) fn replaced(heard: &Heard, topology: &Topology<'_>) -> Option<Proof> {
    // Twice the pods' grace period.
    const LONGER_THAN_ANY_GRACE_MS: u64 = 120_000;
    let place = heard.place?;
    let successor =
        topology.members.values().find(|member| (member.pod.shard, member.pod.ordinal) == place)?;
    (successor.for_ms >= LONGER_THAN_ANY_GRACE_MS)
        .then(|| Proof::Replaced { pod: successor.pod.name.clone() })
}
