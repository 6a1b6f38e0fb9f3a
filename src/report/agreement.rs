//! Do all nodes see the same cluster, and is it the wished one? (S7)
//!
//! `Ready` rests on nothing else: not on what the operator has done, but on what every pod's own
//! node says of itself and of all others in one observation.

use std::collections::BTreeSet;

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{SLOTS, SlotSet};
use holdfast_wire::state::{BootState, PeerState};

use crate::observed::Observed;
use crate::plan::topology::{Member, Topology};
use crate::resources::pod_name;
use crate::validate::ValidatedCluster;

/// The first thing in which the nodes differ from the wish or from each other.
pub(super) fn first_difference(
    cluster: &ValidatedCluster,
    observed: &Observed,
    topology: &Topology<'_>,
) -> Option<String> {
    for shard in 0..cluster.shards {
        if let Some(difference) = shard_differs(cluster, topology, shard) {
            return Some(difference);
        }
    }
    let wished = usize::from(cluster.shards) * (usize::from(cluster.replicas_per_shard) + 1);
    if observed.pods.len() != wished || topology.members.len() != wished {
        return Some(format!(
            "there are {} pods, and {wished} are wished for",
            observed.pods.len()
        ));
    }
    let everybody: BTreeSet<NodeId> = topology.members.keys().copied().collect();
    topology.members.values().find_map(|member| view_differs(topology, &everybody, member))
}

fn shard_differs(
    cluster: &ValidatedCluster,
    topology: &Topology<'_>,
    shard: u16,
) -> Option<String> {
    let members = topology.shard_members(shard);
    for ordinal in 0..=cluster.replicas_per_shard {
        let name = pod_name(&cluster.name, shard, ordinal);
        let Some(member) = members.iter().find(|member| member.pod.ordinal == ordinal) else {
            return Some(format!("the node in {name} does not answer"));
        };
        if member.state.boot != BootState::Ready || !member.pod.ready || member.pod.deleting {
            return Some(format!("{name} is not ready"));
        }
    }
    let (owners, others): (Vec<&Member<'_>>, Vec<&Member<'_>>) =
        members.iter().copied().partition(|member| !member.slots.is_empty());
    let [owner] = owners.as_slice() else {
        return Some(format!("shard {shard} has {} primaries with slots", owners.len()));
    };
    let astray =
        others.iter().find(|member| member.primary_id != Some(owner.id) || !member.is_synced())?;
    Some(format!("{} is not in sync with {}", astray.pod.name, owner.pod.name))
}

fn view_differs(
    topology: &Topology<'_>,
    everybody: &BTreeSet<NodeId>,
    member: &Member<'_>,
) -> Option<String> {
    let name = &member.pod.name;
    if !member.state.cluster_ok || member.state.slots_assigned != SLOTS {
        return Some(format!("in the view of {name} the cluster is not ok"));
    }
    let known: BTreeSet<NodeId> = member.peers.keys().copied().chain([member.id]).collect();
    if known != *everybody {
        return Some(format!("{name} knows {} nodes of {}", known.len(), everybody.len()));
    }
    let wrong = member.peers.iter().find(|(id, peer)| {
        topology.members.get(id).is_none_or(|other| !is_seen_right(other, peer))
    });
    let (id, _) = wrong?;
    let other = topology.members.get(id).map_or("a node", |other| other.pod.name.as_str());
    Some(format!("{name} sees {other} otherwise than it sees itself"))
}

fn is_seen_right(member: &Member<'_>, peer: &PeerState) -> bool {
    let same_slots = peer.slots == member.state.slots
        || SlotSet::from_ranges(&peer.slots) == SlotSet::from_ranges(&member.state.slots);
    !peer.fail
        && !peer.pfail
        && !peer.lame
        && peer.connected
        && peer.role == member.state.role
        && peer.primary_id == member.state.primary_id
        && same_slots
}
