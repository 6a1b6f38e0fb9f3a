//! Act: carries out the steps of a plan, and decides nothing.
//!
//! A step is first put into words (`effect.rs`, pure), then each effect goes through
//! [`perform`], the one narrow place between the operator and the world:
//!
//!   Step ──in_words──> Effect ──perform──> API server (`kube.rs`) or node (`nodes.rs`)
//!
//! Nothing passes once the right to lead has run out. The steps of a plan do not depend on each
//! other, so a failed one does not stop the rest; with one exception, a record that must be
//! durable before anything is built on it. A node that did not answer one order is not asked for
//! more in the same pass.
//! Not known here: why a step was planned, and what its failure means.

pub mod effect;
mod events;
mod kube;
mod nodes;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::kube::ResourceExt;
use futures::stream::{self, StreamExt};

use crate::api::{Carried, RedisClusterStatus};
use crate::controller::LeaseError;
use crate::link::LinkError;
use crate::metrics::EffectLabels;
use crate::observe::Seen;
use crate::plan::{Plan, Step};
use crate::report::{Outcome, Report};
use crate::world::World;
use effect::Effect;
pub use events::Events;

/// Why an effect did not happen, or may not have happened.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The Lease may be somebody else's by now.
    #[error("the right to lead has run out")]
    NotLeading,
    /// The API server refused, or its answer did not come.
    #[error("failed to {what}: {source}")]
    Api {
        /// The effect in words.
        what: String,
        /// What the API server or the connection said.
        #[source]
        source: Box<::kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("failed to {what}: no answer in time")]
    Deadline {
        /// The effect in words.
        what: String,
    },
    /// A node refused, or its answer did not come.
    #[error("failed to {what}: {source}")]
    Node {
        /// The effect in words.
        what: String,
        /// What the node or the connection said.
        #[source]
        source: LinkError,
    },
    /// The fencing token could not be raised above one that a node has seen.
    #[error("failed to {what}: {source}")]
    Token {
        /// The effect in words.
        what: String,
        /// What became of the Lease.
        #[source]
        source: LeaseError,
    },
    /// The pod that the effect is meant for is not among those observed, or has no address.
    #[error("failed to {what}: no address, or no password for its control port")]
    Unreachable {
        /// The effect in words.
        what: String,
    },
    /// The system gave no random bytes.
    #[error("failed to {what}: no random bytes: {reason}")]
    NoRandomness {
        /// The effect in words.
        what: String,
        /// What the system said.
        reason: String,
    },
}

impl ActError {
    /// Why, for whoever says what failed himself.
    fn cause(&self) -> String {
        match self {
            Self::Api { source, .. } => source.to_string(),
            Self::Node { source, .. } => source.to_string(),
            Self::Token { source, .. } => source.to_string(),
            Self::Deadline { .. } => "no answer in time".to_owned(),
            Self::Unreachable { .. } => {
                "no address, or no password for its control port".to_owned()
            }
            Self::NoRandomness { reason, .. } => format!("no random bytes: {reason}"),
            Self::NotLeading => self.to_string(),
        }
    }
}

/// Shortest time between two statuses that differ only in figures.
const FIGURES_EVERY: Duration = Duration::from_secs(1);

/// Nodes that are spoken with at the same time.
const NODES_AT_ONCE: usize = 64;

/// When a cluster's status was last written, and whether there is more to tell.
#[derive(Debug, Default)]
pub struct Told {
    at: Option<Instant>,
    /// Figures have changed since; the next pass shall come soon.
    pub pending: bool,
}

/// Carries out a plan: what is for the API server in order, what is for nodes at the same time.
pub async fn act(world: &World, seen: &Seen, plan: &Plan) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rest = plan.steps.as_slice();
    while let Some(first) = rest.first() {
        let for_nodes = rest.iter().take_while(|step| effect::is_for_nodes(step)).count();
        let (batch, later) = rest.split_at(for_nodes.max(1));
        rest = later;
        let failures = carry_out(world, seen, batch).await;
        for (step, failures) in batch.iter().zip(failures) {
            match failures {
                None => outcome.done.push(step.clone()),
                Some(why) => outcome.failed.push((step.clone(), why)),
            }
        }
        if matches!(first, Step::Record(_)) && !outcome.failed.is_empty() {
            break;
        }
    }
    outcome
}

/// Carries out steps at the same time; each node hears what is for it in order. Gives for each
/// step why it failed.
async fn carry_out(world: &World, seen: &Seen, steps: &[Step]) -> Vec<Option<String>> {
    let mut by_pod: BTreeMap<Option<String>, Vec<(usize, Effect)>> = BTreeMap::new();
    let mut tried = vec![0; steps.len()];
    for (index, step) in steps.iter().enumerate() {
        for effect in effect::in_words(step, &seen.object) {
            tried[index] += 1;
            by_pod.entry(effect.pod()).or_default().push((index, effect));
        }
    }
    let told = by_pod.into_values().map(|effects| tell_one(world, seen, effects));
    let told: Vec<_> = stream::iter(told).buffer_unordered(NODES_AT_ONCE).collect().await;
    let mut failures: Vec<Vec<String>> = vec![Vec::new(); steps.len()];
    for (index, why) in told.into_iter().flatten() {
        failures[index].push(why);
    }
    let outcome = steps.iter().zip(tried).zip(failures).map(|((step, tried), failures)| {
        // Of those who are told of a death, one who heard it is enough: they tell each other.
        let some_heard = matches!(step, Step::DeclareDead { .. }) && failures.len() < tried;
        (!failures.is_empty() && !some_heard).then(|| failures.join("; "))
    });
    outcome.collect()
}

/// Performs the effects on one node, or on the API server, in order. A node that does not answer
/// one is not asked for the rest. Gives what failed, by the index of its step.
async fn tell_one(
    world: &World,
    seen: &Seen,
    effects: Vec<(usize, Effect)>,
) -> Vec<(usize, String)> {
    let mut failed = Vec::new();
    let mut is_dumb = false;
    for (index, effect) in effects {
        if is_dumb {
            failed.push((index, "the node did not answer just now".to_owned()));
            continue;
        }
        if let Err(e) = perform(world, seen, &effect).await {
            is_dumb = matches!(
                &e,
                ActError::Node { source: LinkError::Deadline(_) | LinkError::Broken { .. }, .. }
            );
            failed.push((index, e.cause()));
        }
    }
    failed
}

/// Tells what a report says: the status where it differs from the one that stands, and events.
///
/// # Errors
/// When the status could not be written. A lost event changes nothing and is only logged.
pub async fn tell(
    world: &World,
    seen: &Seen,
    done: &[Step],
    report: Report,
    told: &mut Told,
) -> Result<(), ActError> {
    let mut status = report.status;
    keep_recorded(&mut status, done);
    for event in report.events {
        if let Err(e) = perform(world, seen, &Effect::Publish(event)).await {
            tracing::warn!(error = %e, "An event could not be published.");
        }
    }
    let stands =
        world.shelves.clusters.get(&seen.key, &seen.key.name).unwrap_or(seen.object.clone());
    told.pending = !is_worth_telling(stands.status.as_ref(), &status, told.at);
    if told.pending || stands.status.as_ref() == Some(&status) {
        return Ok(());
    }
    told.at = Some(Instant::now());
    perform(world, seen, &Effect::Status(Box::new(status))).await
}

/// Figures that move (lag, keys, bytes, progress) are told once a second; a condition that turns
/// is told at once. What is as it stands is never told again.
fn is_worth_telling(
    stands: Option<&RedisClusterStatus>,
    status: &RedisClusterStatus,
    last_at: Option<Instant>,
) -> bool {
    let Some(stands) = stands else { return true };
    let turned = stands.conditions.len() != status.conditions.len()
        || stands.conditions.iter().zip(&status.conditions).any(|(old, new)| {
            (&old.type_, &old.status, &old.reason) != (&new.type_, &new.status, &new.reason)
        });
    turned
        || stands == status
        || stands.phase != status.phase
        || Carried::from_status(Some(stands)) != Carried::from_status(Some(status))
        || last_at.is_none_or(|at| at.elapsed() >= FIGURES_EVERY)
}

/// What was made durable in this pass must not be undone by a report on facts from before it.
fn keep_recorded(status: &mut RedisClusterStatus, done: &[Step]) {
    let recorded = done.iter().filter_map(|step| match step {
        Step::Record(carried) => Some(carried),
        _ => None,
    });
    for carried in recorded {
        effect::record(status, carried);
    }
}

/// The one place through which every effect on the world goes.
async fn perform(world: &World, seen: &Seen, effect: &Effect) -> Result<(), ActError> {
    let result = if world.leadership.is_valid() {
        match effect {
            Effect::Order(order) => nodes::order(world, seen, order).await,
            other => kube::perform(world, seen, other).await,
        }
    } else {
        Err(ActError::NotLeading)
    };
    let namespace = seen.object.namespace().unwrap_or_default();
    let cluster = seen.object.name_any();
    match (&result, effect) {
        (Ok(()), Effect::Status(_) | Effect::Publish(_)) => {
            tracing::debug!(namespace, cluster, "Done: {}.", effect.in_prose());
        }
        (Ok(()), _) => tracing::info!(namespace, cluster, "Done: {}.", effect.in_prose()),
        (Err(e), _) => tracing::warn!(namespace, cluster, error = %e, "An effect failed."),
    }
    let labels = EffectLabels {
        effect: effect.name().to_owned(),
        result: if result.is_ok() { "ok" } else { "error" }.to_owned(),
    };
    world.metrics.effects.get_or_create(&labels).inc();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Operation, SlotCounts};

    fn status(phase: &str, migrating: i32) -> RedisClusterStatus {
        let slots = SlotCounts { migrating, ..SlotCounts::default() };
        RedisClusterStatus { phase: phase.into(), slots, ..RedisClusterStatus::default() }
    }

    #[test]
    fn figures_wait_for_their_second_and_a_change_of_phase_does_not() {
        let just_now = Some(Instant::now());
        let long_ago = Instant::now().checked_sub(2 * FIGURES_EVERY);
        let stands = status("Scaling", 100);
        assert!(!is_worth_telling(Some(&stands), &status("Scaling", 90), just_now));
        assert!(is_worth_telling(Some(&stands), &status("Scaling", 90), long_ago));
        assert!(is_worth_telling(Some(&stands), &status("Ready", 0), just_now));
        assert!(is_worth_telling(None, &stands, just_now));
    }

    #[test]
    fn what_was_recorded_in_a_pass_outlives_the_report_of_that_pass() {
        let carried = Carried { cluster_id: Some("id".into()), ..Carried::default() };
        let done = vec![Step::Record(carried)];
        let mut reported = status("Creating", 0);
        reported.operation = Some(Operation::default());
        keep_recorded(&mut reported, &done);
        assert_eq!(reported.cluster_id, "id");
        assert!(reported.operation.is_some());
    }
}
