//! Each shard has one primary, and everybody else in it follows that one.
//!
//! More replicas come by more pods. Fewer: never the primary, never the last copy in sync; a
//! primary in a pod that shall go hands over first. A node that came back empty follows like a
//! new one; a node that holds keys or slots of its own is never made to follow.
//! Not known here: who leads a shard whose primary is gone (`failover.rs`).

use super::step::{FailoverMode, Step};
use super::topology::{Leader, Member};
use super::waiting::WaitingFor;
use super::{Context, Plan};
use crate::resources::shard_name;

pub(super) fn replicas(context: &Context<'_>, plan: &mut Plan) {
    let mut shards = context.shards.clone();
    shards.extend(context.topology.members.values().map(|member| member.pod.shard));
    for shard in shards {
        let Leader::Member(leader) = context.topology.leader(shard) else { continue };
        // At birth the one that gets the slots leads; until then nobody follows anybody.
        let is_born = context.observed.carried.formed || !leader.slots.is_empty();
        if !leader.is_serving_primary() || !is_born {
            continue;
        }
        for member in context.topology.shard_members(shard) {
            if member.id != leader.id && member.is_ready() && member.slots.is_empty() {
                follow(context, member, leader, plan);
            }
        }
    }
}

fn follow(context: &Context<'_>, member: &Member<'_>, leader: &Member<'_>, plan: &mut Plan) {
    let pod = &member.pod.name;
    if member.primary_id == Some(leader.id) {
        if !member.state.link_up {
            plan.wait(
                WaitingFor::Sync,
                pod,
                format!("the copy of {} is not complete", leader.pod.name),
            );
        }
        return;
    }
    let may_follow = match member.primary_id {
        Some(other) => !owns_slots(context, other),
        None => member.is_empty(),
    };
    if !may_follow {
        let message = match member.primary_id {
            Some(other) => format!("it follows {other}, which owns slots"),
            None => format!("it holds keys of its own and cannot follow {}", leader.pod.name),
        };
        plan.wait(WaitingFor::Sync, pod, message);
    } else if member.peers.contains_key(&leader.id) {
        plan.steps.push(Step::Replicate { on: member.address(), primary_id: leader.id });
    } else {
        plan.wait(WaitingFor::Join, pod, format!("it does not know {} yet", leader.pod.name));
    }
}

fn owns_slots(context: &Context<'_>, id: holdfast_wire::id::NodeId) -> bool {
    let topology = &context.topology;
    topology.members.get(&id).is_some_and(|member| !member.slots.is_empty())
        || topology.heard.get(&id).is_some_and(|heard| !heard.slots.is_empty())
}

/// How many pods a shard's StatefulSet shall have now. Fewer than it has only once what stays is
/// complete.
pub(super) fn pods_wished(context: &Context<'_>, shard: u16, plan: &mut Plan) -> u16 {
    let wished = context.pods_per_shard();
    // An owner of slots whose pod went too early comes back to its volume.
    let owners = context.topology.heard.values().filter(|heard| !heard.slots.is_empty());
    let places = owners.filter_map(|heard| heard.place).filter(|place| place.0 == shard);
    let missed = places.map(|(_, ordinal)| ordinal + 1).max().unwrap_or_default();
    let existing = context.stateful_set(shard).map_or(wished, |set| set.replicas).max(missed);
    // A shard that goes keeps all its copies until it is drained.
    if existing <= wished && shard < context.cluster.shards {
        return wished;
    }
    if shard >= context.cluster.shards || missed > wished {
        return existing;
    }
    match what_keeps_from_shrinking(context, shard, wished, plan) {
        None => wished,
        Some((reason, message)) => {
            plan.wait(reason, &shard_name(&context.cluster.name, shard), message);
            existing
        }
    }
}

fn what_keeps_from_shrinking(
    context: &Context<'_>,
    shard: u16,
    wished: u16,
    plan: &mut Plan,
) -> Option<(WaitingFor, String)> {
    let Leader::Member(leader) = context.topology.leader(shard) else {
        return Some((WaitingFor::SilentNode, "replicas go when the primary answers".to_owned()));
    };
    let stays = |member: &&&Member<'_>| member.pod.ordinal < wished;
    let members = context.topology.shard_members(shard);
    if leader.pod.ordinal >= wished {
        let heir = members.iter().filter(stays).find(|member| {
            member.primary_id == Some(leader.id)
                && member.is_synced()
                && member.state.lag_bytes <= context.cluster.max_lag_bytes
        });
        let Some(heir) = heir.filter(|_| leader.is_serving_primary()) else {
            let message = "the primary is in a pod that goes, and no replica that stays is in sync";
            return Some((WaitingFor::Sync, message.to_owned()));
        };
        plan.steps.push(Step::Failover {
            on: heir.address(),
            primary_id: leader.id,
            mode: FailoverMode::Graceful,
            proof: None,
        });
        let message = format!("{} takes over from {}", heir.pod.name, leader.pod.name);
        return Some((WaitingFor::HandOver, message));
    }
    let complete = members.iter().filter(stays).filter(|member| {
        member.id == leader.id || member.primary_id == Some(leader.id) && member.is_synced()
    });
    (complete.count() < usize::from(wished))
        .then(|| (WaitingFor::Sync, "replicas go when those that stay are in sync".to_owned()))
}
