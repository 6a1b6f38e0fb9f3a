//! Events: one for each step that a person would ask about, and one for each turn of a condition
//! that somebody should look at. Texts hold nothing that changes from one repetition to the next,
//! so that Kubernetes can count them instead of listing them.

use super::Outcome;
use crate::api::RedisClusterStatus;
use crate::api::conditions::ConditionType;
use crate::plan::{FailoverMode, Step, slots_text};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// True for `Warning`, false for `Normal`.
    pub warning: bool,
    /// One word, for example `FailoverOrdered`.
    pub reason: String,
    /// A sentence.
    pub note: String,
}

fn note(warning: bool, reason: &str, note: String) -> EventNote {
    EventNote { warning, reason: reason.to_owned(), note }
}

pub(super) fn events(
    standing: &RedisClusterStatus,
    status: &RedisClusterStatus,
    outcome: &Outcome,
) -> Vec<EventNote> {
    let mut events: Vec<_> = outcome.done.iter().filter_map(of_step).collect();
    events.extend(
        outcome
            .failed
            .iter()
            .map(|(step, error)| note(true, "StepFailed", format!("failed to {step}: {error}"))),
    );
    events.extend(of_conditions(standing, status));
    events.dedup();
    events
}

fn of_step(step: &Step) -> Option<EventNote> {
    Some(match step {
        Step::DeclareDead { node_id, evidence, .. } => {
            note(true, "PrimaryDead", format!("told the nodes that {node_id} is dead: {evidence}"))
        }
        Step::Failover { on, mode, primary_id, .. } => {
            let text = format!("ordered {} to take over from {primary_id}", on.pod);
            match mode {
                FailoverMode::Graceful => note(false, "HandOverOrdered", text),
                FailoverMode::Force => note(true, "FailoverOrdered", text),
                FailoverMode::Takeover => note(true, "TakeoverOrdered", text),
            }
        }
        Step::DeletePod { name, why, .. } => {
            note(false, "PodReplaced", format!("deleted pod {name}: {why}"))
        }
        Step::DeleteStatefulSet { name, .. } => {
            note(false, "ShardRemoved", format!("deleted StatefulSet {name}"))
        }
        Step::DeleteVolume { name, .. } => {
            note(false, "VolumeDeleted", format!("deleted volume claim {name}"))
        }
        Step::Forget { node_id, .. } => {
            note(false, "NodeForgotten", format!("the nodes forget {node_id}, which is gone"))
        }
        Step::MigrateSlots { source, target, .. } => {
            note(false, "SlotsMoving", format!("slots move from {} to {target}", source.pod))
        }
        Step::CancelMigrations { source } => {
            note(false, "MigrationCancelled", format!("{} stops giving slots", source.pod))
        }
        Step::GiveUp { node_id, .. } => note(
            true,
            "CopiesLost",
            format!("{node_id} is dead and no copy of its slots is left; they come back empty"),
        ),
        Step::FreeSlots { node_id, .. } => note(
            true,
            "CopiesLost",
            format!("{node_id} is lame and no copy of its slots is left; they come back empty"),
        ),
        Step::AddSlots { on, slots, lost: true } => {
            let slots = slots_text(slots);
            note(true, "DataLost", format!("{} got slots {slots} empty: no copy is left", on.pod))
        }
        Step::AddSlots { on, .. } => {
            note(false, "SlotsAssigned", format!("{} got slots that had no owner", on.pod))
        }
        _ => return None,
    })
}

/// Turns that somebody should look at, and the good news.
fn of_conditions(standing: &RedisClusterStatus, status: &RedisClusterStatus) -> Vec<EventNote> {
    let mut events = Vec::new();
    for condition in &status.conditions {
        let before = standing.conditions.iter().find(|old| old.type_ == condition.type_);
        if before
            .is_some_and(|old| old.status == condition.status && old.reason == condition.reason)
        {
            continue;
        }
        let holds = condition.status == "True";
        let is = |kind: ConditionType| condition.type_ == kind.as_str();
        let is_alarm = is(ConditionType::DataLossRisk) || is(ConditionType::UpdateBlocked);
        if is_alarm && holds {
            events.push(note(true, &condition.reason, condition.message.clone()));
        } else if is(ConditionType::Ready) && condition.reason == "InvalidSpec" {
            events.push(note(true, "InvalidSpec", condition.message.clone()));
        } else if is(ConditionType::Ready) && holds {
            events.push(note(false, "Ready", "the cluster is as wished".to_owned()));
        }
    }
    events
}
