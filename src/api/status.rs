//! The report: `status` of a `RedisCluster`.
//!
//! A report, never an input, but for [`Carried`]: three values that must outlive an observation.
//! Not known here: how any of it is found out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator reports.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisClusterStatus {
    /// The generation of the object that this status speaks of.
    pub observed_generation: i64,
    /// One word for people: Creating, Ready, Scaling, Updating, Healing, Degraded, Blocked,
    /// Paused, Deleting or Invalid.
    pub phase: String,
    /// Shards that exist.
    pub shards: i32,
    /// Shards with a primary that serves.
    pub ready_shards: i32,
    /// Shards ready and wished, as `3/3`.
    pub shards_ready: String,
    /// Pods that exist.
    pub nodes: i32,
    /// Nodes that answer, have joined and are in sync.
    pub ready_nodes: i32,
    /// Nodes ready and wished, as `6/6`.
    pub nodes_ready: String,
    /// Label selector that matches the primaries' pods, for a HorizontalPodAutoscaler.
    pub selector: String,
    /// Identity of the cluster, 40 hexadecimal digits: nodes of two clusters never join.
    pub cluster_id: String,
    /// True once all slots had an owner: from then on a slot without one is a loss, not a
    /// beginning.
    pub formed: bool,
    /// Version of the operator's templates that this cluster's pods are made by.
    pub template_version: i32,
    /// Highest epoch of the cluster.
    pub current_epoch: i64,
    /// Revision that every pod has; empty while they differ.
    pub current_revision: String,
    /// Revision that every pod shall have.
    pub target_revision: String,
    /// Slots by what they are.
    pub slots: SlotCounts,
    /// Each shard; at most the first hundred.
    #[schemars(length(max = 100))]
    pub shard_status: Vec<ShardStatus>,
    /// What the operator is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Where clients connect to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// Conditions with documented reasons; see docs/conditions.md.
    #[schemars(length(max = 32))]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"]
    ))]
    pub conditions: Vec<Condition>,
}

/// The values of a status that are read back: they must outlive an observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Identity of the cluster; `None` until one was decided.
    pub cluster_id: Option<String>,
    /// Version of the templates; `None` until pods were made.
    pub template_version: Option<u32>,
    /// All slots had an owner once.
    pub formed: bool,
}

impl Carried {
    /// Reads them from a status; an absent status carries nothing.
    pub fn from_status(status: Option<&RedisClusterStatus>) -> Self {
        let Some(status) = status else { return Self::default() };
        Self {
            cluster_id: Some(status.cluster_id.clone()).filter(|id| !id.is_empty()),
            template_version: u32::try_from(status.template_version).ok().filter(|v| *v > 0),
            formed: status.formed,
        }
    }
}

/// Slots by what they are.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SlotCounts {
    /// Slots with an owner, of 16384.
    pub assigned: i32,
    /// Slots whose owner answers and serves.
    pub ok: i32,
    /// Slots in a running migration.
    pub migrating: i32,
}

/// One shard.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ShardStatus {
    /// Number of the shard, from 0.
    pub id: i32,
    /// Pod of the primary; empty when there is none.
    pub primary: String,
    /// Node id of the primary; empty when there is none.
    pub primary_node_id: String,
    /// The replicas.
    #[schemars(length(max = 8))]
    pub replicas: Vec<ReplicaStatus>,
    /// Slots as text, for example `0-5460`.
    pub slot_ranges: String,
    /// Number of slots.
    pub slot_count: i32,
    /// Keys of the primary.
    pub keys: i64,
    /// Bytes of memory that the primary's data set uses.
    pub used_bytes: i64,
    /// One word: Ok, NoReplica, Syncing, Failing, Draining, Joining or Down.
    pub health: String,
}

/// One replica.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaStatus {
    /// Its pod.
    pub pod: String,
    /// Its node id.
    pub node_id: String,
    /// True when the link to the primary is up and the full sync is complete.
    pub synced: bool,
}

/// What the operator is at.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// One word: Create, ScaleOut, ScaleIn, Rebalance, Replicas, Update, Failover or Repair.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is being done or waited for, in a sentence.
    pub step: String,
    /// How far, as `42%`; empty where it is not known.
    pub progress: String,
    /// Why the last attempt failed; empty when it did not.
    pub last_error: String,
}

/// Where clients connect to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// Name and port of the client Service.
    pub service: String,
    /// Secret with the default user's password, in the key `password`.
    pub password_secret: String,
}
