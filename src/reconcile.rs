//! Reconcile: the five calls.
//!
//! observe -> validate -> plan -> act -> report. Not known here: what any of them does, and when
//! the next pass comes (`controller/clusters.rs`).

use crate::act::{self, ActError, Told};
use crate::observe::watch::ClusterKey;
use crate::observe::{self, Memory, ObserveError};
use crate::plan::{Plan, plan};
use crate::report::{report, report_invalid};
use crate::validate::validate;
use crate::world::World;

/// Why a pass ended early. What was done until then stays; the next pass goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The world could not be looked at.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The status could not be written.
    #[error(transparent)]
    Report(#[from] ActError),
}

/// What a pass came to.
#[derive(Debug, Default)]
pub struct Pass {
    /// Nodes that did not answer.
    pub silent_nodes: i64,
    /// What was planned.
    pub plan: Plan,
}

/// One pass over one cluster; `None` when there is no such object.
pub async fn reconcile(
    world: &World,
    key: &ClusterKey,
    memory: &mut Memory,
    told: &mut Told,
) -> Result<Option<Pass>, ReconcileError> {
    let Some(seen) = observe::observe(world, key, memory).await? else { return Ok(None) };
    let validated = match world.shelves.fault_of(key) {
        Some(fault) => Err(vec![fault]),
        None => validate(&seen.object, &world.defaults),
    };
    let cluster = match validated {
        Ok(cluster) => cluster,
        Err(errors) => {
            let reported = report_invalid(&seen.object, seen.observed.at_ms, &errors);
            act::tell(world, &seen, &[], reported, told).await?;
            return Ok(Some(Pass::default()));
        }
    };
    let plan = plan(&cluster, &seen.observed);
    let outcome = act::act(world, &seen, &plan).await;
    let reported = report(&seen.object, &cluster, &seen.observed, &plan, &outcome);
    act::tell(world, &seen, &outcome.done, reported, told).await?;
    Ok(Some(Pass { silent_nodes: seen.silent_nodes(), plan }))
}
