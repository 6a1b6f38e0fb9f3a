//! What to tell the user: status, conditions and events, as a pure function.
//!
//! The same world gives the same report, word for word, so that a world at rest is never written
//! to. Two things come from the status that stands: when a condition last turned, and figures
//! that change with every command of a client, which are kept until something else changes.
//! Not known here: how a status is written.

mod agreement;
mod conditions;
mod events;

pub use events::EventNote;

use std::fmt::Write as _;

use holdfast_wire::slot::SLOTS;

use crate::api::conditions::ConditionType;
use crate::api::{
    Endpoints, LABEL_CLUSTER, LABEL_ROLE, Operation, RedisCluster, RedisClusterStatus,
    ReplicaStatus, ShardStatus, SlotCounts,
};
use crate::observed::Observed;
use crate::plan::topology::{Leader, Member, Topology};
use crate::plan::{Plan, Step, slots_text};
use crate::resources::{CLIENT_PORT, SecretPurpose, revision};
use crate::validate::{InvalidSpec, ValidatedCluster};
use conditions::Facts;

/// Shards that a status names one by one.
const SHARDS_NAMED_MAX: u16 = 100;

/// What became of the steps of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Steps that were carried out.
    pub done: Vec<Step>,
    /// Steps that failed, with the error in a sentence.
    pub failed: Vec<(Step, String)>,
}

/// What to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The whole status; it is written only when it differs from the one that stands.
    pub status: RedisClusterStatus,
    /// Events to publish.
    pub events: Vec<EventNote>,
}

/// Reports on an object whose wish makes sense.
pub fn report(
    object: &RedisCluster,
    cluster: &ValidatedCluster,
    observed: &Observed,
    plan: &Plan,
    outcome: &Outcome,
) -> Report {
    let standing = object.status.clone().unwrap_or_default();
    let carried = carried_after(observed, outcome);
    let cluster_id = carried.cluster_id.clone().unwrap_or_default();
    let topology = Topology::new(&cluster.name, &cluster_id, observed);
    let facts = Facts::new(cluster, observed, plan, outcome, &topology, carried.formed);
    let mut status = RedisClusterStatus {
        observed_generation: cluster.generation,
        selector: format!("{LABEL_CLUSTER}={},{LABEL_ROLE}=primary", cluster.name),
        cluster_id,
        formed: carried.formed,
        template_version: carried.template_version.unwrap_or_default() as i32,
        current_epoch: current_epoch(&topology),
        slots: slot_counts(&topology),
        endpoints: Some(Endpoints {
            service: format!("{}.{}.svc:{CLIENT_PORT}", cluster.name, cluster.namespace),
            password_secret: SecretPurpose::DefaultUser.secret_name(&cluster.name),
        }),
        conditions: facts.conditions(&standing.conditions),
        phase: facts.phase(&standing.phase).to_owned(),
        operation: operation(&facts, plan, outcome),
        ..RedisClusterStatus::default()
    };
    count_shards(cluster, observed, &topology, &mut status);
    describe_revisions(cluster, observed, &mut status);
    keep_lively_figures(&standing, &mut status);
    let events = events::events(&standing, &status, outcome);
    Report { status, events }
}

/// Reports on an object whose wish does not make sense; nothing else is done about it.
pub fn report_invalid(object: &RedisCluster, at_ms: i64, errors: &[InvalidSpec]) -> Report {
    let standing = object.status.clone().unwrap_or_default();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let generation = object.metadata.generation.unwrap_or_default();
    let ready = conditions::Verdict {
        kind: ConditionType::Ready,
        holds: false,
        reason: "InvalidSpec",
        message: texts.join("; "),
    };
    let mut status = standing.clone();
    status.observed_generation = generation;
    "Invalid".clone_into(&mut status.phase);
    // What was true of the world before is not known to have changed.
    let judged = conditions::merge(&standing.conditions, &[ready], generation, at_ms);
    status.conditions.retain(|old| old.type_ != ConditionType::Ready.as_str());
    status.conditions.splice(0..0, judged);
    let events = events::events(&standing, &status, &Outcome::default());
    Report { status, events }
}

/// What the status carries over, with what was recorded in this pass.
fn carried_after(observed: &Observed, outcome: &Outcome) -> crate::api::Carried {
    let recorded = outcome.done.iter().rev().find_map(|step| match step {
        Step::Record(carried) => Some(carried.clone()),
        _ => None,
    });
    recorded.unwrap_or_else(|| observed.carried.clone())
}

fn current_epoch(topology: &Topology<'_>) -> i64 {
    let epochs = topology.members.values().map(|member| member.state.current_epoch);
    i64::try_from(epochs.max().unwrap_or_default()).unwrap_or(i64::MAX)
}

fn slot_counts(topology: &Topology<'_>) -> SlotCounts {
    let members = || topology.members.values();
    let serving = members().filter(|member| member.is_serving_primary());
    let jobs = members().flat_map(|member| &member.state.migrations);
    let running = jobs.filter(|job| job.outgoing && job.state == "running");
    let slots = running.flat_map(|job| &job.slots);
    SlotCounts {
        assigned: i32::from(SLOTS - topology.unowned.len()),
        ok: serving.map(|member| i32::from(member.slots.len())).sum(),
        migrating: slots.map(|(first, last)| i32::from(*last) - i32::from(*first) + 1).sum(),
    }
}

fn count_shards(
    cluster: &ValidatedCluster,
    observed: &Observed,
    topology: &Topology<'_>,
    status: &mut RedisClusterStatus,
) {
    let sets = observed.stateful_sets.iter().filter(|set| !set.deleting);
    let existing = sets.map(|set| set.shard + 1).max().unwrap_or_default();
    let highest = existing.max(cluster.shards);
    let shards: Vec<ShardStatus> =
        (0..highest).map(|shard| describe_shard(cluster, topology, shard)).collect();
    let sets = observed.stateful_sets.iter().filter(|set| !set.deleting);
    status.shards = i32::try_from(sets.count()).unwrap_or(i32::MAX);
    let serving = shards.iter().filter(|shard| shard.slot_count > 0 && shard.health != "Down");
    status.ready_shards = serving.count() as i32;
    status.shards_ready = format!("{}/{}", status.ready_shards, cluster.shards);
    status.nodes = i32::try_from(observed.pods.len()).unwrap_or(i32::MAX);
    let ready = topology.members.values().filter(|member| is_ready(topology, member));
    status.ready_nodes = ready.count() as i32;
    let wished = u32::from(cluster.shards) * (u32::from(cluster.replicas_per_shard) + 1);
    status.nodes_ready = format!("{}/{wished}", status.ready_nodes);
    status.shard_status = shards.into_iter().take(usize::from(SHARDS_NAMED_MAX)).collect();
}

/// It has joined, and has what it shall have.
fn is_ready(topology: &Topology<'_>, member: &Member<'_>) -> bool {
    let has_joined = topology.members.len() == 1 || !member.peers.is_empty();
    let is_whole = match member.primary_id {
        Some(_) => member.is_synced(),
        None => !member.slots.is_empty(),
    };
    member.is_ready() && member.pod.ready && has_joined && is_whole
}

fn describe_shard(cluster: &ValidatedCluster, topology: &Topology<'_>, shard: u16) -> ShardStatus {
    let mut status = ShardStatus { id: i32::from(shard), ..ShardStatus::default() };
    let leader = match topology.leader(shard) {
        Leader::Member(leader) => leader,
        Leader::Absent => {
            "Down".clone_into(&mut status.health);
            return status;
        }
        Leader::Nobody => {
            "Joining".clone_into(&mut status.health);
            return status;
        }
    };
    status.primary.clone_from(&leader.pod.name);
    status.primary_node_id = leader.id.to_string();
    status.slot_ranges = slots_text(&leader.slots);
    status.slot_count = i32::from(leader.slots.len());
    status.keys = i64::try_from(leader.state.keys).unwrap_or(i64::MAX);
    status.used_bytes = i64::try_from(leader.state.used_bytes).unwrap_or(i64::MAX);
    let mut replicas: Vec<_> = topology.replicas_of(leader.id).collect();
    replicas.sort_by_key(|replica| (replica.pod.shard, replica.pod.ordinal));
    let synced = replicas.iter().filter(|replica| replica.is_synced()).count();
    let health = match synced {
        _ if !leader.is_serving_primary() => "Down",
        _ if shard >= cluster.shards => "Draining",
        _ if leader.slots.is_empty() => "Joining",
        0 if cluster.replicas_per_shard > 0 && replicas.is_empty() => "NoReplica",
        count if count < usize::from(cluster.replicas_per_shard) => "Syncing",
        _ => "Ok",
    };
    health.clone_into(&mut status.health);
    status.replicas = replicas
        .into_iter()
        .take(8)
        .map(|replica| ReplicaStatus {
            pod: replica.pod.name.clone(),
            node_id: replica.id.to_string(),
            synced: replica.is_synced(),
        })
        .collect();
    status
}

fn describe_revisions(
    cluster: &ValidatedCluster,
    observed: &Observed,
    status: &mut RedisClusterStatus,
) {
    let Ok(cluster_id) = status.cluster_id.parse() else { return };
    status.target_revision = revision(cluster, cluster_id);
    let first = observed.pods.first().map(|pod| pod.revision.clone()).unwrap_or_default();
    if observed.pods.iter().all(|pod| pod.revision == first) {
        status.current_revision = first;
    }
}

fn operation(facts: &Facts<'_, '_>, plan: &Plan, outcome: &Outcome) -> Option<Operation> {
    let kind = facts.operation_kind()?;
    let waited = plan.waiting_on.first().map(|waiting| waiting.to_string());
    let step = waited.or_else(|| plan.steps.first().map(ToString::to_string));
    let mut last_error = String::new();
    if let Some((step, error)) = outcome.failed.first() {
        let _ = write!(last_error, "failed to {step}: {error}");
    }
    Some(Operation {
        kind: kind.to_owned(),
        step: step.unwrap_or_default(),
        progress: facts.progress(),
        last_error,
    })
}

/// Keys and bytes change with every command; they alone are no reason to write.
fn keep_lively_figures(standing: &RedisClusterStatus, status: &mut RedisClusterStatus) {
    let mut kept = status.clone();
    for shard in &mut kept.shard_status {
        let old = standing.shard_status.iter().find(|old| old.id == shard.id);
        if let Some(old) = old {
            shard.keys = old.keys;
            shard.used_bytes = old.used_bytes;
        }
    }
    if kept == *standing {
        *status = kept;
    }
}

#[cfg(test)]
mod tests;
