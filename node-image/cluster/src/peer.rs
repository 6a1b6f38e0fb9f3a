//! What a node remembers of another one, of a link, and of a handshake.
//!
//! Plain records with a few questions that they can answer alone. Not known here: the rules by
//! which they change.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use holdfast_wire::bus::flags;
use holdfast_wire::id::{BootId, NodeId, ShardId};

use crate::event::{LinkId, Millis};

/// Whether a peer is of our own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Not heard since our start.
    #[default]
    Unknown,
    /// A stock server.
    Foreign,
    /// It sends our mark.
    Ours,
}

/// Another member of the cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) second_port: u16,
    pub(crate) bus_port: u16,
    pub(crate) hostname: String,
    pub(crate) human_name: String,
    pub(crate) shard: Option<ShardId>,
    /// A replica by its own word; its primary may still be unknown to us.
    pub(crate) is_replica: bool,
    pub(crate) primary: Option<NodeId>,
    pub(crate) config_epoch: u64,
    pub(crate) offset: u64,
    pub(crate) pfail: bool,
    pub(crate) fail_since: Option<Millis>,
    pub(crate) no_failover: bool,
    /// Had a replica once, so that it may be given one when it has none.
    pub(crate) migrate_to: bool,
    pub(crate) kind: Kind,
    /// Understands the hostname extension.
    pub(crate) extensions: bool,
    /// Understands the extensions of 7.2.
    pub(crate) extensions_72: bool,
    pub(crate) boot: Option<BootId>,
    pub(crate) lame: bool,
    pub(crate) cluster_ok: bool,
    pub(crate) ping_sent: Option<Millis>,
    pub(crate) pong_received: Millis,
    /// Anything heard at all.
    pub(crate) heard: Millis,
    /// Our connection to it.
    pub(crate) link: Option<LinkId>,
    pub(crate) next_connect: Millis,
    pub(crate) resolve_after: Millis,
    /// Primaries that say it is failing, and when they said so last.
    pub(crate) reports: BTreeMap<NodeId, Millis>,
    /// The replica of it that we voted for last, and when.
    pub(crate) voted: Option<(NodeId, Millis)>,
    pub(crate) orphan_since: Option<Millis>,
}

impl Peer {
    /// FAIL by the majority's word.
    pub(crate) fn failed(&self) -> bool {
        self.fail_since.is_some()
    }

    /// Neither suspected nor failed.
    pub(crate) fn well(&self) -> bool {
        !self.pfail && self.fail_since.is_none()
    }

    /// Its bits in gossip.
    pub(crate) fn flags(&self) -> u16 {
        let mut bits = if self.is_replica { flags::REPLICA } else { flags::PRIMARY };
        let mut set = |bit, when: bool| bits |= if when { bit } else { 0 };
        set(flags::PFAIL, self.pfail);
        set(flags::FAIL, self.failed());
        set(flags::NO_ADDRESS, self.ip.is_none());
        set(flags::NO_FAILOVER, self.no_failover);
        set(flags::MIGRATE_TO, self.migrate_to);
        bits
    }
}

/// Whom a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    /// The peer opened it; the node that spoke on it, once one that we know did.
    Inbound(Option<NodeId>),
    /// We opened it to a member.
    Member(NodeId),
    /// We opened it to a node in handshake, known by its bus address alone.
    Handshake(SocketAddr),
}

/// A connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) far: Far,
    pub(crate) peer_ip: IpAddr,
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) created: Millis,
    pub(crate) connected: bool,
    /// Who sent the last packet that made sense, member or not.
    pub(crate) spoke: Option<NodeId>,
    /// The far side sent our mark on this link, so extensions of ours may go there.
    pub(crate) ours: bool,
}

/// A node whose id is not known yet.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    /// Stands for it in CLUSTER NODES.
    pub(crate) id: NodeId,
    pub(crate) port: u16,
    pub(crate) started: Millis,
    /// We were told to MEET it; otherwise it sent us a MEET.
    pub(crate) meet: bool,
    pub(crate) link: Option<LinkId>,
    pub(crate) next_connect: Millis,
    pub(crate) ours: bool,
}
