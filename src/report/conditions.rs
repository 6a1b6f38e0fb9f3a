//! Each condition: does it hold, why, and since when.
//!
//! Messages name pods and shards but no figures that change by themselves. The reasons are
//! listed in docs/conditions.md.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::Outcome;
use super::agreement::first_difference;
use crate::api::conditions::ConditionType;
use crate::observed::Observed;
use crate::plan::topology::{Leader, Topology};
use crate::plan::{FailoverMode, Plan, Step, Waiting, WaitingFor};
use crate::validate::ValidatedCluster;

/// One condition's verdict.
pub(super) struct Verdict {
    pub(super) kind: ConditionType,
    pub(super) holds: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What the conditions are judged by.
pub(super) struct Facts<'f, 'a> {
    cluster: &'f ValidatedCluster,
    observed: &'f Observed,
    plan: &'f Plan,
    topology: &'f Topology<'a>,
    formed: bool,
    /// What keeps the cluster from being ready; `None` when nothing does.
    difference: Option<String>,
}

impl<'f, 'a> Facts<'f, 'a> {
    pub(super) fn new(
        cluster: &'f ValidatedCluster,
        observed: &'f Observed,
        plan: &'f Plan,
        outcome: &Outcome,
        topology: &'f Topology<'a>,
        formed: bool,
    ) -> Self {
        let difference = first_difference(cluster, observed, topology)
            .or_else(|| plan.waiting_on.first().map(ToString::to_string))
            .or_else(|| outcome.failed.first().map(|(step, _)| format!("failed to {step}")))
            .or_else(|| plan.steps.first().map(|step| format!("next: {step}")));
        Self { cluster, observed, plan, topology, formed, difference }
    }

    /// All conditions, with the times at which they turned.
    pub(super) fn conditions(&self, standing: &[Condition]) -> Vec<Condition> {
        let verdicts: Vec<Verdict> =
            ConditionType::ALL.iter().map(|kind| self.judge(*kind)).collect();
        merge(standing, &verdicts, self.cluster.generation, self.observed.at_ms)
    }

    fn judge(&self, kind: ConditionType) -> Verdict {
        let (holds, reason, message) = match kind {
            ConditionType::Ready => self.ready(),
            ConditionType::Available => self.available(),
            ConditionType::Progressing => self.progressing(),
            ConditionType::Degraded => self.degraded(),
            ConditionType::SlotsCovered => self.slots_covered(),
            ConditionType::TopologyConverged => self.topology_converged(),
            ConditionType::Rebalancing => self.moving(false),
            ConditionType::Draining => self.moving(true),
            ConditionType::UpdateBlocked => self.update_blocked(),
            ConditionType::NoRedundancy => self.no_redundancy(),
            ConditionType::DataLossRisk => self.data_loss_risk(),
            ConditionType::QuorumSize => self.quorum_size(),
            ConditionType::Paused => self.paused(),
        };
        Verdict { kind, holds, reason, message }
    }

    fn waiting(&self, reasons: &[WaitingFor]) -> Option<&'f Waiting> {
        self.plan.waiting_on.iter().find(|waiting| reasons.contains(&waiting.reason))
    }

    fn ready(&self) -> Judgement {
        match &self.difference {
            None => yes("AllViewsAgree", "every node's own view is as wished"),
            Some(difference) => {
                let blocked = self.waiting(NEEDS_A_PERSON).is_some();
                let reason = if blocked { "Blocked" } else { "NotConverged" };
                (false, reason, difference.clone())
            }
        }
    }

    fn available(&self) -> Judgement {
        if self.topology.is_covered() {
            yes("AllSlotsServed", "every slot is served")
        } else {
            no("SlotsNotServed", "some slots are not served")
        }
    }

    fn progressing(&self) -> Judgement {
        let is_under_way = !self.plan.steps.is_empty()
            || self.plan.waiting_on.iter().any(|waiting| !NEEDS_A_PERSON.contains(&waiting.reason));
        match self.operation_kind().filter(|_| is_under_way) {
            Some(kind) => (true, kind, self.difference.clone().unwrap_or_default()),
            None => no("AtRest", "nothing is being changed"),
        }
    }

    fn degraded(&self) -> Judgement {
        if !self.formed {
            return no("NotFormed", "the cluster is being created");
        }
        for shard in 0..self.cluster.shards {
            let name = crate::resources::shard_name(&self.cluster.name, shard);
            let leader = match self.topology.leader(shard) {
                Leader::Member(leader) if leader.is_serving_primary() => leader,
                Leader::Nobody => continue,
                _ => return (true, "ShardDown", format!("{name} has no primary that serves")),
            };
            let synced = self.topology.replicas_of(leader.id).filter(|replica| replica.is_synced());
            if synced.count() < usize::from(self.cluster.replicas_per_shard) {
                return (true, "ReplicaMissing", format!("{name} lacks a replica in sync"));
            }
        }
        no("AllCopiesInSync", "every shard has its primary and its replicas")
    }

    fn slots_covered(&self) -> Judgement {
        if self.topology.unowned.is_empty() {
            yes("AllSlotsOwned", "every slot has an owner")
        } else {
            (
                false,
                "SlotsWithoutOwner",
                format!("{} slots have no owner", self.topology.unowned.len()),
            )
        }
    }

    fn topology_converged(&self) -> Judgement {
        if !self.topology.foreign.is_empty() {
            return no("ForeignState", "a pod's node belongs to another cluster");
        }
        if let Some(ghost) = self.topology.heard.keys().next() {
            return (
                false,
                "NodeMissing",
                format!("the nodes speak of {ghost}, which does not answer"),
            );
        }
        let members: Vec<_> = self.topology.members.values().collect();
        let strangers = members.iter().find(|member| {
            members.iter().any(|other| other.id != member.id && !member.knows(other))
        });
        match strangers {
            Some(member) => {
                (false, "NodesUnknown", format!("{} does not know every node", member.pod.name))
            }
            None if members.is_empty() => no("NoNodes", "no node answers"),
            None => yes("NodesAgree", "all nodes know each other and nobody else"),
        }
    }

    /// Slots on the move between shards that stay, or away from shards that go.
    fn moving(&self, away: bool) -> Judgement {
        let goes = |shard: u16| shard >= self.cluster.shards;
        let planned = self.plan.steps.iter().any(|step| match step {
            Step::MigrateSlots { source, .. } => {
                let source = self.topology.members.get(&source.node_id);
                source.is_some_and(|member| goes(member.pod.shard) == away)
            }
            _ => false,
        });
        let running = self.topology.members.values().any(|member| {
            let gives =
                member.state.migrations.iter().any(|job| job.outgoing && job.state == "running");
            gives && goes(member.pod.shard) == away
        });
        let remains = away && self.observed.stateful_sets.iter().any(|set| goes(set.shard));
        match (planned || running || remains, away) {
            (true, true) => yes("ShardsGoing", "shards are emptied and removed"),
            (true, false) => yes("SlotsMoving", "slots move to even out the shards"),
            (false, true) => no("NoShardGoes", "no shard is being removed"),
            (false, false) => no("SlotsAtRest", "no slots move between shards that stay"),
        }
    }

    fn update_blocked(&self) -> Judgement {
        match self.waiting(&[WaitingFor::NoReplica]) {
            Some(waiting) => (true, "NoReplica", waiting.to_string()),
            None => no("NotBlocked", "nothing keeps pods from being replaced"),
        }
    }

    fn no_redundancy(&self) -> Judgement {
        if self.cluster.replicas_per_shard == 0 {
            yes("NoReplicasWished", "a primary that is lost has no replica to take its place")
        } else {
            no("ReplicasWished", "every primary shall have replicas")
        }
    }

    fn data_loss_risk(&self) -> Judgement {
        let waiting = |reason| self.waiting(&[reason]).map(ToString::to_string);
        if let Some(message) = waiting(WaitingFor::LostSlots) {
            return (true, "CopiesLost", message);
        }
        if let Some(message) = waiting(WaitingFor::NoRoom) {
            return (true, "NotEnoughMemory", message);
        }
        if let Some(message) = waiting(WaitingFor::ForeignState) {
            return (true, "ForeignState", message);
        }
        no("NoRisk", "nothing that goes on could lose data")
    }

    fn quorum_size(&self) -> Judgement {
        if self.cluster.shards < 3 {
            no("FewerThanThreeShards", "the nodes cannot elect; the operator promotes replicas")
        } else {
            yes("ThreeShardsOrMore", "the nodes elect by themselves")
        }
    }

    fn paused(&self) -> Judgement {
        if self.cluster.paused {
            yes("SpecPaused", "spec.paused is true: nothing is changed")
        } else {
            no("NotPaused", "the operator works")
        }
    }

    /// One word for people. A cluster is being created until it is ready for the first time.
    pub(super) fn phase(&self, standing: &str) -> &'static str {
        if self.cluster.paused {
            "Paused"
        } else if self.observed.deleting {
            "Deleting"
        } else if self.difference.is_none() {
            "Ready"
        } else if self.waiting(NEEDS_A_PERSON).is_some() {
            "Blocked"
        } else {
            match self.operation_kind() {
                Some("Create") => "Creating",
                Some("ScaleOut" | "ScaleIn" | "Rebalance") => "Scaling",
                Some("Update") => "Updating",
                Some("Repair") if matches!(standing, "" | "Creating") => "Creating",
                _ => "Healing",
            }
        }
    }

    /// What the operator is at; `None` at rest.
    pub(super) fn operation_kind(&self) -> Option<&'static str> {
        let (plan, observed) = (self.plan, self.observed);
        self.difference.as_ref().filter(|_| !self.cluster.paused)?;
        let any = |test: fn(&Step) -> bool| plan.steps.iter().any(test);
        let sets = observed.stateful_sets.iter().filter(|set| !set.deleting).count();
        let shards = usize::from(self.cluster.shards);
        let pods = self.cluster.replicas_per_shard + 1;
        let is_failing =
            any(|step| match step {
                Step::DeclareDead { .. } => true,
                Step::Failover { mode, .. } => *mode != FailoverMode::Graceful,
                _ => false,
            }) || self.waiting(&[WaitingFor::Election, WaitingFor::ProofOfDeath]).is_some();
        let has_empty_leader = (0..self.cluster.shards).any(|shard| {
            matches!(self.topology.leader(shard), Leader::Member(leader) if leader.slots.is_empty())
        });
        let is_updating = any(|step| matches!(step, Step::DeletePod { .. }))
            || self.waiting(&[WaitingFor::Update, WaitingFor::NoReplica]).is_some();
        Some(if !self.formed {
            "Create"
        } else if is_failing {
            "Failover"
        } else if sets > shards {
            "ScaleIn"
        } else if sets < shards || has_empty_leader {
            "ScaleOut"
        } else if self.moving(false).0 {
            "Rebalance"
        } else if observed.stateful_sets.iter().any(|set| set.replicas != pods) {
            "Replicas"
        } else if is_updating {
            "Update"
        } else {
            "Repair"
        })
    }

    /// How far the running moves are, by keys.
    pub(super) fn progress(&self) -> String {
        let jobs = self.topology.members.values().flat_map(|member| &member.state.migrations);
        let running: Vec<_> = jobs.filter(|job| job.outgoing && job.state == "running").collect();
        let total: u64 = running.iter().map(|job| job.keys_total).sum();
        let moved: u64 = running.iter().map(|job| job.keys_moved.min(job.keys_total)).sum();
        match (moved * 100).checked_div(total) {
            Some(percent) => format!("{percent}%"),
            None => String::new(),
        }
    }
}

/// Waiting for these is waiting for a person.
const NEEDS_A_PERSON: &[WaitingFor] = &[
    WaitingFor::ManualFailover,
    WaitingFor::LostSlots,
    WaitingFor::ForeignState,
    WaitingFor::NoReplica,
    WaitingFor::NoRoom,
    WaitingFor::Protected,
];

type Judgement = (bool, &'static str, String);

fn yes(reason: &'static str, message: &str) -> Judgement {
    (true, reason, message.to_owned())
}

fn no(reason: &'static str, message: &str) -> Judgement {
    (false, reason, message.to_owned())
}

/// Writes verdicts as conditions; one that has not turned keeps its time.
pub(super) fn merge(
    standing: &[Condition],
    verdicts: &[Verdict],
    generation: i64,
    at_ms: i64,
) -> Vec<Condition> {
    let now = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    // Kubernetes keeps whole seconds.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    verdicts
        .iter()
        .map(|verdict| {
            let status = if verdict.holds { "True" } else { "False" };
            let type_ = verdict.kind.as_str();
            let same = standing.iter().find(|old| old.type_ == type_ && old.status == status);
            Condition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: verdict.reason.to_owned(),
                message: verdict.message.clone(),
                observed_generation: Some(generation),
                last_transition_time: same
                    .map_or(Time(now), |old| old.last_transition_time.clone()),
            }
        })
        .collect()
}
