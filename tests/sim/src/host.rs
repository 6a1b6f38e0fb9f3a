//! A host: the shell around one node, with a disk that outlives the process.
//!
//! Not known here: other hosts, the network.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use holdfast_cluster::{LinkId, Node, RoleChange, SlotMap, Ticket};
use holdfast_wire::id::NodeId;

use crate::network::ConnId;

/// A frame or an answer that waits for the disk.
#[derive(Debug, Clone)]
pub struct Held {
    /// What must be durable first.
    pub after: Ticket,
    /// On which link it goes.
    pub link: LinkId,
    /// The frame.
    pub frame: Vec<u8>,
}

/// One machine of the simulation.
#[derive(Debug)]
pub struct Host {
    /// The process; none while it is dead.
    pub node: Option<Node>,
    /// Its id, once it had one.
    pub id: NodeId,
    /// Counts the process' lives.
    pub life: u32,
    /// Its address; may change when it starts.
    pub ip: IpAddr,
    /// nodes.conf as it would be read after a crash.
    pub durable: Option<String>,
    /// The newest ticket that is durable.
    pub durable_ticket: Ticket,
    /// What waits for the disk.
    pub held: Vec<Held>,
    /// Link names to connections, of this life.
    pub links: BTreeMap<LinkId, ConnId>,
    /// Accepted connections so far.
    pub accepted: u64,
    /// The process is stopped until then (SIGSTOP).
    pub stopped_until: u64,
    /// The node's own wish to be woken.
    pub wake_at: u64,
    /// What the cores would route by.
    pub routing: Option<Arc<SlotMap>>,
    /// What the node is.
    pub role: RoleChange,
    /// Writes are paused until then.
    pub paused_until: u64,
    /// Offset of the effect log.
    pub offset: u64,
    /// Keys in memory (0 or some).
    pub keys: u64,
    /// The durable has-data mark.
    pub has_data_mark: bool,
    /// Replica: a complete copy of this primary's data is in memory.
    pub copy_of: Option<NodeId>,
    /// Replica: a full sync from this primary ends then.
    pub sync_ends: Option<(NodeId, u64)>,
    /// Replica: when the primary was last heard on the replication link.
    pub last_contact: Option<u64>,
    /// Replica: the replication link stands.
    pub link_up: bool,
    /// Report replication facts at once at this offset.
    pub watch_offset: Option<u64>,
    /// Crash right after the next vote.
    pub crash_after_vote: bool,
    /// The next writes to the disk fail.
    pub disk_fails_until: u64,
}

impl Host {
    /// A host that never ran.
    pub fn new(number: usize) -> Self {
        Self {
            node: None,
            id: NodeId::default(),
            life: 0,
            ip: address(number, 0),
            durable: None,
            durable_ticket: Ticket::default(),
            held: Vec::new(),
            links: BTreeMap::new(),
            accepted: 0,
            stopped_until: 0,
            wake_at: 0,
            routing: None,
            role: RoleChange::Primary,
            paused_until: 0,
            offset: 0,
            keys: 0,
            has_data_mark: false,
            copy_of: None,
            sync_ends: None,
            last_contact: None,
            link_up: false,
            watch_offset: None,
            crash_after_vote: false,
            disk_fails_until: 0,
        }
    }

    /// True while the process runs and is not stopped.
    pub fn runs(&self, now: u64) -> bool {
        self.node.is_some() && self.stopped_until <= now
    }

    /// Forgets what only the process knew. `keeps_data`: its data is on disk.
    pub fn crash(&mut self, keeps_data: bool) {
        self.node = None;
        self.held.clear();
        self.links.clear();
        self.routing = None;
        self.stopped_until = 0;
        self.paused_until = 0;
        self.sync_ends = None;
        self.last_contact = None;
        self.link_up = false;
        self.watch_offset = None;
        self.crash_after_vote = false;
        self.durable_ticket = Ticket::default();
        if !keeps_data {
            self.keys = 0;
            self.offset = 0;
            self.copy_of = None;
        }
    }
}

/// The address of a host after so many moves.
pub fn address(number: usize, moves: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, moves, number as u8 + 1))
}
