//! What can happen to a node, and the small values that events and [`crate::Ready`] share.
//!
//! Not known here: what follows from an event.

use std::fmt;
use std::net::IpAddr;

use holdfast_wire::id::{BootId, NodeId};

use crate::command::ClusterCommand;
use crate::config::Config;

/// A moment: milliseconds since the Unix epoch, never going back (see the crate's page).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` to this moment, 0 when it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `ms` milliseconds later.
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One connection on the bus. The highest bit tells who opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u64);

impl LinkId {
    const INBOUND: u64 = 1 << 63;

    /// Id of the `number`-th accepted connection; the shell counts.
    pub fn inbound(number: u64) -> Self {
        Self(number | Self::INBOUND)
    }

    /// Id of the `number`-th connection that the node asked for; the node counts.
    pub(crate) fn outbound(number: u64) -> Self {
        Self(number & !Self::INBOUND)
    }

    /// True for a connection that the peer opened.
    pub fn is_inbound(self) -> bool {
        self.0 & Self::INBOUND != 0
    }

    /// The number, unique over both kinds.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// Number of a wish to persist; rising. When one is durable, all before it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

/// Names a command, so that its answer finds the client; the shell chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What the data side knows about replication, told at least every 100 ms, at once when a link to
/// the primary comes or goes or a replica gets in sync, and when [`crate::Ready::watch_offset`]
/// is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplicationFacts {
    /// Offset of the effect log, bytes: written (primary) or applied (replica).
    pub offset: u64,
    /// Replica: the link to the primary is up and no full sync runs.
    pub link_up: bool,
    /// Replica: when the primary was last heard on the replication link.
    pub last_contact: Option<Millis>,
    /// Replica: holds a complete copy of some primary's data, though it may be old. A replica
    /// without it never stands for election by itself.
    pub has_copy: bool,
    /// Primary: replicas that are connected and in sync, with the offset that they acknowledged.
    pub synced_replicas: Vec<(NodeId, u64)>,
}

/// What the rules of a command need to know about the keyspace and its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommandFacts {
    /// Keys in the whole node.
    pub keys: u64,
    /// Keys in the slots that the command names (SETSLOT).
    pub keys_in_slots: u64,
    /// The client came by TLS, and is told the ports that speak it.
    pub secured: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The moment of [`crate::Ready::wake_at`] came, or any other moment.
    Tick,
    /// A peer connected to the bus port.
    Accepted {
        /// Drawn by [`LinkId::inbound`].
        link: LinkId,
        /// The peer's address.
        peer_ip: IpAddr,
        /// Our address on that connection.
        local_ip: IpAddr,
    },
    /// A wished connection stands.
    Connected {
        /// The link of [`crate::Connect`].
        link: LinkId,
        /// Our address on that connection.
        local_ip: IpAddr,
    },
    /// A wished connection failed; the link is gone.
    ConnectFailed {
        /// The link of [`crate::Connect`].
        link: LinkId,
        /// The peer's host answered that nobody listens (ECONNREFUSED): proof that the process
        /// is not there. False for time-outs and unreachable hosts.
        refused: bool,
    },
    /// A connection ended without our asking; the link is gone.
    Closed {
        /// Which one.
        link: LinkId,
        /// It ended by a reset or an end of stream from the peer's host, not by our own error.
        reset: bool,
    },
    /// One whole frame, cut by [`holdfast_wire::bus::frame_len`].
    Packet {
        /// Where it came from.
        link: LinkId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Answer to [`crate::Ready::resolve`].
    Resolved {
        /// The node whose announced name was asked for.
        node: NodeId,
        /// The address, or none when the name has none.
        ip: Option<IpAddr>,
    },
    /// The text of this ticket, and so of all before it, is durable.
    Persisted {
        /// Ticket of [`crate::Persist`].
        ticket: Ticket,
    },
    /// The text of this ticket could not be made durable. The node neither votes nor stands until
    /// a later ticket is durable.
    PersistFailed {
        /// Ticket of [`crate::Persist`].
        ticket: Ticket,
    },
    /// The data was loaded; comes once, before or after the first packets. Until it comes the
    /// node is not lame.
    Booted {
        /// The durable mark says that this node held data.
        has_data_mark: bool,
        /// Keys after loading.
        keys: u64,
    },
    /// New facts about replication.
    Replication(ReplicationFacts),
    /// The core stopped taking writes as [`crate::Pause::Writes`] asked.
    WritesPaused {
        /// Offset of the effect log; no write follows it until the pause ends.
        offset: u64,
    },
    /// `HOLDFAST DEAD`: the operator knows that this life of a node is over.
    Dead {
        /// Whose answer: OK, or a status that starts with `IGNORED`.
        token: Token,
        /// The node.
        node: NodeId,
        /// The life that ended; none when the operator never saw one.
        boot_id: Option<BootId>,
        /// The configuration epoch that the operator saw.
        config_epoch: u64,
    },
    /// A CLUSTER command.
    Command {
        /// Whose answer.
        token: Token,
        /// The command.
        command: ClusterCommand,
        /// Facts for its rules.
        facts: CommandFacts,
    },
    /// A client published; tell the cluster.
    Publish {
        /// Channel.
        channel: Vec<u8>,
        /// Message.
        message: Vec<u8>,
        /// SPUBLISH: only our own shard hears it.
        sharded: bool,
    },
    /// SIGTERM: hand the slots over to a replica in sync. [`crate::Ready::hand_over`] tells the
    /// end, at the latest after `deadline_ms`.
    Leave {
        /// How long the hand-over may take.
        deadline_ms: u64,
    },
    /// The configuration changed while running.
    Reconfigured(Box<Config>),
}
