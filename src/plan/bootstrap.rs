//! A cluster is born: identity, first slots.
//!
//! It happens once. As long as the status does not say that the cluster was formed, slots
//! without an owner are handed out, but only when every pod answers and none of them holds a
//! key, and an owner that is found keeps what it has (S4). Afterwards a slot without an owner is
//! a loss, and `spec.dataLossPolicy` decides. Every step may be repeated: a node that has its
//! slots already gets none, and a half-done birth goes on where it stopped.
//! Not known here: joins and replicas, which are the same at birth and later.

use std::collections::BTreeMap;

use holdfast_wire::slot::{SLOTS, Slot, SlotSet};

use super::step::Step;
use super::topology::Member;
use super::waiting::WaitingFor;
use super::{Context, Plan};
use crate::api::DataLossPolicy;

/// Slots of a shard in an even split: one contiguous run each.
pub(super) fn even_run(shard: u16, shards: u16) -> (u16, u16) {
    let border = |shard: u16| (u32::from(SLOTS) * u32::from(shard) / u32::from(shards)) as u16;
    (border(shard), border(shard + 1) - 1)
}

pub(super) fn hand_out_slots(context: &Context<'_>, plan: &mut Plan) {
    let topology = &context.topology;
    if topology.unowned.is_empty() {
        return;
    }
    let shards = context.cluster.shards;
    let members: Vec<_> = topology.members.values().collect();
    let all_answer = context.all_pods_answer() && members.iter().all(|member| member.is_ready());
    if !all_answer {
        plan.wait(
            WaitingFor::PodRunning,
            &context.cluster.name,
            format!(
                "{} slots have no owner, and not every node has answered yet",
                topology.unowned.len()
            ),
        );
        return;
    }
    let is_birth =
        !context.observed.carried.formed && members.iter().all(|member| member.state.keys == 0);
    // One that owns slots and does not answer will be failed over or comes back; until then
    // nobody can say which slots are really lost.
    if topology.heard.values().any(|heard| !heard.slots.is_empty()) {
        let message = "slots have no owner, and another owner does not answer";
        plan.wait(WaitingFor::SilentNode, &context.cluster.name, message.to_owned());
        return;
    }
    if !is_birth && context.cluster.data_loss_policy == DataLossPolicy::Block {
        plan.wait(WaitingFor::LostSlots, &context.cluster.name, format!(
            "{} slots have no owner; spec.dataLossPolicy ReassignEmpty would hand them out empty",
            topology.unowned.len()
        ));
        return;
    }
    let leaders = choose_leaders(context);
    for (shard, leader) in &leaders {
        let run = SlotSet::from_ranges(&[even_run(*shard, shards)]);
        let slots = topology.unowned.intersection(&run);
        if leader.state.config_epoch == 0 && leader.peers.is_empty() {
            let epoch = u64::from(*shard) + 1;
            plan.steps.push(Step::SetConfigEpoch { on: leader.address(), epoch });
        }
        if !slots.is_empty() {
            plan.steps.push(Step::AddSlots { on: leader.address(), slots, lost: !is_birth });
        }
    }
    if leaders.len() < usize::from(shards) {
        plan.wait(
            WaitingFor::PodRunning,
            &context.cluster.name,
            "a shard has no node that could lead it".to_owned(),
        );
    }
}

/// The node of each shard that leads it: an owner of slots where there is one, else one on the
/// Kubernetes node that leads least shards so far, so that no machine holds most primaries.
fn choose_leaders<'t, 'a>(context: &'t Context<'a>) -> BTreeMap<u16, &'t Member<'a>> {
    let mut led_by_machine: BTreeMap<&str, usize> = BTreeMap::new();
    let mut leaders = BTreeMap::new();
    for shard in 0..context.cluster.shards {
        let members = context.topology.shard_members(shard);
        let owner = members.iter().copied().find(|member| !member.slots.is_empty());
        let chosen = owner.or_else(|| {
            members.iter().copied().filter(|member| member.is_serving_primary()).min_by_key(
                |member| {
                    let machine = member.pod.machine.as_str();
                    let led = led_by_machine.get(machine).copied().unwrap_or_default();
                    (led, member.pod.ordinal)
                },
            )
        });
        if let Some(member) = chosen {
            *led_by_machine.entry(&member.pod.machine).or_default() += 1;
            leaders.insert(shard, member);
        }
    }
    leaders
}

/// A set of the last `count` slots of `from`.
pub(super) fn tail(from: &SlotSet, count: u16) -> SlotSet {
    let skip = usize::from(from.len().saturating_sub(count));
    from.iter().skip(skip).collect::<Vec<Slot>>().into_iter().collect()
}
