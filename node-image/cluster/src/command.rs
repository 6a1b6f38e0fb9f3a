//! The CLUSTER commands that the cluster decides, and their replies.
//!
//! What only the keyspace can answer (KEYSLOT, COUNTKEYSINSLOT, GETKEYSINSLOT) and the jobs of
//! MIGRATESLOTS are the shell's. Not known here: RESP; the shell renders a [`Reply`] for the
//! client's version.

use std::net::IpAddr;

use crate::config::Ports;
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{Slot, SlotSet};

pub mod parse;

pub use parse::{ParseError, parse};

/// A command with its arguments checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterCommand {
    /// `MEET ip port [bus-port]`.
    Meet {
        /// Where.
        ip: IpAddr,
        /// Client port.
        port: u16,
        /// Bus port.
        bus_port: u16,
    },
    /// `FORGET id`.
    Forget(NodeId),
    /// `ADDSLOTS`, `ADDSLOTSRANGE`.
    AddSlots(SlotSet),
    /// `DELSLOTS`, `DELSLOTSRANGE`.
    DelSlots(SlotSet),
    /// `FLUSHSLOTS`.
    FlushSlots,
    /// `SETSLOT slot ...`; the shell may name many slots at once.
    SetSlots {
        /// The slots.
        slots: SlotSet,
        /// What happens to them.
        change: SlotChange,
    },
    /// Not typed by users: this node has all keys of the slots and takes them over from `from`,
    /// with a configuration epoch of its own. The answer waits until the claim is durable. Asked
    /// again once it owns them, it answers OK and changes nothing.
    ClaimSlots {
        /// The slots.
        slots: SlotSet,
        /// Who must own them now.
        from: NodeId,
    },
    /// `REPLICATE id`.
    Replicate(NodeId),
    /// `FAILOVER [FORCE|TAKEOVER]`.
    Failover(FailoverKind),
    /// `RESET [HARD|SOFT]`.
    Reset {
        /// Forget the id and the epochs too.
        hard: bool,
    },
    /// `SET-CONFIG-EPOCH n`.
    SetConfigEpoch(u64),
    /// `BUMPEPOCH`.
    BumpEpoch,
    /// `COUNT-FAILURE-REPORTS id`.
    CountFailureReports(NodeId),
    /// `NODES`.
    Nodes,
    /// `SLOTS`.
    Slots,
    /// `SHARDS`.
    Shards,
    /// `INFO`.
    Info,
    /// `MYID`.
    MyId,
    /// `MYSHARDID`.
    MyShardId,
    /// `REPLICAS id`, `SLAVES id`.
    Replicas(NodeId),
    /// `LINKS`.
    Links,
    /// `SAVECONFIG`.
    SaveConfig,
}

/// What SETSLOT does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotChange {
    /// Keys go to that node, one by one.
    Migrating(NodeId),
    /// Keys come from that node, one by one.
    Importing(NodeId),
    /// That node owns the slots.
    Node(NodeId),
    /// No migration any more.
    Stable,
}

/// How much a failover asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailoverKind {
    /// The primary stops, the replica catches up, the voters vote.
    Graceful,
    /// The voters vote.
    Force,
    /// Nobody is asked.
    Takeover,
}

/// A reply, for the shell to render.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// `+OK`.
    Ok,
    /// `+text`.
    Status(String),
    /// A bulk string; `CLUSTER INFO` and `NODES` are verbatim text in RESP3.
    Text(String),
    /// A number.
    Integer(i64),
    /// An array of bulk strings.
    Lines(Vec<String>),
    /// `CLUSTER SLOTS`.
    Slots(Vec<SlotRange>),
    /// `CLUSTER SHARDS`.
    Shards(Vec<Shard>),
    /// `CLUSTER LINKS`.
    Links(Vec<LinkLine>),
}

/// One entry of `CLUSTER SLOTS`: `[start, end, node...]`, the primary first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRange {
    /// First slot.
    pub start: u16,
    /// Last slot.
    pub end: u16,
    /// Primary, then replicas that are not failed.
    pub nodes: Vec<Endpoint>,
}

/// A node in `CLUSTER SLOTS`: `[endpoint, port, id, [metadata key, value, ...]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Preferred endpoint; none renders as null (unknown endpoint).
    pub host: Option<String>,
    /// Client port, of the kind that the asker uses.
    pub port: u16,
    /// Id.
    pub id: NodeId,
    /// Other names of the node, as pairs (`ip`, `hostname`).
    pub metadata: Vec<(&'static str, String)>,
}

/// One entry of `CLUSTER SHARDS`: a map of `slots` (start, end, start, end ...) and `nodes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The slots, as inclusive ranges.
    pub slots: Vec<(u16, u16)>,
    /// The nodes, each a map.
    pub nodes: Vec<ShardNode>,
}

/// A node in `CLUSTER SHARDS`; the fields are the map's keys in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardNode {
    /// `id`.
    pub id: NodeId,
    /// `port` and `tls-port`, each left out when it is 0.
    pub ports: Ports,
    /// `ip`.
    pub ip: String,
    /// `endpoint`; none renders as null.
    pub endpoint: Option<String>,
    /// `hostname`; left out when empty.
    pub hostname: String,
    /// `role`: `master` or `replica`.
    pub role: &'static str,
    /// `replication-offset`.
    pub replication_offset: u64,
    /// `health`: `online`, `failed` or `loading`.
    pub health: &'static str,
}

/// One entry of `CLUSTER LINKS`, a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLine {
    /// `direction`: `to` or `from`.
    pub direction: &'static str,
    /// `node`.
    pub node: NodeId,
    /// `create-time`, milliseconds.
    pub create_time: u64,
    /// `events`: `r`, or `rw` while something waits to be written.
    pub events: &'static str,
    /// `send-buffer-allocated`, bytes; the shell knows it and fills it in.
    pub send_buffer_allocated: u64,
    /// `send-buffer-used`, bytes; the shell knows it and fills it in.
    pub send_buffer_used: u64,
    /// The link, for the shell.
    pub link: crate::event::LinkId,
}

impl SlotChange {
    /// The other node that the change names.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Migrating(node) | Self::Importing(node) | Self::Node(node) => Some(*node),
            Self::Stable => None,
        }
    }
}

impl ClusterCommand {
    /// The slots whose keys the shell must count for [`crate::CommandFacts::keys_in_slots`].
    pub fn slots_to_count(&self) -> impl Iterator<Item = Slot> + '_ {
        let slots = match self {
            Self::SetSlots { slots, change: SlotChange::Node(_) } => Some(slots),
            _ => None,
        };
        slots.into_iter().flat_map(SlotSet::iter)
    }
}
