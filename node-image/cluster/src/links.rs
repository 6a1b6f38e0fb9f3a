//! Links: opened, lost, opened again; where a member is looked for; sending.
//!
//! Each member gets one outbound link, on which we ping and it answers; what it asks comes on the
//! link that it opened to us. A refused connection is proof that the process is gone, so it is
//! passed on at once. The announced hostname is asked again whenever a link fails, because a
//! restarted pod has another address. Not known here: what packets mean.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use holdfast_wire::bus::{Body, Header, Packet, encode, flags};
use holdfast_wire::id::NodeId;

use crate::event::{LinkId, Ticket};
use crate::node::Node;
use crate::peer::{Far, Link};
use crate::ready::{Connect, Resolve, Send};

/// How long after a failed connection the next one is tried.
const RECONNECT_MS: u64 = 100;
/// How long after a question for a name the next one is asked.
const RESOLVE_AGAIN_MS: u64 = 1000;

impl Node {
    pub(crate) fn accepted(&mut self, link: LinkId, peer_ip: IpAddr, local_ip: IpAddr) {
        let entry = Link {
            far: Far::Inbound(None),
            peer_ip,
            local_ip: Some(local_ip),
            created: self.now,
            connected: true,
            spoke: None,
            ours: false,
        };
        self.links.insert(link, entry);
    }

    /// True once the far side of a link is a member, by its own word where the peer opened it:
    /// that is what decides how much the link may ask of us.
    pub fn is_of_member(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| match link.far {
            Far::Member(_) => true,
            Far::Inbound(_) | Far::Handshake(_) => {
                link.spoke.is_some_and(|id| self.peers.contains_key(&id))
            }
        })
    }

    /// Opens links to all members and handshakes that have none and whose time has come.
    pub(crate) fn connect_members(&mut self) {
        let now = self.now;
        let members: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.link.is_none() && peer.next_connect <= now)
            .filter_map(|(id, peer)| Some((*id, SocketAddr::new(peer.ip?, peer.bus_port))))
            .collect();
        for (id, address) in members {
            let link = self.open(Far::Member(id), address);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.link = Some(link);
                peer.next_connect = now.plus(RECONNECT_MS);
            }
        }
        let handshakes: Vec<_> = self
            .handshakes
            .iter()
            .filter(|(_, handshake)| handshake.link.is_none() && handshake.next_connect <= now)
            .map(|(address, _)| *address)
            .collect();
        for address in handshakes {
            let link = self.open(Far::Handshake(address), address);
            if let Some(handshake) = self.handshakes.get_mut(&address) {
                handshake.link = Some(link);
                handshake.next_connect = now.plus(RECONNECT_MS);
            }
        }
    }

    fn open(&mut self, far: Far, address: SocketAddr) -> LinkId {
        self.links_opened += 1;
        let link = LinkId::outbound(self.links_opened);
        let entry = Link {
            far,
            peer_ip: address.ip(),
            local_ip: None,
            created: self.now,
            connected: false,
            spoke: None,
            ours: false,
        };
        self.links.insert(link, entry);
        let hostname = match far {
            Far::Member(id) => self.peers.get(&id).map(|peer| peer.hostname.clone()),
            _ => None,
        };
        let hostname = hostname.unwrap_or_default();
        self.out.connect.push(Connect { link, address, hostname });
        link
    }

    pub(crate) fn connected(&mut self, link: LinkId, local_ip: IpAddr) {
        let now = self.now;
        let Some(entry) = self.links.get_mut(&link) else { return };
        entry.connected = true;
        entry.created = now;
        entry.local_ip = Some(local_ip);
        let far = entry.far;
        match far {
            Far::Inbound(_) => {}
            Far::Handshake(address) => self.greet(link, address),
            Far::Member(id) => {
                // The clock of an unanswered ping goes on across connections.
                let pending = self.peers.get(&id).and_then(|peer| peer.ping_sent);
                self.ping(id);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.ping_sent = pending.or(peer.ping_sent);
                }
            }
        }
    }

    pub(crate) fn connect_failed(&mut self, link: LinkId, refused: bool) {
        let Some(entry) = self.links.remove(&link) else { return };
        self.unlinked(link, entry.far);
        if let (Far::Member(id), true) = (entry.far, refused) {
            self.suspect_refused(id);
        }
    }

    pub(crate) fn closed(&mut self, link: LinkId, reset: bool) {
        let Some(entry) = self.links.remove(&link) else { return };
        self.unlinked(link, entry.far);
        if let (Far::Member(id), true) = (entry.far, reset) {
            // The peer's host ended it: knock at once, for a refusal will tell that it is dead.
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.next_connect = self.now;
            }
            self.connect_members();
        }
    }

    /// A member or a handshake lost its link; its ping stays unanswered.
    fn unlinked(&mut self, link: LinkId, far: Far) {
        let now = self.now;
        match far {
            Far::Inbound(_) => {}
            Far::Handshake(address) => {
                if let Some(handshake) = self.handshakes.get_mut(&address) {
                    handshake.link = handshake.link.filter(|current| *current != link);
                }
            }
            Far::Member(id) => {
                let Some(peer) = self.peers.get_mut(&id) else { return };
                if peer.link == Some(link) {
                    peer.link = None;
                    peer.ping_sent = peer.ping_sent.or(Some(now));
                }
                self.look_up(id);
            }
        }
    }

    /// Asks where a member's announced name is now.
    pub(crate) fn look_up(&mut self, id: NodeId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.hostname.is_empty() || peer.resolve_after > now {
            return;
        }
        peer.resolve_after = now.plus(RESOLVE_AGAIN_MS);
        let hostname = peer.hostname.clone();
        self.out.resolve.push(Resolve { node: id, hostname });
    }

    pub(crate) fn resolved(&mut self, id: NodeId, ip: Option<IpAddr>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let connected =
            peer.link.and_then(|link| self.links.get(&link)).is_some_and(|link| link.connected);
        // A link that stands is better evidence than a name, which may be an old answer.
        if let (Some(ip), false) = (ip, connected)
            && peer.ip != Some(ip)
        {
            peer.ip = Some(ip);
            peer.next_connect = self.now;
            self.drop_link_of(id);
            self.changed();
            self.connect_members();
        }
    }

    /// Closes our link to a member.
    pub(crate) fn drop_link_of(&mut self, id: NodeId) {
        let link = self.peers.get_mut(&id).and_then(|peer| peer.link.take());
        if let Some(link) = link {
            self.close(link);
        }
    }

    /// Closes any link.
    pub(crate) fn close(&mut self, link: LinkId) {
        if let Some(entry) = self.links.remove(&link) {
            self.unlinked(link, entry.far);
            self.out.close.push(link);
        }
    }

    /// What every packet says of us; see the gate in `node.rs`.
    pub(crate) fn header(&self) -> Header {
        let told = self.told.as_ref();
        let primary = told.map_or(self.primary, |told| told.primary);
        let mut bits = flags::MYSELF;
        bits |= if primary.is_some() { flags::REPLICA } else { flags::PRIMARY };
        bits |= if self.config.replica_no_failover { flags::NO_FAILOVER } else { 0 };
        bits |= if self.migrate_to { flags::MIGRATE_TO } else { 0 };
        let paused = self.manual.paused_offset.filter(|_| primary.is_none());
        let (port, second_port) = self.config.ports.for_bus(self.config.tls_cluster);
        Header {
            sender: self.id,
            current_epoch: self.current_epoch,
            config_epoch: told.map_or_else(|| self.own_config_epoch(), |told| told.config_epoch),
            offset: paused.unwrap_or(self.facts.offset),
            slots: told.map_or_else(|| self.own_slots(), |told| told.slots.clone()),
            replica_of: primary,
            ip: self.config.announce_ip,
            port,
            second_port,
            bus_port: self.config.bus_port,
            flags: bits,
            cluster_ok: self.health.ok,
            paused: paused.is_some(),
            force_vote: false,
            extensions: true,
            ours: true,
        }
    }

    /// Sends a packet on one link.
    pub(crate) fn send(&mut self, link: LinkId, packet: &Packet, after: Option<Ticket>) {
        self.send_to(&[link], packet, after);
    }

    /// Sends one packet on many links.
    pub(crate) fn send_to(&mut self, links: &[LinkId], packet: &Packet, after: Option<Ticket>) {
        if links.is_empty() {
            return;
        }
        let frame: Arc<[u8]> = encode(packet).into();
        self.counters.sent.count(&packet.body, links.len() as u64);
        for link in links {
            self.out.send.push(Send { link: *link, frame: Arc::clone(&frame), after });
        }
    }

    /// Links that stand to all members.
    pub(crate) fn all_links(&self) -> Vec<LinkId> {
        self.links_where(|_| true)
    }

    /// Links that stand to the members that fit.
    pub(crate) fn links_where(&self, fits: impl Fn(NodeId) -> bool) -> Vec<LinkId> {
        let stands = |link: &LinkId| self.links.get(link).is_some_and(|link| link.connected);
        self.peers
            .iter()
            .filter(|(id, _)| fits(**id))
            .filter_map(|(_, peer)| peer.link)
            .filter(stands)
            .collect()
    }

    /// The link to a member, when it stands.
    pub(crate) fn link_of(&self, id: NodeId) -> Option<LinkId> {
        let link = self.peers.get(&id)?.link?;
        self.links.get(&link).filter(|link| link.connected).map(|_| link)
    }

    /// A packet of ours.
    pub(crate) fn packet_of(&self, body: Body) -> Packet {
        Packet { header: self.header(), body }
    }

    pub(crate) fn publish(&mut self, channel: Vec<u8>, message: Vec<u8>, sharded: bool) {
        let shard = self.primary.unwrap_or(self.id);
        let links = self.links_where(|id| {
            let peer = self.peers.get(&id);
            !sharded || id == shard || peer.is_some_and(|peer| peer.primary == Some(shard))
        });
        let packet = self.packet_of(Body::Publish { channel, message, sharded });
        self.send_to(&links, &packet, None);
    }
}
