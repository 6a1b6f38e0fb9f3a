//! Slots move until every wished shard has an even share and nobody else has any.
//!
//! Fewest moves: the shards with the most slots keep the larger shares, and only what is above a
//! share moves. What is already on the move counts as arrived. Batches are small, so that an
//! edit in the middle changes the direction soon; each batch names source, target and slots.
//! One rule covers three cases: a new shard (nothing, share > 0), an uneven cluster, and a shard
//! that goes (share 0).
//! Not known here: how slots move.

use std::collections::BTreeMap;

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{SLOTS, SlotSet};

use super::bootstrap::tail;
use super::step::Step;
use super::topology::{Leader, Member};
use super::waiting::WaitingFor;
use super::{Context, Plan};

/// Most slots in one batch.
const BATCH_SLOTS_MAX: u16 = 512;

/// One who owns slots: what it has, what is on its way from and to it, what it shall have.
struct Holder<'t, 'a> {
    member: &'t Member<'a>,
    /// Its slots that are not on their way.
    resting: SlotSet,
    /// Slots when all running moves are done.
    count: u16,
    share: u16,
    /// Its shard is wished for and it leads it.
    stays: bool,
}

pub(super) fn slots(context: &Context<'_>, plan: &mut Plan) {
    let running = report_running(context, plan);
    if !context.observed.carried.formed || !context.topology.unowned.is_empty() {
        return;
    }
    let mut holders = holders(context);
    let wished = usize::from(context.cluster.shards);
    if holders.iter().filter(|holder| holder.stays).count() < wished {
        return explain_missing_leaders(context, plan);
    }
    let is_draining = holders.iter().any(|holder| !holder.stays && holder.count > 0);
    if is_draining && !has_room(context) {
        plan.wait(
            WaitingFor::NoRoom,
            &context.cluster.name,
            "the shards that stay cannot hold the data of those that go within maxMemory"
                .to_owned(),
        );
        return;
    }
    set_shares(&mut holders);
    let free = context.cluster.max_concurrent_migrations.saturating_sub(running);
    plan_moves(context, &holders, free, plan);
}

/// Speaks of running moves, cancels those that lead to where nothing shall be, and counts them.
fn report_running(context: &Context<'_>, plan: &mut Plan) -> usize {
    let members = &context.topology.members;
    let mut running = 0;
    for source in members.values() {
        let outgoing =
            source.state.migrations.iter().filter(|job| job.outgoing && job.state == "running");
        for job in outgoing {
            running += 1;
            let target = job.peer_id.parse::<NodeId>().ok().and_then(|id| members.get(&id));
            let leads_astray =
                target.is_some_and(|member| member.pod.shard >= context.cluster.shards);
            if leads_astray && source.pod.shard < context.cluster.shards {
                plan.steps.push(Step::CancelMigrations { source: source.address() });
            }
            let to = target.map_or(job.peer_id.as_str(), |member| member.pod.name.as_str());
            let message = format!("slots move from {} to {to}", source.pod.name);
            plan.wait(WaitingFor::Migration, &source.pod.name, message);
        }
    }
    running
}

/// Everybody who owns slots or leads a wished shard, those that stay first.
fn holders<'t, 'a>(context: &'t Context<'a>) -> Vec<Holder<'t, 'a>> {
    let topology = &context.topology;
    let mut leads = BTreeMap::new();
    for shard in 0..context.cluster.shards {
        if let Leader::Member(leader) = topology.leader(shard) {
            leads.insert(leader.id, shard);
        }
    }
    let mut arriving: BTreeMap<NodeId, u16> = BTreeMap::new();
    let mut leaving: BTreeMap<NodeId, SlotSet> = BTreeMap::new();
    for source in topology.members.values() {
        for job in
            source.state.migrations.iter().filter(|job| job.outgoing && job.state == "running")
        {
            let slots = SlotSet::from_ranges(&job.slots).intersection(&source.slots);
            if let Ok(target) = job.peer_id.parse() {
                *arriving.entry(target).or_default() += slots.len();
            }
            let gone = leaving.entry(source.id).or_default();
            *gone = gone.union(&slots);
        }
    }
    let owners = topology
        .members
        .values()
        .filter(|member| !member.slots.is_empty() || leads.contains_key(&member.id));
    let mut holders: Vec<_> = owners
        .map(|member| {
            let resting = match leaving.get(&member.id) {
                Some(gone) => member.slots.difference(gone),
                None => member.slots.clone(),
            };
            let count = resting.len() + arriving.get(&member.id).copied().unwrap_or_default();
            let stays = leads.contains_key(&member.id);
            Holder { member, resting, count, share: 0, stays }
        })
        .collect();
    holders
        .sort_by_key(|holder| (!holder.stays, holder.member.pod.shard, holder.member.pod.ordinal));
    holders
}

/// While a shard has no leader that answers, shares cannot be known. A leader that is absent is
/// spoken of by `failover.rs`; a shard that never had one must be named here.
fn explain_missing_leaders(context: &Context<'_>, plan: &mut Plan) {
    for shard in 0..context.cluster.shards {
        if matches!(context.topology.leader(shard), Leader::Nobody) {
            let about = crate::resources::shard_name(&context.cluster.name, shard);
            let message = "the shard has no node that leads it yet".to_owned();
            plan.wait(WaitingFor::PodRunning, &about, message);
        }
    }
}

fn has_room(context: &Context<'_>) -> bool {
    let Some(max_bytes) = context.cluster.max_memory_bytes else { return true };
    let owners = context.topology.members.values().filter(|member| !member.slots.is_empty());
    let used: u64 = owners.map(|member| member.state.used_bytes).sum();
    used <= max_bytes.saturating_mul(u64::from(context.cluster.shards))
}

/// Even shares of what those hold that answer; the larger ones go to those that have most.
fn set_shares(holders: &mut [Holder<'_, '_>]) {
    let total: u32 = holders.iter().map(|holder| u32::from(holder.count)).sum();
    let total = total.min(u32::from(SLOTS)) as u16;
    let mut staying: Vec<_> = holders.iter_mut().filter(|holder| holder.stays).collect();
    let Some(count) = u16::try_from(staying.len()).ok().filter(|count| *count > 0) else { return };
    staying.sort_by_key(|holder| (std::cmp::Reverse(holder.count), holder.member.pod.shard));
    for (index, holder) in staying.into_iter().enumerate() {
        holder.share = total / count + u16::from(index < usize::from(total % count));
    }
}

fn plan_moves(context: &Context<'_>, holders: &[Holder<'_, '_>], free: usize, plan: &mut Plan) {
    let mut missing: Vec<(u16, &Holder<'_, '_>)> = holders
        .iter()
        .filter(|holder| holder.stays && holder.count < holder.share)
        .map(|holder| (holder.share - holder.count, holder))
        .collect();
    // Shards that go are emptied before others are evened out.
    let mut sources: Vec<_> = holders.iter().filter(|holder| holder.count > holder.share).collect();
    sources.sort_by_key(|holder| (holder.stays, std::cmp::Reverse(holder.member.pod.shard)));
    let mut planned = 0;
    for source in sources {
        let surplus = (source.count - source.share).min(source.resting.len());
        missing.retain(|(count, _)| *count > 0);
        missing.sort_by_key(|(count, holder)| (std::cmp::Reverse(*count), holder.member.pod.shard));
        let Some((count, target)) = missing.first_mut() else { break };
        if let Some((reason, message)) = what_keeps_from_moving(context, source, target) {
            plan.wait(reason, &target.member.pod.name, message);
            continue;
        }
        // A source that gives already is asked again when it has given.
        if source.member.is_migrating() || surplus == 0 {
            continue;
        }
        if planned == free {
            let message = "more slots move when the running moves are done".to_owned();
            plan.wait(WaitingFor::Migration, &source.member.pod.name, message);
            continue;
        }
        let batch = surplus.min(*count).min(BATCH_SLOTS_MAX);
        *count -= batch;
        planned += 1;
        plan.steps.push(Step::MigrateSlots {
            source: source.member.address(),
            target: target.member.id,
            slots: tail(&source.resting, batch),
        });
    }
}

/// Slots move only between healthy shards, and only to where they are as safe as before.
fn what_keeps_from_moving(
    context: &Context<'_>,
    source: &Holder<'_, '_>,
    target: &Holder<'_, '_>,
) -> Option<(WaitingFor, String)> {
    let (from, to) = (source.member, target.member);
    if !from.is_serving_primary() || !to.is_serving_primary() {
        return Some((WaitingFor::Loading, "slots move when both sides serve".to_owned()));
    }
    if from.pod.deleting || to.pod.deleting {
        return Some((
            WaitingFor::Deletion,
            "slots move when no side is on its way out".to_owned(),
        ));
    }
    if !from.knows(to) || !to.knows(from) {
        return Some((WaitingFor::Join, "slots move when both sides know each other".to_owned()));
    }
    let is_followed = context.topology.replicas_of(to.id).any(|replica| replica.is_synced());
    (context.cluster.replicas_per_shard > 0 && !is_followed)
        .then(|| (WaitingFor::Sync, "slots move to it when it has a replica in sync".to_owned()))
}
