//! Observe: one pass over the world, facts only, with their age.
//!
//! Objects come from the watches' copy (`watch.rs`), Secrets and Kubernetes nodes by name
//! (`kube.rs`), the nodes' own views by asking all of them at once (`nodes.rs`). What must outlive
//! a pass, such as since when a node is silent, is in [`Memory`] (`memory.rs`); an operator that
//! starts anew starts with an empty one, so it may only ever make the operator slower, not bolder.
//!
//! Not known here: the wish, and what any fact means.

mod kube;
mod memory;
mod nodes;
mod reading;
pub mod watch;

pub use memory::Memory;
pub use nodes::endpoint;

use std::sync::Arc;

use ::kube::ResourceExt;

use crate::api::{Carried, FINALIZER, RedisCluster};
use crate::observed::{NodeView, Observed, PodFact};
use crate::resources::SecretPurpose;
use crate::world::{World, now_ms};
use watch::ClusterKey;

/// What came of a pass.
pub struct Seen {
    /// Which cluster.
    pub key: ClusterKey,
    /// The object, with its wish and its last status.
    pub object: Arc<RedisCluster>,
    /// The facts.
    pub observed: Observed,
    /// Password of the nodes' control ports; `None` until its Secret is there.
    pub control_password: Option<String>,
}

impl Seen {
    /// The highest fencing token that a node has seen.
    pub fn highest_token(&self) -> u64 {
        let states = self.observed.pods.iter().filter_map(|pod| pod.view.state());
        states.map(|state| state.fence_token).max().unwrap_or(0)
    }

    /// Nodes that did not answer.
    pub fn silent_nodes(&self) -> i64 {
        let silent = |pod: &&PodFact| matches!(pod.view, NodeView::Silent { .. });
        i64::try_from(self.observed.pods.iter().filter(silent).count()).unwrap_or(i64::MAX)
    }
}

/// Why there is nothing to plan on.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The API server did not tell what is needed.
    #[error("failed to read {what}: {source}")]
    Api {
        /// What was asked for.
        what: String,
        /// What the API server or the connection said.
        #[source]
        source: Box<::kube::Error>,
    },
    /// The API server did not answer.
    #[error("failed to read {what}: no answer in time")]
    Deadline {
        /// What was asked for.
        what: String,
    },
}

/// Looks at everything that belongs to a cluster. `None` when there is no such object.
///
/// # Errors
/// When the API server cannot be asked; silent nodes are no error but a fact.
pub async fn observe(
    world: &World,
    key: &ClusterKey,
    memory: &mut Memory,
) -> Result<Option<Seen>, ObserveError> {
    let Some(object) = world.shelves.clusters.get(key, &key.name) else { return Ok(None) };
    let mut observed = Observed {
        at_ms: now_ms(),
        carried: Carried::from_status(object.status.as_ref()),
        deleting: object.metadata.deletion_timestamp.is_some(),
        has_finalizer: object.finalizers().iter().any(|f| f == FINALIZER),
        stateful_sets: kube::stateful_sets(&world.shelves, key),
        pods: kube::pods(&world.shelves, key),
        volumes: kube::volumes(&world.shelves, key),
        objects: kube::objects(&world.shelves, key),
        ..Observed::default()
    };
    let passwords = kube::secrets(world, key, memory).await?;
    let control_password = passwords.of(SecretPurpose::Internal);
    observed.objects.extend(passwords.facts);
    observed.objects.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    if let Some(password) = &control_password {
        nodes::ask_all(world, key, &mut observed.pods, password, memory).await;
    }
    let ended = kube::ended_pods(&world.shelves, key);
    memory.digest(&mut observed, ended);
    observed.machines = kube::machines(world, &observed).await;
    Ok(Some(Seen { key: key.clone(), object, observed, control_password }))
}
