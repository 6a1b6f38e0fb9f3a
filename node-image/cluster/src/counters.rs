//! What a node counts, for CLUSTER INFO and for metrics.
//!
//! Plain numbers, only ever rising. Not known here: who reads them.

use holdfast_wire::bus::Body;

/// Packets of each type in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketCounters {
    /// PING.
    pub ping: u64,
    /// PONG.
    pub pong: u64,
    /// MEET.
    pub meet: u64,
    /// FAIL.
    pub fail: u64,
    /// PUBLISH.
    pub publish: u64,
    /// PUBLISHSHARD.
    pub publishshard: u64,
    /// FAILOVER_AUTH_REQUEST.
    pub auth_req: u64,
    /// FAILOVER_AUTH_ACK.
    pub auth_ack: u64,
    /// UPDATE.
    pub update: u64,
    /// MFSTART.
    pub mfstart: u64,
}

impl PacketCounters {
    pub(crate) fn count(&mut self, body: &Body, packets: u64) {
        *match body {
            Body::Ping(_) => &mut self.ping,
            Body::Pong(_) => &mut self.pong,
            Body::Meet(_) => &mut self.meet,
            Body::Fail(_) => &mut self.fail,
            Body::Publish { sharded: false, .. } => &mut self.publish,
            Body::Publish { sharded: true, .. } => &mut self.publishshard,
            Body::VoteRequest => &mut self.auth_req,
            Body::Vote => &mut self.auth_ack,
            Body::Update { .. } => &mut self.update,
            Body::ManualFailoverStart => &mut self.mfstart,
        } += packets;
    }

    /// Names as CLUSTER INFO has them, with their numbers.
    pub fn named(&self) -> [(&'static str, u64); 10] {
        [
            ("ping", self.ping),
            ("pong", self.pong),
            ("meet", self.meet),
            ("fail", self.fail),
            ("publish", self.publish),
            ("auth-req", self.auth_req),
            ("auth-ack", self.auth_ack),
            ("update", self.update),
            ("mfstart", self.mfstart),
            ("publishshard", self.publishshard),
        ]
    }
}

/// Everything that is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets sent.
    pub sent: PacketCounters,
    /// Packets received.
    pub received: PacketCounters,
    /// Frames that made no sense, dropped.
    pub malformed: u64,
    /// Packets of nodes with another cluster id, dropped.
    pub other_cluster: u64,
    /// Packets of nodes without our cluster id, dropped.
    pub foreign: u64,
    /// Elections that this node stood in.
    pub elections: u64,
    /// Elections that it won.
    pub elections_won: u64,
    /// Votes that it gave.
    pub votes: u64,
    /// Nodes that it marked FAIL, by its own conclusion.
    pub failures_seen: u64,
}
