//! Packets that came in: who sent them, whether they are heard at all, and what they change.
//!
//! The order matters. First the cluster id (a packet of another cluster changes nothing), then
//! the sender's identity (by id, never by address), then what the header says of the sender, and
//! at last the body. Not known here: the rules of each topic; they live in the files named after
//! them.

use holdfast_wire::bus::{Body, Header, Heartbeat, Packet, decode, flags};
use holdfast_wire::id::NodeId;

use crate::event::LinkId;
use crate::node::Node;
use crate::peer::{Far, Kind};
use crate::ready::{LogLevel, Published};

/// Which of the three heartbeats a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    Ping,
    Pong,
    Meet,
}

impl Node {
    pub(crate) fn packet(&mut self, link: LinkId, frame: &[u8]) {
        let packet = match decode(frame) {
            Ok(packet) => packet,
            Err(error) => {
                self.counters.malformed += 1;
                self.log(LogLevel::Debug, format!("A packet was dropped: {error}."));
                return;
            }
        };
        self.counters.received.count(&packet.body, 1);
        if !self.admits(&packet) {
            self.refuse(link, packet.header.sender);
            return;
        }
        let Some(entry) = self.links.get_mut(&link) else { return };
        entry.ours |= packet.header.ours;
        entry.spoke = Some(packet.header.sender);
        let far = entry.far;
        if let (Far::Member(id), true) = (far, is_heartbeat(&packet.body))
            && id != packet.header.sender
        {
            self.stranger_answers(id);
            return;
        }
        let sender = self.peers.contains_key(&packet.header.sender);
        if let (Far::Inbound(_), true, Some(entry)) = (far, sender, self.links.get_mut(&link)) {
            entry.far = Far::Inbound(Some(packet.header.sender));
        }
        if sender {
            self.hear(&packet.header);
        }
        self.body(link, packet, sender);
    }

    fn body(&mut self, link: LinkId, packet: Packet, known: bool) {
        let Packet { header, body } = packet;
        match body {
            Body::Ping(heartbeat) => self.heartbeat(link, &header, &heartbeat, Beat::Ping),
            Body::Pong(heartbeat) => self.heartbeat(link, &header, &heartbeat, Beat::Pong),
            Body::Meet(heartbeat) => self.heartbeat(link, &header, &heartbeat, Beat::Meet),
            // What follows is heard from members alone.
            _ if !known => {}
            Body::Fail(node) => self.told_failed(header.sender, node),
            Body::Publish { channel, message, sharded } => {
                self.out.published.push(Published { channel, message, sharded });
            }
            Body::VoteRequest => self.vote_requested(&header),
            Body::Vote => self.vote_received(&header),
            Body::Update { node, config_epoch, slots } => {
                self.told_update(node, config_epoch, &slots);
            }
            Body::ManualFailoverStart => self.manual_failover_asked(header.sender),
        }
    }

    /// Takes in what the header of a member's packet says, whatever the packet is about.
    fn hear(&mut self, header: &Header) {
        let now = self.now;
        if header.current_epoch > self.current_epoch {
            self.current_epoch = header.current_epoch;
            self.save = true;
        }
        let Some(peer) = self.peers.get_mut(&header.sender) else { return };
        peer.heard = now;
        peer.offset = header.offset;
        peer.cluster_ok = header.cluster_ok;
        peer.kind = if header.ours { Kind::Ours } else { Kind::Foreign };
        peer.extensions |= header.extensions;
        peer.no_failover = header.flags & flags::NO_FAILOVER != 0;
        if header.config_epoch > peer.config_epoch {
            peer.config_epoch = header.config_epoch;
            self.changed();
        }
        if header.paused && self.primary == Some(header.sender) {
            self.primary_paused(header.offset);
        }
    }

    fn heartbeat(&mut self, link: LinkId, header: &Header, heartbeat: &Heartbeat, beat: Beat) {
        if beat != Beat::Pong {
            self.learn_own_address(link, beat);
            if !self.peers.contains_key(&header.sender) && beat == Beat::Meet {
                self.asked_to_meet(link, header);
            }
            self.answer_ping(link, header);
        }
        if let Some(Far::Handshake(address)) = self.links.get(&link).map(|link| link.far)
            && !self.end_handshake(link, address, header, heartbeat)
        {
            return;
        }
        if !self.peers.contains_key(&header.sender) {
            return;
        }
        self.learn_extensions(header.sender, &heartbeat.extensions);
        match beat {
            Beat::Ping => self.learn_address(link, header),
            Beat::Pong if !link.is_inbound() => self.answered(header.sender),
            _ => {}
        }
        self.learn_role(header);
        self.learn_slots(header);
        self.resolve_epoch_collision(header);
        self.learn_gossip(header.sender, &heartbeat.gossip);
        let asked = heartbeat.extensions.holdfast.is_some_and(|ours| ours.take_over);
        if asked && self.primary == Some(header.sender) {
            self.primary_asks_to_take_over();
        }
    }

    /// Another node answered where a member was thought to be: the member is not there, and
    /// nothing of it passes on to the stranger.
    pub(crate) fn stranger_answers(&mut self, id: NodeId) {
        self.log(
            LogLevel::Notice,
            format!("Node {id} is no longer at its address: another node answers there."),
        );
        self.drop_link_of(id);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.ip = None;
            peer.ping_sent = peer.ping_sent.or(Some(self.now));
        }
        self.changed();
    }

    fn learn_own_address(&mut self, link: LinkId, beat: Beat) {
        if self.config.announce_ip.is_some() || (self.ip.is_some() && beat != Beat::Meet) {
            return;
        }
        let local = self.links.get(&link).and_then(|link| link.local_ip);
        if local.is_some() && local != self.ip {
            self.ip = local;
            self.changed();
        }
    }

    /// A member pings us from an address that we do not know: it moved.
    fn learn_address(&mut self, link: LinkId, header: &Header) {
        if !link.is_inbound() {
            return;
        }
        let Some(entry) = self.links.get(&link) else { return };
        let ip = header.ip.unwrap_or(entry.peer_ip);
        self.move_peer(header.sender, ip, header.port, header.bus_port, header.second_port);
    }

    pub(crate) fn move_peer(
        &mut self,
        id: NodeId,
        ip: std::net::IpAddr,
        port: u16,
        bus_port: u16,
        second_port: u16,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // Nodes that do not know of a second port name none.
        if second_port != 0 {
            peer.second_port = second_port;
        }
        if (peer.ip, peer.port, peer.bus_port) == (Some(ip), port, bus_port) {
            return;
        }
        let link_stays = peer.ip == Some(ip) && peer.bus_port == bus_port;
        peer.ip = Some(ip);
        peer.port = port;
        peer.bus_port = bus_port;
        peer.next_connect = self.now;
        if !link_stays {
            self.drop_link_of(id);
            self.log(LogLevel::Notice, format!("Node {id} moved to {ip}:{port}."));
        }
        self.changed();
    }

    fn learn_role(&mut self, header: &Header) {
        let id = header.sender;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.primary == header.replica_of && peer.is_replica == header.replica_of.is_some() {
            return;
        }
        let was_primary = !peer.is_replica;
        peer.is_replica = header.replica_of.is_some();
        peer.primary = header.replica_of;
        if let Some(primary) = header.replica_of {
            peer.migrate_to = false;
            if was_primary {
                self.slots.clear(id);
            }
            if primary == self.id {
                self.migrate_to = true;
            } else if let Some(primary) = self.peers.get_mut(&primary) {
                primary.migrate_to = true;
            }
        }
        self.changed();
    }
}

fn is_heartbeat(body: &Body) -> bool {
    matches!(body, Body::Ping(_) | Body::Pong(_) | Body::Meet(_))
}
