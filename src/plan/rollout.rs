//! Pods of an outdated revision are replaced: replicas first, then hand-over, the old primary
//! last; one pod at a time, and only while everything else is whole (S1, S2).
//!
//! One exception: a pod whose container cannot even start may always be replaced, since there is
//! nothing to lose, and a reverted mistake must heal without a hand.
//! Not known here: what a revision is made of (`resources/pod.rs`).

use holdfast_wire::state::BootState;

use super::step::{FailoverMode, Step};
use super::topology::{Leader, Member};
use super::waiting::WaitingFor;
use super::{Context, Plan};
use crate::api::NoReplica;
use crate::observed::PodFact;
use crate::resources::shard_name;

pub(super) fn rollout(context: &Context<'_>, plan: &mut Plan) {
    let outdated: Vec<_> = context
        .observed
        .pods
        .iter()
        .filter(|pod| pod.revision != context.revision && !pod.deleting)
        .filter(|pod| template_is_current(context, pod.shard))
        .collect();
    if outdated.is_empty() {
        return;
    }
    let stuck: Vec<_> = outdated.iter().filter(|pod| cannot_start(pod)).collect();
    if !stuck.is_empty() {
        let why = "it is of an outdated revision and cannot start";
        plan.steps.extend(stuck.into_iter().map(|pod| delete(pod, why)));
        return;
    }
    let slots_move = plan.steps.iter().any(|step| matches!(step, Step::MigrateSlots { .. }))
        || plan.waiting_on.iter().any(|waiting| waiting.reason == WaitingFor::Migration);
    if slots_move {
        let message = "pods are replaced when no slots move".to_owned();
        plan.wait(WaitingFor::Update, &context.cluster.name, message);
        return;
    }
    if let Some(message) = what_is_not_whole(context) {
        plan.wait(WaitingFor::Update, &context.cluster.name, message);
        return;
    }
    for shard in context.shards.iter().copied() {
        let of_shard: Vec<_> = outdated.iter().copied().filter(|pod| pod.shard == shard).collect();
        if !of_shard.is_empty() && replace_one(context, shard, &of_shard, plan) {
            return;
        }
    }
}

/// Until the StatefulSet has the wished template, a new pod would be made from the old one.
fn template_is_current(context: &Context<'_>, shard: u16) -> bool {
    context.shards.contains(&shard)
        && context
            .stateful_set(shard)
            .is_some_and(|set| set.revision == context.revision && !set.deleting)
}

fn cannot_start(pod: &PodFact) -> bool {
    pod.container.running_id.is_empty() && !pod.container.waiting_reason.is_empty()
}

fn delete(pod: &PodFact, why: &str) -> Step {
    Step::DeletePod { name: pod.name.clone(), uid: pod.uid.clone(), why: why.to_owned() }
}

fn what_is_not_whole(context: &Context<'_>) -> Option<String> {
    let topology = &context.topology;
    if !topology.is_covered() {
        return Some("pods are replaced while every slot is served".to_owned());
    }
    // A pod that is about to go must not be handed anything over to.
    let is_scaling = (0..context.cluster.shards).any(|shard| {
        let set = context.stateful_set(shard);
        set.is_none_or(|set| set.replicas != context.pods_per_shard())
    });
    if is_scaling {
        return Some("pods are replaced when their number is as wished".to_owned());
    }
    if !context.all_pods_answer() || !topology.heard.is_empty() {
        return Some("pods are replaced while every node answers".to_owned());
    }
    for member in topology.members.values() {
        let is_synced = member.primary_id.is_none() || member.is_synced();
        let is_whole = member.state.boot == BootState::Ready && is_synced && !member.is_migrating();
        if !is_whole || member.pod.deleting || !member.pod.ready {
            return Some(format!("{} is not ready and in sync", member.pod.name));
        }
    }
    None
}

/// Replaces one pod of a shard, or hands over; false when the shard is blocked.
fn replace_one(context: &Context<'_>, shard: u16, outdated: &[&PodFact], plan: &mut Plan) -> bool {
    let Leader::Member(leader) = context.topology.leader(shard) else { return false };
    let why = "its revision is outdated";
    let replica =
        outdated.iter().filter(|pod| pod.uid != leader.pod.uid).max_by_key(|pod| pod.ordinal);
    if let Some(pod) = replica {
        plan.steps.push(delete(pod, why));
        return true;
    }
    if let Some(heir) = heir(context, leader) {
        plan.steps.push(Step::Failover {
            on: heir.address(),
            primary_id: leader.id,
            mode: FailoverMode::Graceful,
            proof: None,
        });
        return true;
    }
    if context.topology.replicas_of(leader.id).next().is_some() {
        let message = "the primary is replaced when a replica has caught up".to_owned();
        plan.wait(WaitingFor::Sync, &shard_name(&context.cluster.name, shard), message);
        return true;
    }
    if context.cluster.no_replica == NoReplica::Proceed {
        plan.steps.push(delete(leader.pod, why));
        return true;
    }
    let message = "the primary has no replica to hand over to; spec.update.noReplica Proceed \
                   would restart it"
        .to_owned();
    plan.wait(WaitingFor::NoReplica, &shard_name(&context.cluster.name, shard), message);
    false
}

/// The replica to hand over to: of the wished revision and close to the primary.
fn heir<'t, 'a>(context: &'t Context<'a>, leader: &Member<'a>) -> Option<&'t Member<'a>> {
    let mut replicas: Vec<_> = context
        .topology
        .replicas_of(leader.id)
        .filter(|replica| {
            replica.is_synced() && replica.state.lag_bytes <= context.cluster.max_lag_bytes
        })
        .collect();
    replicas.sort_by_key(|replica| (replica.state.lag_bytes, replica.pod.ordinal));
    replicas.first().copied()
}
