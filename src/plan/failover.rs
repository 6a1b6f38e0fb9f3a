//! A primary died: tell the nodes, and when they do not elect, order it.
//!
//! Three stages for a primary that owns slots and does not serve:
//!
//!  1. Kubernetes has evidence of its death: all members are told at once (`HOLDFAST DEAD`), and
//!     they elect by majority and rank without waiting for a timeout. Where no majority can decide,
//!     only a proof is told: a primary that is on its way out may just be handing over, and members
//!     that hold it for dead do not listen to it.
//!  2. Nobody has won after a second: the best replica is ordered to stand (`FAILOVER FORCE`).
//!  3. No majority is left to elect, or there never is one, since there are fewer than three
//!     shards: with a *proof* of death the best replica takes over (`FAILOVER TAKEOVER`).
//!
//! One order at a time: each changes epochs, and the next one is planned on what it made.
//! Not known here: how sure a death is (`fate.rs`).

use super::fate::{Fate, fate_of, replaced};
use super::step::{FailoverMode, Proof, Step};
use super::topology::{Heard, Member, Topology};
use super::waiting::WaitingFor;
use super::{Context, Plan};
use crate::api::{DataLossPolicy, QuorumLoss};
use crate::resources::{pod_name, shard_name};
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;

/// How long the nodes are left to elect by themselves.
const ELECTION_MS: u64 = 1000;

/// A primary that owns slots and does not serve.
struct Down<'t, 'a> {
    id: NodeId,
    shard: Option<u16>,
    config_epoch: u64,
    offset: u64,
    fate: Fate,
    /// Some member holds it for failed, or it says so itself.
    is_failed: bool,
    how: How<'t, 'a>,
}

/// In which way a primary does not serve.
enum How<'t, 'a> {
    /// It answers, and has lost its data.
    Lame(&'t Member<'a>),
    /// It answers, and still reads its data.
    Loading,
    /// It does not answer.
    Silent(&'t Heard),
}

pub(super) fn failover(context: &Context<'_>, plan: &mut Plan) {
    let topology = &context.topology;
    let mut ordered = false;
    for down in downs(context) {
        declare_dead(topology, &down, plan);
        let about = match down.shard {
            Some(shard) => shard_name(&context.cluster.name, shard),
            None => down.id.to_string(),
        };
        match best_replica(topology, &down) {
            Some(replica) if ordered => {
                plan.wait(
                    WaitingFor::Election,
                    &about,
                    format!("{} is next after the failover that is under way", replica.pod.name),
                );
            }
            Some(replica) => ordered |= order(context, &down, replica, &about, plan),
            None if matches!(down.how, How::Loading) => {}
            None => without_copy(context, &down, &about, plan),
        }
    }
}

fn downs<'t, 'a>(context: &'t Context<'a>) -> Vec<Down<'t, 'a>> {
    let topology = &context.topology;
    let members = topology.members.values().filter(|member| !member.slots.is_empty());
    let answering = members.filter(|member| member.is_lame() || member.is_loading());
    let silent = topology.heard.values().filter(|heard| !heard.slots.is_empty());
    let silent = silent.map(|heard| Down {
        id: heard.id,
        shard: heard.shard,
        config_epoch: heard.config_epoch,
        offset: heard.offset,
        fate: fate_of(heard, topology, context.observed),
        is_failed: heard.fail,
        how: How::Silent(heard),
    });
    let mut downs: Vec<_> = answering.map(|member| down_member(member)).chain(silent).collect();
    downs.sort_by_key(|down| (down.shard, down.id));
    downs
}

fn down_member<'t, 'a>(member: &'t Member<'a>) -> Down<'t, 'a> {
    let boot_id = member.state.boot_id.clone();
    let proof =
        if member.is_lame() { Proof::Lame } else { Proof::NewerBoot { boot_id: boot_id.clone() } };
    Down {
        id: member.id,
        shard: Some(member.pod.shard),
        config_epoch: member.state.config_epoch,
        offset: 0,
        fate: Fate { evidence: None, proof: Some(proof), boot_id, for_ms: member.for_ms },
        is_failed: true,
        how: if member.is_lame() { How::Lame(member) } else { How::Loading },
    }
}

/// Tells every member that does not know it yet. Only where a replica could follow: a primary
/// without one comes back or does not, whatever the others think of it.
fn declare_dead(topology: &Topology<'_>, down: &Down<'_, '_>, plan: &mut Plan) {
    let Some(evidence) = &down.fate.evidence else { return };
    if down.fate.proof.is_none() && !has_majority(topology, down) {
        return;
    }
    if topology.replicas_of(down.id).next().is_none() {
        return;
    }
    let on: Vec<_> = topology
        .members
        .values()
        .filter(|member| member.peers.get(&down.id).is_some_and(|peer| !peer.fail))
        .map(Member::address)
        .collect();
    if !on.is_empty() {
        plan.steps.push(Step::DeclareDead {
            on,
            node_id: down.id,
            boot_id: down.fate.boot_id.clone(),
            config_epoch: down.config_epoch,
            evidence: evidence.clone(),
        });
    }
}

/// The replica with most of the primary's writes. One that never had a full copy is none. Of two
/// that are level the one whose pod stays; but one that is ahead stands also when its pod is on
/// its way out, since it can hand over what it has, and nobody can give it back.
fn best_replica<'t, 'a>(topology: &'t Topology<'a>, down: &Down<'_, '_>) -> Option<&'t Member<'a>> {
    topology
        .replicas_of(down.id)
        .filter(|member| member.is_ready() && has_a_copy(member, down))
        .max_by(|a, b| {
            let rank = |member: &Member<'_>| (member.state.offset, !member.pod.deleting);
            rank(a).cmp(&rank(b)).then_with(|| b.pod.name.cmp(&a.pod.name))
        })
}

fn has_a_copy(member: &Member<'_>, down: &Down<'_, '_>) -> bool {
    let holds_something = member.state.offset > 0 || member.state.keys > 0;
    match down.how {
        // Nothing was ever written, as the primary itself has told it.
        How::Silent(_) => {
            let heard = member.peers.get(&down.id).is_some_and(|peer| !peer.boot_id.is_empty());
            holds_something || down.offset == 0 && heard
        }
        How::Lame(_) => holds_something,
        // Where all start at once, the primary's files may hold more than the replica's.
        How::Loading => holds_something && member.for_ms > down.fate.for_ms,
    }
}

/// Enough voters answer to elect a successor.
fn has_majority(topology: &Topology<'_>, down: &Down<'_, '_>) -> bool {
    let alive = topology
        .members
        .values()
        .filter(|member| !member.slots.is_empty() && member.is_ready() || member.id == down.id);
    alive.count() * 2 > topology.voters()
}

/// Orders the replica to take over if it is time; true when it did.
fn order(
    context: &Context<'_>,
    down: &Down<'_, '_>,
    replica: &Member<'_>,
    about: &str,
    plan: &mut Plan,
) -> bool {
    let mut failover = |mode, proof| {
        plan.steps.push(Step::Failover { on: replica.address(), primary_id: down.id, mode, proof });
        true
    };
    if has_majority(&context.topology, down) {
        if !down.is_failed && down.fate.evidence.is_none() {
            plan.wait(WaitingFor::SilentNode, about, "the primary does not answer".to_owned());
            return false;
        }
        if down.fate.for_ms >= ELECTION_MS {
            return failover(FailoverMode::Force, down.fate.proof.clone());
        }
        plan.wait(
            WaitingFor::Election,
            about,
            format!("the nodes elect a successor of {}", down.id),
        );
        return false;
    }
    match (&down.fate.proof, context.cluster.quorum_loss) {
        (Some(_), QuorumLoss::Manual) => plan.wait(
            WaitingFor::ManualFailover,
            about,
            format!(
                "the primary is dead and the nodes have no majority to elect another; \
                 CLUSTER FAILOVER TAKEOVER on {} would promote it",
                replica.pod.name
            ),
        ),
        (Some(proof), QuorumLoss::Auto) => {
            return failover(FailoverMode::Takeover, Some(proof.clone()));
        }
        (None, _) => plan.wait(
            WaitingFor::ProofOfDeath,
            about,
            "the primary does not answer, the nodes have no majority to elect another, and \
             nothing proves that it is dead"
                .to_owned(),
        ),
    }
    false
}

/// Nobody holds a copy: wait for the primary, or hand out its slots empty where that is wished
/// and every copy is proven gone.
fn without_copy(context: &Context<'_>, down: &Down<'_, '_>, about: &str, plan: &mut Plan) {
    let topology = &context.topology;
    let proof = down.fate.proof.clone().or_else(|| match down.how {
        How::Silent(heard) => lost_with_its_pod(context, heard),
        _ => None,
    });
    let Some(proof) = proof else {
        let message = "the primary does not answer and nobody holds a copy of its slots";
        plan.wait(WaitingFor::ProofOfDeath, about, message.to_owned());
        return;
    };
    if let Some((reason, message)) = copy_may_come_back(context, down) {
        plan.wait(reason, about, message);
        return;
    }
    let mut others = topology.heard.values().filter(|heard| {
        heard.id != down.id
            && (heard.primary_id == Some(down.id)
                || heard.slots.is_empty() && heard.shard.is_some() && heard.shard == down.shard)
    });
    if context.cluster.data_loss_policy == DataLossPolicy::Block {
        let message = "every copy of these slots that is known is gone; spec.dataLossPolicy \
                       ReassignEmpty would hand them out empty";
        plan.wait(WaitingFor::LostSlots, about, message.to_owned());
    } else if others.any(|heard| !is_proven_gone(context, heard)) {
        let message = "the slots are handed out empty when no node could hold a copy any more";
        plan.wait(WaitingFor::ProofOfDeath, about, message.to_owned());
    } else {
        reassign_empty(context, down, proof, about, plan);
    }
}

/// Who may still bring a copy, whatever the policy is. A container that has ended proves a death
/// and no loss: the next one may find the data. A node that loads or leaves may hold some that it
/// cannot serve just now, and so may a pod that does not answer.
fn copy_may_come_back(context: &Context<'_>, down: &Down<'_, '_>) -> Option<(WaitingFor, String)> {
    let topology = &context.topology;
    let is_near = |member: &&Member<'_>| {
        member.id != down.id
            && (member.primary_id == Some(down.id) || down.shard == Some(member.pod.shard))
    };
    let near = || topology.members.values().filter(is_near);
    if let Some(member) = near().find(|member| member.is_loading()) {
        let message = format!("{} still loads and may hold a copy of the slots", member.pod.name);
        return Some((WaitingFor::Loading, message));
    }
    if let Some(member) = near().find(|member| member.is_leaving()) {
        let message = format!("{} is leaving and may hold a copy of the slots", member.pod.name);
        return Some((WaitingFor::Deletion, message));
    }
    let everybody_answers = match down.shard {
        Some(shard) => context.whole_shard_answers(shard),
        None => context.all_pods_answer(),
    };
    if everybody_answers {
        return None;
    }
    let place = match down.how {
        How::Silent(heard) => heard.place,
        How::Lame(_) | How::Loading => None,
    };
    let place = place.filter(|(shard, ordinal)| {
        context.will_have_pod(*shard, *ordinal) && context.member_at(*shard, *ordinal).is_none()
    });
    Some(match place {
        Some((shard, ordinal)) => {
            let name = pod_name(&context.cluster.name, shard, ordinal);
            let message = format!("no replica could take over, so the slots wait for {name}");
            (WaitingFor::PodRunning, message)
        }
        None => {
            let message = "a pod of the shard does not answer and may hold a copy of the slots";
            (WaitingFor::ProofOfDeath, message.to_owned())
        }
    })
}

/// Without volumes, that the pod went and its data with it.
fn lost_with_its_pod(context: &Context<'_>, heard: &Heard) -> Option<Proof> {
    if context.cluster.storage.is_some() { None } else { replaced(heard, &context.topology) }
}

fn is_proven_gone(context: &Context<'_>, heard: &Heard) -> bool {
    fate_of(heard, &context.topology, context.observed).proof.is_some()
        || lost_with_its_pod(context, heard).is_some()
}

/// The dead owner's slots are made free on every node that speaks of it, and handed out again as
/// at birth. It cannot be replaced by a follower: whoever joined after its death knows its id but
/// not its slots, and a takeover takes only those that it knows of. Only a follower that has no
/// copy takes over first, since a node cannot forget whom it follows.
fn reassign_empty(
    context: &Context<'_>,
    down: &Down<'_, '_>,
    proof: Proof,
    about: &str,
    plan: &mut Plan,
) {
    let topology = &context.topology;
    let takeover = |heir: &Member<'_>| Step::Failover {
        on: heir.address(),
        primary_id: down.id,
        mode: FailoverMode::Takeover,
        proof: Some(proof.clone()),
    };
    let mut followers = topology.replicas_of(down.id).peekable();
    if followers.peek().is_some() {
        match followers.find(|member| member.is_ready()) {
            Some(heir) => plan.steps.push(takeover(heir)),
            None => plan.wait(
                WaitingFor::Loading,
                about,
                "a follower without a copy does not serve yet".to_owned(),
            ),
        }
        return;
    }
    let How::Lame(lame) = down.how else {
        let told = topology.members.values().filter(|member| member.peers.contains_key(&down.id));
        plan.steps.extend(told.map(|member| Step::GiveUp {
            on: member.address(),
            node_id: down.id,
            proof: proof.clone(),
        }));
        return;
    };
    // It lives, so whoever follows it learns its slots.
    let members = topology.shard_members(lame.pod.shard);
    let heir = members.iter().find(|member| {
        member.id != down.id
            && member.is_ready()
            && member.slots.is_empty()
            && member.state.keys == 0
    });
    match heir {
        Some(heir) => {
            plan.steps.push(Step::Replicate { on: heir.address(), primary_id: down.id });
        }
        // The volume remembers that there was data, so the next pod would be lame as well.
        None if context.cluster.storage.is_some() => free_slots(topology, lame, plan),
        None => plan.steps.push(Step::DeletePod {
            name: lame.pod.name.clone(),
            uid: lame.pod.uid.clone(),
            why: "it has lost its data and nobody holds a copy; an empty node takes its place"
                .to_owned(),
        }),
    }
}

/// Takes a lame node's slots away from it, and from those who believe that it owns them. Then it
/// is an empty primary, and slots without an owner are handed out as at birth.
fn free_slots(topology: &Topology<'_>, lame: &Member<'_>, plan: &mut Plan) {
    let free =
        |on: &Member<'_>, slots| Step::FreeSlots { on: on.address(), node_id: lame.id, slots };
    plan.steps.push(free(lame, lame.slots.clone()));
    for member in topology.members.values() {
        let Some(peer) = member.peers.get(&lame.id) else { continue };
        let believed = SlotSet::from_ranges(&peer.slots).intersection(&lame.slots);
        if !believed.is_empty() {
            plan.steps.push(free(member, believed));
        }
    }
}
