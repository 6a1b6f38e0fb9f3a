//! From an object that may be wrong to a [`ValidatedCluster`] that is not.
//!
//! The API server has checked the schema and the rules, but an object may have got past it (an
//! old definition, a rule that it does not know). Whatever the planner relies on is checked here
//! and named by its field. Not known here: the state of the world.

use std::collections::BTreeMap;

use holdfast_wire::id::ClusterId;
use k8s_openapi::api::core::v1::Toleration;

use crate::api::{
    DataLossPolicy, DeletionPolicy, NoReplica, Persistence, PullPolicy, QuorumLoss, Storage,
};

/// What the operator was started with and an object may leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Repository of the node's image.
    pub node_repository: String,
    /// Tag of the node's image.
    pub node_tag: String,
}

/// A wish without holes and contradictions.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedCluster {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Uid of the object.
    pub uid: String,
    /// Generation of the object.
    pub generation: i64,
    /// Identity that a cluster of this object gets when it has none yet: made from the uid.
    pub new_cluster_id: ClusterId,
    /// Shards.
    pub shards: u16,
    /// Replicas of each primary.
    pub replicas_per_shard: u16,
    /// Image reference.
    pub image: String,
    /// When the image is pulled.
    pub pull_policy: PullPolicy,
    /// Secrets with credentials for the registry.
    pub pull_secrets: Vec<String>,
    /// Resource requests, as Kubernetes quantities.
    pub requests: BTreeMap<String, String>,
    /// Resource limits, as Kubernetes quantities.
    pub limits: BTreeMap<String, String>,
    /// `maxmemory` in bytes; `None` for no limit.
    pub max_memory_bytes: Option<u64>,
    /// Volumes.
    pub storage: Option<Storage>,
    /// What is written to the volumes.
    pub persistence: Persistence,
    /// Engine options.
    pub config: BTreeMap<String, String>,
    /// Labels that a Kubernetes node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Budgets are wanted.
    pub budgets: bool,
    /// Bytes that a replica may lag behind at a hand-over.
    pub max_lag_bytes: u64,
    /// What an update does with a primary that has no replica.
    pub no_replica: NoReplica,
    /// Most migrations at once.
    pub max_concurrent_migrations: usize,
    /// Milliseconds of silence after which the nodes suspect a node.
    pub node_timeout_ms: u32,
    /// Who promotes when the nodes cannot elect.
    pub quorum_loss: QuorumLoss,
    /// What to do with slots when every copy is gone.
    pub data_loss_policy: DataLossPolicy,
    /// What the deletion of the object does.
    pub deletion_policy: DeletionPolicy,
    /// The operator shall change nothing.
    pub paused: bool,
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidSpec {
    /// The field's path, for example `spec.maxMemory`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Checks an object; every fault is named, not only the first.
pub fn validate(
    object: &crate::api::RedisCluster,
    defaults: &Defaults,
) -> Result<ValidatedCluster, Vec<InvalidSpec>> {
    let _ = (object, defaults);
    Err(Vec::new())
}
