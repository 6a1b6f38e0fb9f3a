//! All nodes of a cluster know each other, and nobody else.
//!
//! Who is who is decided by node id and cluster id, never by an address: a pod that came back
//! with another address, two islands after a network fault, and a new pod are one case. A ghost
//! is an id that nodes still speak of although its node cannot come back; it is forgotten on all
//! nodes at once, and only while nobody is silent, since a silent node may be the ghost or would
//! bring it back.
//! Not known here: roles and slots, but for the rule that owners of slots are never forgotten.

use super::step::Step;
use super::topology::{Heard, Member, Topology};
use super::waiting::WaitingFor;
use super::{Context, Plan};
use crate::observed::NodeView;
use crate::resources::shard_name;

/// Above this many missing acquaintances only a star around the first node and a ring are made;
/// gossip does the rest.
const PAIRS_MAX: usize = 64;

pub(super) fn join(context: &Context<'_>, plan: &mut Plan) {
    let topology = &context.topology;
    for pod in &topology.foreign {
        let message = format!(
            "the node in {} belongs to another cluster or has the id of another pod's node",
            pod.name
        );
        plan.wait(WaitingFor::ForeignState, &pod.name, message);
    }
    let members: Vec<_> = {
        let mut members: Vec<_> = topology.members.values().collect();
        members.sort_by_key(|member| (member.pod.shard, member.pod.ordinal));
        members
    };
    let mut strangers = Vec::new();
    for (index, one) in members.iter().enumerate() {
        for (distance, other) in members.iter().skip(index + 1).enumerate() {
            if !(one.knows(other) && other.knows(one)) {
                strangers.push((index, distance, *one, *other));
            }
        }
    }
    let are_many = strangers.len() > PAIRS_MAX;
    for (index, distance, one, other) in &strangers {
        if are_many && *index != 0 && *distance != 0 {
            continue;
        }
        let (on, other) = if one.knows(other) { (*other, *one) } else { (*one, *other) };
        plan.steps.push(meet(on, other));
    }
}

fn meet(on: &Member<'_>, other: &Member<'_>) -> Step {
    Step::Meet {
        on: on.address(),
        other: other.address(),
        port: other.state.port,
        bus_port: other.state.bus_port,
    }
}

/// Forgets those who cannot come back.
pub(super) fn forget_ghosts(context: &Context<'_>, plan: &mut Plan) {
    let topology = &context.topology;
    let everybody_answers =
        context.observed.pods.iter().all(|pod| matches!(pod.view, NodeView::Answered { .. }));
    for heard in topology.heard.values() {
        if !heard.slots.is_empty() {
            continue;
        }
        if !(everybody_answers && is_ghost(context, heard)) {
            let about = match heard.shard {
                Some(shard) => shard_name(&context.cluster.name, shard),
                None => heard.id.to_string(),
            };
            let message = format!("the nodes speak of {}, which may come back", heard.id);
            plan.wait(WaitingFor::UnreachableNode, &about, message);
            continue;
        }
        let acquainted =
            topology.members.values().filter(|member| member.peers.contains_key(&heard.id));
        plan.steps.extend(
            acquainted.map(|member| Step::Forget { on: member.address(), node_id: heard.id }),
        );
    }
}

/// It owns nothing (asked before), nobody alive follows it, and its pod either belongs to another
/// node now or is gone and not wished for.
fn is_ghost(context: &Context<'_>, heard: &Heard) -> bool {
    let topology: &Topology<'_> = &context.topology;
    if topology.replicas_of(heard.id).next().is_some() {
        return false;
    }
    match heard.place {
        Some((shard, ordinal)) => {
            let pods = &context.observed.pods;
            pods.iter().any(|pod| (pod.shard, pod.ordinal) == (shard, ordinal))
                || !context.will_have_pod(shard, ordinal)
        }
        // It never told a name of ours. Everybody answers, and it is none of them.
        None => context.all_pods_exist(),
    }
}
