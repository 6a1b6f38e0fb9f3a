//! The wish: `spec` of a `RedisCluster`.
//!
//! Every field is described with its unit and its default, since this is what `kubectl explain`
//! prints. Defaults stand in the schema, so that what `kubectl get -o yaml` shows is complete.
//! Not known here: whether a wish makes sense as a whole (`rules.rs`, `validate.rs`).

#![expect(clippy::duplicated_attributes, reason = "each printer column has a name and a type")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::RedisClusterStatus;

/// What the cluster shall be. Only `shards` is required.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "RedisCluster",
    plural = "redisclusters",
    singular = "rediscluster",
    shortname = "rdc",
    category = "all",
    namespaced,
    status = "RedisClusterStatus",
    derive = "PartialEq",
    doc = "A Redis Cluster: its shards, their replicas, and how they are kept.",
    scale(
        spec_replicas_path = ".spec.shards",
        status_replicas_path = ".status.shards",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Shards", type_ = "string", json_path = ".status.shardsReady"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.nodesReady"),
    printcolumn(name = "Slots", type_ = "integer", json_path = ".status.slots.assigned"),
    printcolumn(name = "Op", type_ = "string", json_path = ".status.operation.type"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Progress",
        type_ = "string",
        priority = 1,
        json_path = ".status.operation.progress"
    ),
    printcolumn(
        name = "Step",
        type_ = "string",
        priority = 1,
        json_path = ".status.operation.step"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RedisClusterSpec {
    /// Number of shards, each with one primary; 1 to 250. Slots are spread evenly over them.
    #[schemars(range(min = 1, max = 250))]
    pub shards: u16,
    /// Replicas of each primary; 0 to 5. With 0 a lost pod without storage is lost data, and the
    /// condition NoRedundancy says so. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 5))]
    pub replicas_per_shard: u8,
    /// The node's image. Default: the one that the operator's chart names.
    #[serde(default)]
    pub image: Image,
    /// CPU and memory of each pod, as in a container. Default: none.
    #[serde(default)]
    pub resources: Resources,
    /// Memory for the data set of each node: `auto` (75 percent of the memory limit, which must
    /// then be set), a number of bytes such as `3Gi`, or a percentage of the limit such as `60%`.
    /// Default: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<IntOrString>,
    /// A volume for each pod. Absent: the data lives and dies with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// What is written to the volume. Default: nothing.
    #[serde(default)]
    pub persistence: Persistence,
    /// Engine options by their redis.conf names, for example `maxmemory-policy: allkeys-lru`. A
    /// change restarts the nodes one by one. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub config: BTreeMap<String, IntOrString>,
    /// Where the pods may run.
    #[serde(default)]
    pub scheduling: Scheduling,
    /// Protection from voluntary disruptions such as `kubectl drain`.
    #[serde(default)]
    pub pod_disruption_budget: PodDisruptionBudgetSpec,
    /// How pods of an outdated revision are replaced.
    #[serde(default)]
    pub update: Update,
    /// How slots are moved.
    #[serde(default)]
    pub rebalance: Rebalance,
    /// How failures are found and mended.
    #[serde(default)]
    pub failover: Failover,
    /// Limits for the removal of shards.
    #[serde(default)]
    pub scale_in: ScaleIn,
    /// What to do with slots when every copy of them is gone: `Block` keeps them unassigned until
    /// somebody decides, `ReassignEmpty` hands them out empty. Default: `Block` with storage,
    /// `ReassignEmpty` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_loss_policy: Option<DataLossPolicy>,
    /// `Protect` refuses to delete the pods when the object is deleted, until it is set back to
    /// `Delete`. Default `Delete`. Volumes follow `storage.retention`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// True: the operator changes nothing, it only reports. Default false.
    #[serde(default)]
    pub paused: bool,
}

fn one() -> u8 {
    1
}

/// The node's image, by its parts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Repository without tag, for example `registry.example/holdfast/node`. Default: the chart's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub repository: Option<String>,
    /// Tag. Default: the chart's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub tag: Option<String>,
    /// Digest, `sha256:` and 64 hexadecimal digits; wins over the tag. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// `Always`, `IfNotPresent` or `Never`. Default `IfNotPresent`.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// Names of Secrets of this namespace with credentials for the registry. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub pull_secrets: Vec<String>,
}

/// When the kubelet pulls the image.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// When the machine does not have it.
    #[default]
    IfNotPresent,
    /// Never: the image must be there.
    Never,
}

/// CPU and memory of each pod.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What is reserved, for example `cpu: "1"`, `memory: 4Gi`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, IntOrString>,
    /// What may be used at most. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, IntOrString>,
}

/// How a Kubernetes quantity is written, as its API server demands it of a pod's resources.
const QUANTITY_PATTERN: &str = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";

/// A volume for each pod.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of each volume, for example `20Gi`. It cannot be changed yet.
    #[schemars(extend("pattern" = QUANTITY_PATTERN))]
    pub size: IntOrString,
    /// StorageClass. It cannot be changed. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// What becomes of the volumes of pods that are no longer wanted.
    #[serde(default)]
    pub retention: Retention,
}

/// What becomes of volumes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// When the object is deleted: `Retain` or `Delete`. Default `Retain`.
    #[serde(default = "retain")]
    pub when_deleted: RetentionPolicy,
    /// When shards or replicas are removed, after the slots have moved: `Retain` or `Delete`.
    /// Default `Delete`.
    #[serde(default = "delete")]
    pub when_scaled: RetentionPolicy,
}

impl Default for Retention {
    fn default() -> Self {
        Self { when_deleted: retain(), when_scaled: delete() }
    }
}

fn retain() -> RetentionPolicy {
    RetentionPolicy::Retain
}

fn delete() -> RetentionPolicy {
    RetentionPolicy::Delete
}

/// Keep a volume or delete it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionPolicy {
    /// The volume stays.
    Retain,
    /// The volume is deleted.
    Delete,
}

/// What is written to the volume.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// `none` or `aof` (append-only file; needs storage). Default `none`.
    #[serde(default)]
    pub mode: PersistenceMode,
    /// When the append-only file is forced to disk: `always`, `everysec` or `never` (the kernel
    /// decides; `no` in redis.conf, which YAML would take for false). Default `everysec`.
    #[serde(default)]
    pub fsync: Fsync,
}

/// What is written to the volume.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PersistenceMode {
    /// Nothing.
    #[default]
    None,
    /// Every write, in the append-only file.
    Aof,
}

/// When the append-only file is forced to disk.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// Before a write is acknowledged.
    Always,
    /// Once a second.
    #[default]
    Everysec,
    /// When the kernel wants to; `no` in redis.conf.
    Never,
}

/// Where the pods may run.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// Labels that a Kubernetes node must have. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
}

/// Protection from voluntary disruptions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodDisruptionBudgetSpec {
    /// A PodDisruptionBudget for each shard, so that an eviction takes at most one of its pods
    /// (none where there is no replica). Default true.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Default for PodDisruptionBudgetSpec {
    fn default() -> Self {
        Self { enabled: true }
    }
}

fn yes() -> bool {
    true
}

/// How pods of an outdated revision are replaced.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// Bytes that a replica may lag behind when its primary hands over to it. Default 1048576.
    #[serde(default = "one_mebibyte")]
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub max_lag_bytes: u64,
    /// A primary without a replica: `Block` leaves it as it is, `Proceed` restarts it. Default
    /// `Block`.
    #[serde(default)]
    pub no_replica: NoReplica,
}

impl Default for Update {
    fn default() -> Self {
        Self { max_lag_bytes: one_mebibyte(), no_replica: NoReplica::Block }
    }
}

fn one_mebibyte() -> u64 {
    1 << 20
}

/// What an update does with a primary that has no replica.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoReplica {
    /// Leave it as it is and say so in the condition UpdateBlocked.
    #[default]
    Block,
    /// Restart it: its shard is down meanwhile, and without storage its keys are gone.
    Proceed,
}

/// How slots are moved.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// Most moves of slots that run at once, each from another source; 1 to 16. Default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 16))]
    pub max_concurrent: u8,
}

impl Default for Rebalance {
    fn default() -> Self {
        Self { max_concurrent: two() }
    }
}

fn two() -> u8 {
    2
}

/// How failures are found and mended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// Milliseconds of silence after which the nodes suspect a node by themselves; 500 to 120000.
    /// A change restarts the nodes one by one. Default 5000.
    #[serde(default = "five_thousand")]
    #[schemars(range(min = 500, max = 120_000))]
    pub node_timeout_ms: u32,
    /// When the majority of the primaries is gone, or there are fewer than three: `Auto` promotes
    /// a replica as soon as its primary is proven dead, `Manual` waits for a person. Default
    /// `Auto`.
    #[serde(default)]
    pub quorum_loss: QuorumLoss,
}

impl Default for Failover {
    fn default() -> Self {
        Self { node_timeout_ms: five_thousand(), quorum_loss: QuorumLoss::Auto }
    }
}

fn five_thousand() -> u32 {
    5000
}

/// Who promotes a replica when the nodes cannot elect one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuorumLoss {
    /// The operator, with a proof of death.
    #[default]
    Auto,
    /// A person.
    Manual,
}

/// Limits for the removal of shards.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScaleIn {
    /// Most shards that one edit may remove; 0 means no limit. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 250))]
    pub max_step: u16,
}

/// What to do with slots when every copy of them is gone: `Block` keeps them unassigned until
/// somebody decides, `ReassignEmpty` hands them out empty. Default: `Block` with storage,
/// `ReassignEmpty` without.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataLossPolicy {
    /// Leave them unassigned.
    Block,
    /// Hand them out empty.
    ReassignEmpty,
}

/// What the deletion of the object does.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The pods go with the object.
    #[default]
    Delete,
    /// The object stays, terminating, until the policy is set to `Delete`.
    Protect,
}
