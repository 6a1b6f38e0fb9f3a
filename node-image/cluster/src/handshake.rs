//! Joining: MEET, the handshake, and the cluster id that keeps two clusters apart.
//!
//!   A: CLUSTER MEET B      A --MEET--> B      B makes a handshake entry for A's address
//!                          A <--PONG-- B      A learns B's id: B is a member for A
//!                          B --PING--> A
//!                          B <--PONG-- A      B learns A's id: A is a member for B
//!
//! **Who is let in.** A node tells its `holdfast-cluster-id` in our extension, so never in the
//! MEET itself (see `wire::bus`). A handshake with a node of our kind therefore ends only with a
//! packet that has the extension, and until then nothing of that node is believed.
//!
//!   theirs \ ours    none       X
//!   none             joins      refused (*)
//!   X                refused(*) joins
//!   Y                refused(*) refused       (*) let in by cluster-allow-foreign-nodes
//!
//! A stock node counts as "none". Refused packets are dropped and counted, also from members, so
//! that two clusters stay apart even when addresses are used again. Not known here: what members
//! tell each other.

use std::net::{IpAddr, SocketAddr};

use holdfast_wire::bus::{Body, Header, Heartbeat, Packet};
use holdfast_wire::id::NodeId;

use crate::event::LinkId;
use crate::node::Node;
use crate::peer::{Far, Handshake, Kind, Peer};
use crate::ready::LogLevel;

/// So many nodes that nobody told us to meet may be in handshake at once: whoever reaches the bus
/// port could ask for any number.
const UNASKED_MAX: usize = 256;
/// A handshake that gave no answer ends after the node timeout, but not before this.
const HANDSHAKE_MS_MIN: u64 = 1000;

impl Node {
    /// The table above, and the counters.
    pub(crate) fn admits(&mut self, packet: &Packet) -> bool {
        let extension = match &packet.body {
            Body::Ping(beat) | Body::Pong(beat) | Body::Meet(beat) => beat.extensions.holdfast,
            _ => None,
        };
        // One of ours that has not told its id yet; what it may do until then is nothing.
        if packet.header.ours && extension.is_none() {
            return true;
        }
        let theirs = extension.and_then(|ours| ours.cluster);
        match (self.config.cluster_id, theirs) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                self.counters.other_cluster += 1;
                false
            }
            (ours, theirs) if ours != theirs && !self.config.allow_foreign_nodes => {
                self.counters.foreign += 1;
                false
            }
            _ => true,
        }
    }

    /// A packet was refused: a handshake with its sender is over, and a member whose address
    /// the sender has now is not there.
    pub(crate) fn refuse(&mut self, link: LinkId, sender: NodeId) {
        let address = match self.links.get(&link).map(|link| link.far) {
            Some(Far::Handshake(address)) => address,
            Some(Far::Member(id)) if id != sender => {
                self.stranger_answers(id);
                return;
            }
            _ => return,
        };
        self.log(
            LogLevel::Warning,
            format!("The node at {address} was refused: it has not our holdfast-cluster-id."),
        );
        self.handshakes.remove(&address);
        self.close(link);
    }

    /// Starts a handshake unless one with that address runs already.
    pub(crate) fn start_handshake(
        &mut self,
        ip: IpAddr,
        port: u16,
        bus_port: u16,
        meet: bool,
        ours: bool,
    ) {
        let address = SocketAddr::new(ip, bus_port);
        let unasked = self.handshakes.values().filter(|handshake| !handshake.meet).count();
        if self.handshakes.contains_key(&address) || (!meet && unasked >= UNASKED_MAX) {
            return;
        }
        let handshake = Handshake {
            id: NodeId(self.rng.bytes()),
            port,
            started: self.now,
            meet,
            link: None,
            next_connect: self.now,
            ours,
        };
        self.handshakes.insert(address, handshake);
        self.connect_members();
    }

    /// The first packet on a handshake's link.
    pub(crate) fn greet(&mut self, link: LinkId, address: SocketAddr) {
        let Some(handshake) = self.handshakes.get(&address) else { return };
        let (meet, ours) = (handshake.meet, handshake.ours);
        let beat = self.build_heartbeat(None, if ours { Kind::Ours } else { Kind::Unknown });
        let body = if meet { Body::Meet(beat) } else { Body::Ping(beat) };
        let packet = self.packet_of(body);
        self.send(link, &packet, None);
    }

    /// A MEET of a node that is no member.
    pub(crate) fn asked_to_meet(&mut self, link: LinkId, header: &Header) {
        let foreign = !header.ours && self.config.cluster_id.is_some();
        if header.sender == self.id || (foreign && !self.config.allow_foreign_nodes) {
            return;
        }
        let Some(entry) = self.links.get(&link) else { return };
        let ip = header.ip.unwrap_or(entry.peer_ip);
        self.start_handshake(ip, header.port, header.bus_port, false, header.ours);
    }

    /// The far side of a handshake told its id. True when it is a member now and the packet may
    /// be taken in.
    pub(crate) fn end_handshake(
        &mut self,
        link: LinkId,
        address: SocketAddr,
        header: &Header,
        heartbeat: &Heartbeat,
    ) -> bool {
        if header.ours && heartbeat.extensions.holdfast.is_none() {
            return false;
        }
        let Some(handshake) = self.handshakes.remove(&address) else {
            self.close(link);
            return false;
        };
        let id = header.sender;
        if id == self.id || self.peers.contains_key(&id) {
            self.close(link);
            if id != self.id {
                let (ip, bus_port) = (address.ip(), address.port());
                self.move_peer(id, ip, handshake.port, bus_port, header.second_port);
            }
            return false;
        }
        let peer = Peer {
            ip: Some(address.ip()),
            port: handshake.port,
            bus_port: address.port(),
            second_port: header.second_port,
            kind: if header.ours { Kind::Ours } else { Kind::Foreign },
            extensions: header.extensions,
            link: Some(link),
            pong_received: self.now,
            heard: self.now,
            config_epoch: header.config_epoch,
            offset: header.offset,
            cluster_ok: header.cluster_ok,
            ..Peer::default()
        };
        self.current_epoch = self.current_epoch.max(header.current_epoch);
        self.forgotten.remove(&id);
        self.peers.insert(id, peer);
        if let Some(entry) = self.links.get_mut(&link) {
            entry.far = Far::Member(id);
        }
        self.log(LogLevel::Notice, format!("Node {id} at {address} joined."));
        self.changed();
        true
    }

    pub(crate) fn expire_handshakes(&mut self) {
        let limit = self.config.node_timeout_ms.max(HANDSHAKE_MS_MIN);
        let late: Vec<_> = self
            .handshakes
            .iter()
            .filter(|(_, handshake)| self.now.since(handshake.started) > limit)
            .map(|(address, handshake)| (*address, handshake.link))
            .collect();
        for (address, link) in late {
            self.handshakes.remove(&address);
            if let Some(link) = link {
                self.close(link);
            }
        }
    }
}
