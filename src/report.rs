//! What to tell the user: status, conditions and events, as a pure function.
//!
//! Not known here: how a status is written, and what was written before, but for the times at
//! which conditions turned.

use crate::api::{RedisCluster, RedisClusterStatus};
use crate::observed::Observed;
use crate::plan::{Plan, Step};
use crate::validate::{InvalidSpec, ValidatedCluster};

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

/// Reports on an object whose wish makes sense.
pub fn report(
    object: &RedisCluster,
    cluster: &ValidatedCluster,
    observed: &Observed,
    plan: &Plan,
    outcome: &Outcome,
) -> Report {
    let _ = (object, cluster, observed, plan, outcome);
    Report { status: RedisClusterStatus::default(), events: Vec::new() }
}

/// Reports on an object whose wish does not make sense; nothing else is done about it.
pub fn report_invalid(object: &RedisCluster, at_ms: i64, errors: &[InvalidSpec]) -> Report {
    let _ = (object, at_ms, errors);
    Report { status: RedisClusterStatus::default(), events: Vec::new() }
}
