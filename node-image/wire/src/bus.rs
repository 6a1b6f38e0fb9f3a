//! Packets of the cluster bus, in the wire format of Redis (protocol version 1).
//!
//! A frame is a header of 2256 bytes and a body that depends on its type; all numbers are
//! big-endian:
//!
//! ```text
//!      0 "RCmb"           12 type, 14 count      2128 id of the sender's primary (40)
//!      4 total length     16 currentEpoch        2168 announced ip (46), 2214 extensions
//!      8 version (1)      24 configEpoch         2216 reserved (30)   <- our mark, see below
//!     10 port             32 offset              2246 plaintext port, 2248 bus port, 2250 flags
//!                         40 sender's id (40)    2252 state, 2253 message flags (3)
//!                         80 slots (2048)        2256 body
//! ```
//!
//! **Our dialect.** Stock Redis 7.0 warns about extensions that it does not know, and others read
//! some types differently, so what is ours may only go to our own kind. A node of our kind puts
//! [`MARK`] into the first reserved bytes of *every* header: stock nodes send zeros there and
//! never look at them. Whoever has seen the mark from a peer may send it the extension
//! [`extension::HOLDFAST`]. So a MEET tells the kind without any extension.
//!
//! Nothing here allocates by a length that a packet claims, and no bytes make it panic. Not known
//! here: what a packet changes.

use std::net::IpAddr;

use crate::id::{BootId, ClusterId, NodeId, ShardId};
use crate::slot::SlotSet;

pub mod decode;
pub mod encode;
pub mod extension;

pub use decode::{DecodeError, FrameError, decode, frame_len, is_published};
pub use encode::encode;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 2256;
/// Bytes of a gossip entry.
pub const GOSSIP_BYTES: usize = 104;
/// The largest frame that is taken from a peer.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// What our own kind writes at byte 2216 of each header; the last byte is the dialect's version.
pub const MARK: [u8; 5] = *b"HFST\x01";

/// Bits of a node's flags, in headers and in gossip.
pub mod flags {
    /// Is a primary.
    pub const PRIMARY: u16 = 1;
    /// Is a replica.
    pub const REPLICA: u16 = 1 << 1;
    /// Possibly failed.
    pub const PFAIL: u16 = 1 << 2;
    /// Failed by the majority's word.
    pub const FAIL: u16 = 1 << 3;
    /// The sender itself.
    pub const MYSELF: u16 = 1 << 4;
    /// In handshake.
    pub const HANDSHAKE: u16 = 1 << 5;
    /// Its address is not known.
    pub const NO_ADDRESS: u16 = 1 << 6;
    /// A MEET is still to be sent.
    pub const MEET: u16 = 1 << 7;
    /// A primary that may be given an orphan's replica.
    pub const MIGRATE_TO: u16 = 1 << 8;
    /// A replica that does not stand for election.
    pub const NO_FAILOVER: u16 = 1 << 9;
    /// Understands extensions.
    pub const EXTENSIONS: u16 = 1 << 10;
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Who sends, and what it says of itself.
    pub header: Header,
    /// What it is about.
    pub body: Body,
}

/// What a sender says of itself in every packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its id.
    pub sender: NodeId,
    /// `currentEpoch`: the highest epoch that it saw.
    pub current_epoch: u64,
    /// `configEpoch` of the sender, or of its primary when it is a replica.
    pub config_epoch: u64,
    /// Replication offset, bytes.
    pub offset: u64,
    /// Slots of the sender, or of its primary when it is a replica.
    pub slots: SlotSet,
    /// The primary that it follows.
    pub replica_of: Option<NodeId>,
    /// The address that it announces; without one the receiver takes the connection's.
    pub ip: Option<IpAddr>,
    /// Client port; the TLS port where the bus speaks TLS.
    pub port: u16,
    /// The other client port: in the clear when `port` is for TLS, by TLS when it is not; 0 for
    /// none.
    pub second_port: u16,
    /// Bus port.
    pub bus_port: u16,
    /// See [`flags`].
    pub flags: u16,
    /// The cluster is `ok` in its view.
    pub cluster_ok: bool,
    /// Its writes are paused for a manual failover, so that `offset` is final.
    pub paused: bool,
    /// Vote although the primary is not failed.
    pub force_vote: bool,
    /// It understands extensions.
    pub extensions: bool,
    /// It is of our own kind: it sent [`MARK`].
    pub ours: bool,
}

/// What a packet is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Asks for a PONG.
    Ping(Heartbeat),
    /// Answers PING and MEET, or tells news.
    Pong(Heartbeat),
    /// A PING that asks to be let in.
    Meet(Heartbeat),
    /// A node has failed.
    Fail(NodeId),
    /// Somebody published.
    Publish {
        /// Channel.
        channel: Vec<u8>,
        /// Message.
        message: Vec<u8>,
        /// By SPUBLISH.
        sharded: bool,
    },
    /// A replica stands for election in the header's `current_epoch`.
    VoteRequest,
    /// A vote for the receiver in the header's `current_epoch`.
    Vote,
    /// The receiver's view of somebody's slots is old.
    Update {
        /// The owner.
        node: NodeId,
        /// Its configuration epoch.
        config_epoch: u64,
        /// Its slots.
        slots: SlotSet,
    },
    /// A replica asks its primary to pause writes for a manual failover.
    ManualFailoverStart,
}

/// Gossip and extensions of PING, PONG and MEET.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// What the sender knows of some others.
    pub gossip: Vec<Gossip>,
    /// What did not fit the header.
    pub extensions: Extensions,
}

/// What a sender knows of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gossip {
    /// The node.
    pub node: NodeId,
    /// When the pending ping was sent, seconds since 1970; 0 for none.
    pub ping_sent_s: u32,
    /// When it last answered, seconds since 1970.
    pub pong_received_s: u32,
    /// Its address; none when unknown.
    pub ip: Option<IpAddr>,
    /// Client port; the TLS port where the bus speaks TLS.
    pub port: u16,
    /// Bus port.
    pub bus_port: u16,
    /// See [`flags`].
    pub flags: u16,
    /// The other client port: in the clear when `port` is for TLS, by TLS when it is not; 0 for
    /// none.
    pub second_port: u16,
}

/// Extensions of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// Announced hostname.
    pub hostname: Option<String>,
    /// Human name (7.2 and later).
    pub human_name: Option<String>,
    /// The sender's shard (7.2 and later).
    pub shard: Option<ShardId>,
    /// Nodes that were told to be forgotten, with the seconds left (7.2 and later).
    pub forgotten: Vec<(NodeId, u64)>,
    /// What only our own kind says.
    pub holdfast: Option<Holdfast>,
    /// How many extensions were of no known type; they are skipped.
    pub unknown: u16,
}

/// What our own kind tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdfast {
    /// `holdfast-cluster-id`.
    pub cluster: Option<ClusterId>,
    /// The life of the sender's process.
    pub boot: BootId,
    /// The sender's shard.
    pub shard: ShardId,
    /// The sender owned slots and had data, and has none now.
    pub lame: bool,
    /// The sender goes and asks the receiver, its replica, to take over.
    pub take_over: bool,
}

#[cfg(test)]
mod tests;
