//! Reconcile: the five calls.
//!
//! observe -> validate -> plan -> act -> report. Not known here: what any of them does, and when
//! the next pass comes (`controller/clusters.rs`).

use crate::act::{self, ActError, Told};
use crate::controller::LeaseError;
use crate::observe::watch::ClusterKey;
use crate::observe::{self, Memory, ObserveError};
use crate::plan::{Plan, plan};
use crate::report::{Outcome, report, report_invalid};
use crate::validate::validate;
use crate::world::World;

/// Why a pass ended early. What was done until then stays; the next pass goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The world could not be looked at.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The fencing token could not be raised above one that a node has seen.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The status could not be written.
    #[error(transparent)]
    Report(#[from] ActError),
}

/// What a pass came to.
#[derive(Debug, Default)]
pub struct Pass {
    /// The object is gone: there will be no next pass.
    pub gone: bool,
    /// Nodes that did not answer.
    pub silent_nodes: i64,
    /// What was planned.
    pub plan: Plan,
    /// What became of it.
    pub outcome: Outcome,
}

/// One pass over one cluster.
pub async fn reconcile(
    world: &World,
    key: &ClusterKey,
    memory: &mut Memory,
    told: &mut Told,
) -> Result<Pass, ReconcileError> {
    let Some(seen) = observe::observe(world, key, memory).await? else {
        return Ok(Pass { gone: true, ..Pass::default() });
    };
    world.leadership.raise_above(seen.highest_token()).await?;
    let (reported, pass) = match validate(&seen.object, &world.defaults) {
        Err(errors) => {
            (report_invalid(&seen.object, seen.observed.at_ms, &errors), Pass::default())
        }
        Ok(cluster) => {
            let plan = plan(&cluster, &seen.observed);
            let outcome = act::act(world, &seen, &plan).await;
            let reported = report(&seen.object, &cluster, &seen.observed, &plan, &outcome);
            (reported, Pass { gone: false, silent_nodes: seen.silent_nodes(), plan, outcome })
        }
    };
    act::tell(world, &seen, &pass.outcome, reported, told).await?;
    Ok(pass)
}
