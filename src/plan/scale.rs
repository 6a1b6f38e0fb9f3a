//! What is no longer wished for goes, after it was proven empty.
//!
//! A shard goes when every one of its nodes has said in this same observation that it holds no
//! slot, no key and no migration, nobody believes otherwise, and every slot is served by a shard
//! that stays. A volume goes when its pod has gone, by name and uid, where the policy says so.
//! Not known here: how slots leave a shard (`slots.rs`).

use super::step::Step;
use super::waiting::WaitingFor;
use super::{Context, Plan};
use crate::api::RetentionPolicy;
use crate::observed::{PodFact, StatefulSetFact, VolumeFact};

pub(super) fn scale_in(context: &Context<'_>, plan: &mut Plan) {
    for set in &context.observed.stateful_sets {
        if context.shards.contains(&set.shard) {
            continue;
        }
        if set.deleting {
            let message = "the shard's StatefulSet is on its way out".to_owned();
            plan.wait(WaitingFor::Deletion, &set.name, message);
            continue;
        }
        match what_keeps_from_deleting(context, set) {
            None => plan
                .steps
                .push(Step::DeleteStatefulSet { name: set.name.clone(), uid: set.uid.clone() }),
            Some(message) => plan.wait(WaitingFor::Drained, &set.name, message),
        }
    }
    for volume in &context.observed.volumes {
        if is_left_over(context, volume) {
            let (name, uid) = (volume.name.clone(), volume.uid.clone());
            plan.steps.push(Step::DeleteVolume { name, uid });
        }
    }
}

fn what_keeps_from_deleting(context: &Context<'_>, set: &StatefulSetFact) -> Option<String> {
    if !context.is_covered_by_wished_shards() {
        return Some("it goes when every slot is served by a shard that stays".to_owned());
    }
    for ordinal in 0..set.replicas {
        let Some(pod) = context.pod(set.shard, ordinal) else {
            return Some(format!(
                "pod {ordinal} of the shard is not there to say that it is empty"
            ));
        };
        let is_empty = match context.member_at(set.shard, ordinal) {
            Some(member) => member.is_empty() && nobody_believes_in(context, member.id),
            None => never_ran(pod),
        };
        if !is_empty {
            return Some(format!("{} has not said yet that it is empty", pod.name));
        }
    }
    None
}

fn nobody_believes_in(context: &Context<'_>, id: holdfast_wire::id::NodeId) -> bool {
    context
        .topology
        .members
        .values()
        .all(|member| member.peers.get(&id).is_none_or(|peer| peer.slots.is_empty()))
}

/// No process of this pod has ever lived, so it holds nothing that the slots' owners do not.
fn never_ran(pod: &PodFact) -> bool {
    pod.container.running_id.is_empty()
        && pod.container.ended.is_none()
        && pod.container.restarts == 0
        && pod.incarnation.is_none()
}

fn is_left_over(context: &Context<'_>, volume: &VolumeFact) -> bool {
    let Some(storage) = &context.cluster.storage else { return false };
    let is_needed = context.shards.contains(&volume.shard)
        && volume.ordinal < context.pods_of_shard(volume.shard)
        || context.will_have_pod(volume.shard, volume.ordinal);
    let set_is_gone = context.stateful_set(volume.shard).is_none_or(|set| !set.deleting);
    let pod_is_gone = context.pod(volume.shard, volume.ordinal).is_none();
    // The place of one who is heard of to own slots is never cleared.
    let is_claimed = context.topology.heard.values().any(|heard| {
        !heard.slots.is_empty() && heard.place == Some((volume.shard, volume.ordinal))
    });
    storage.retention.when_scaled == RetentionPolicy::Delete
        && !volume.deleting
        && !is_needed
        && set_is_gone
        && pod_is_gone
        && !is_claimed
        && context.observed.carried.formed
        && context.is_covered_by_wished_shards()
}
