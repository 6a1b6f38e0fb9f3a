//! `HOLDFAST STATE`: one consistent look at a node, as the operator reads it.
//!
//! The node answers with this structure as one JSON bulk string. Every field is a fact of the
//! node that answered; what it believes about others is in [`PeerState`]. Fields are added with
//! `#[serde(default)]`, so that an operator and a node one version apart understand each other.
//! Not known here: who asks, and what is concluded.

use serde::{Deserialize, Serialize};

/// A node's own view, taken in one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeState {
    /// Node id, 40 hexadecimal digits.
    pub node_id: String,
    /// Random id of this process' life, 32 hexadecimal digits; new at each start.
    pub boot_id: String,
    /// Uid of the pod that the process runs in; empty outside Kubernetes.
    pub pod_uid: String,
    /// `holdfast-cluster-id`; empty when none is set.
    pub cluster_id: String,
    /// Version of the node's program.
    pub version: String,
    /// How far the start has come.
    pub boot: BootState,
    /// Role of the node.
    pub role: NodeRole,
    /// Id of the primary that this replica follows; empty for a primary.
    pub primary_id: String,
    /// True when the link to the primary is up and the first full sync is complete.
    pub link_up: bool,
    /// Offset of the effect log, bytes: written (primary) or applied (replica).
    pub offset: u64,
    /// For a replica: bytes behind what the primary last announced.
    pub lag_bytes: u64,
    /// `currentEpoch` as this node knows it.
    pub current_epoch: u64,
    /// `configEpoch` of this node.
    pub config_epoch: u64,
    /// True when the cluster is `ok` in this node's view.
    pub cluster_ok: bool,
    /// Slots that this node owns, as inclusive ranges.
    pub slots: Vec<(u16, u16)>,
    /// Number of slots that have an owner in this node's view.
    pub slots_assigned: u16,
    /// Keys in the whole node.
    pub keys: u64,
    /// Bytes of memory used by the data set.
    pub used_bytes: u64,
    /// Replicas that are connected and in sync, by node id (primary only).
    pub synced_replicas: Vec<String>,
    /// Migrations that this node runs or receives.
    pub migrations: Vec<MigrationState>,
    /// Highest fencing token seen.
    pub fence_token: u64,
    /// Announced address, client port, bus port and hostname.
    pub address: String,
    /// Client port.
    pub port: u16,
    /// Cluster bus port.
    pub bus_port: u16,
    /// Announced hostname; empty when none.
    pub hostname: String,
    /// Everybody this node knows, without itself and without nodes in handshake.
    pub peers: Vec<PeerState>,
}

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BootState {
    /// Reading its data from disk.
    #[default]
    Loading,
    /// Serving.
    Ready,
    /// Owned slots and had data by its record, but has none now: serves nothing.
    Lame,
    /// SIGTERM was received and the hand-over runs.
    Leaving,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeRole {
    /// Takes writes for its slots (it may own none).
    #[default]
    Primary,
    /// Follows a primary.
    Replica,
}

/// What a node believes about another one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerState {
    /// Node id, 40 hexadecimal digits.
    pub node_id: String,
    /// The last boot id that the peer announced; empty when unknown (a stock node has none).
    pub boot_id: String,
    /// Address as known to the bus.
    pub address: String,
    /// Client port.
    pub port: u16,
    /// Announced hostname; empty when none.
    pub hostname: String,
    /// Role by the peer's own word.
    pub role: NodeRole,
    /// Id of the primary that the peer follows; empty for a primary.
    pub primary_id: String,
    /// `configEpoch` that the peer announced.
    pub config_epoch: u64,
    /// Replication offset that the peer last announced on the bus.
    pub offset: u64,
    /// Possibly failed, in this node's own view.
    pub pfail: bool,
    /// Failed, by the majority's word.
    pub fail: bool,
    /// The bus link to the peer is up.
    pub connected: bool,
    /// The peer said that it is lame.
    pub lame: bool,
    /// Slots that the peer owns, as inclusive ranges.
    pub slots: Vec<(u16, u16)>,
}

/// One job of `CLUSTER MIGRATESLOTS`, seen from its source or its target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationState {
    /// Name of the job, 40 hexadecimal digits.
    pub job: String,
    /// True on the node that gives the slots away.
    pub outgoing: bool,
    /// Node id of the other side.
    pub peer_id: String,
    /// The slots, as inclusive ranges.
    pub slots: Vec<(u16, u16)>,
    /// `running`, `success`, `failed` or `cancelled`.
    pub state: String,
    /// Keys moved so far.
    pub keys_moved: u64,
    /// Keys to move, as counted at the start.
    pub keys_total: u64,
    /// Bytes moved so far.
    pub bytes_moved: u64,
    /// Why it failed; empty otherwise.
    pub error: String,
}
