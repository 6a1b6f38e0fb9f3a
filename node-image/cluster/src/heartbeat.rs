//! Heartbeats: whom to ping and when, what to tell about others, what to learn from it.
//!
//! Once a second, of five members drawn by lot, the one that was silent for longest is pinged;
//! and everybody from whom nothing came for half the node timeout. Each heartbeat tells of a tenth
//! of the members, at least three, and of all that are suspected, so that suspicions meet fast.
//! Not known here: when suspicions make a failure.

use std::net::IpAddr;

use holdfast_wire::bus::{Body, Extensions, Gossip, Header, Heartbeat, Holdfast, flags};
use holdfast_wire::id::NodeId;

use crate::event::{LinkId, Millis};
use crate::node::Node;
use crate::peer::{Kind, Peer};

/// Cron runs between two pings by lot.
const LOT_EVERY_RUNS: u64 = 10;
/// A gossiped time of a PONG may lie that far in the future: clocks differ.
const CLOCK_SKEW_MS: u64 = 500;

impl Node {
    /// Pings a member when the link to it stands.
    pub(crate) fn ping(&mut self, id: NodeId) {
        let Some(link) = self.link_of(id) else { return };
        let beat = self.build_heartbeat(Some(id), Kind::Unknown);
        let packet = self.packet_of(Body::Ping(beat));
        self.send(link, &packet, None);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.ping_sent = peer.ping_sent.or(Some(self.now));
        }
    }

    /// Pings a replica of ours with the wish that it takes over.
    pub(crate) fn ping_to_take_over(&mut self, id: NodeId) {
        let Some(link) = self.link_of(id) else { return };
        let mut beat = self.build_heartbeat(Some(id), Kind::Ours);
        if let Some(ours) = &mut beat.extensions.holdfast {
            ours.take_over = true;
        }
        let packet = self.packet_of(Body::Ping(beat));
        self.send(link, &packet, None);
    }

    /// Answers a PING or MEET on its own link, whoever sent it.
    pub(crate) fn answer_ping(&mut self, link: LinkId, header: &Header) {
        let kind = if header.ours { Kind::Ours } else { Kind::Foreign };
        let to = self.peers.contains_key(&header.sender).then_some(header.sender);
        let beat = self.build_heartbeat(to, kind);
        let packet = self.packet_of(Body::Pong(beat));
        self.send(link, &packet, None);
    }

    /// Tells everybody our news without waiting for the next ping.
    pub(crate) fn broadcast_pong(&mut self) {
        self.pong_to(|_| true);
    }

    /// Tells our news to the members that fit.
    pub(crate) fn pong_to(&mut self, fits: impl Fn(&Peer) -> bool) {
        let ids: Vec<_> =
            self.peers.iter().filter(|(_, peer)| fits(peer)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(link) = self.link_of(id) else { continue };
            let beat = self.build_heartbeat(Some(id), Kind::Unknown);
            let packet = self.packet_of(Body::Pong(beat));
            self.send(link, &packet, None);
        }
    }

    /// Gossip, and what extensions the receiver understands. `seen` is its kind by the packet
    /// that is being answered, when there is one.
    pub(crate) fn build_heartbeat(&mut self, to: Option<NodeId>, seen: Kind) -> Heartbeat {
        let gossip = self.choose_gossip(to);
        let peer = to.and_then(|id| self.peers.get(&id));
        let kind = match seen {
            Kind::Unknown => peer.map_or(Kind::Unknown, |peer| peer.kind),
            known => known,
        };
        let ours = kind == Kind::Ours;
        let modern = ours || peer.is_some_and(|peer| peer.extensions_72);
        let named = ours || peer.is_some_and(|peer| peer.extensions);
        let name = |name: &str, fits: bool| (fits && !name.is_empty()).then(|| name.to_owned());
        let extensions = Extensions {
            hostname: name(&self.config.hostname, named),
            human_name: name(&self.config.human_name, modern),
            shard: (modern && !ours).then_some(self.shard),
            forgotten: Vec::new(),
            holdfast: ours.then_some(Holdfast {
                cluster: self.config.cluster_id,
                boot: self.config.boot_id,
                shard: self.shard,
                lame: self.lame,
                take_over: false,
            }),
            unknown: 0,
        };
        Heartbeat { gossip, extensions }
    }

    fn choose_gossip(&mut self, to: Option<NodeId>) -> Vec<Gossip> {
        let now_s = |moment: Millis| (moment.0 / 1000) as u32;
        let mut by_lot: Vec<NodeId> = Vec::new();
        let mut chosen: Vec<NodeId> = Vec::new();
        for (id, peer) in &self.peers {
            // A node tells nothing about the receiver to itself.
            if Some(*id) == to || peer.ip.is_none() {
                continue;
            }
            if !peer.well() {
                chosen.push(*id);
            } else if peer.link.is_some() || self.slots.has_slots(*id) {
                by_lot.push(*id);
            }
        }
        let wanted = 3.max((self.peers.len() + 1) / 10).min(by_lot.len());
        for _ in 0..wanted {
            let at = self.rng.below(by_lot.len() as u64) as usize;
            chosen.push(by_lot.swap_remove(at));
        }
        chosen
            .into_iter()
            .filter_map(|id| {
                let peer = self.peers.get(&id)?;
                Some(Gossip {
                    node: id,
                    ping_sent_s: peer.ping_sent.map_or(0, now_s),
                    pong_received_s: now_s(peer.pong_received),
                    ip: peer.ip,
                    port: peer.port,
                    bus_port: peer.bus_port,
                    flags: peer.flags(),
                    second_port: peer.second_port,
                })
            })
            .collect()
    }

    pub(crate) fn send_periodic_pings(&mut self) {
        let silence = self.config.node_timeout_ms / 2;
        let waiting = |peer: &Peer| peer.ping_sent.is_none() && peer.link.is_some();
        let mut late: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(id, peer)| {
                let silent = self.now.since(peer.pong_received) > silence;
                waiting(peer) && (silent || self.manual.replica == Some(**id))
            })
            .map(|(id, _)| *id)
            .collect();
        if self.cron_runs.is_multiple_of(LOT_EVERY_RUNS) {
            let ids: Vec<_> =
                self.peers.iter().filter(|(_, peer)| waiting(peer)).map(|(id, _)| *id).collect();
            let drawn: Vec<_> = (0..5).filter_map(|_| self.rng.pick(&ids).copied()).collect();
            let heard = |id: &NodeId| self.peers.get(id).map(|peer| peer.pong_received);
            late.extend(drawn.into_iter().min_by_key(heard).filter(|id| !late.contains(id)));
        }
        for id in late {
            self.ping(id);
        }
    }

    /// Takes in what a member says of others.
    pub(crate) fn learn_gossip(&mut self, sender: NodeId, gossip: &[Gossip]) {
        for entry in gossip {
            if entry.node == self.id {
                continue;
            }
            if self.peers.contains_key(&entry.node) {
                self.learn_of_member(sender, entry);
            } else {
                self.learn_of_new(entry);
            }
        }
    }

    fn learn_of_member(&mut self, sender: NodeId, entry: &Gossip) {
        let now = self.now;
        let failing = entry.flags & (flags::FAIL | flags::PFAIL) != 0;
        if self.votes(sender) {
            if failing {
                self.report_failure(entry.node, sender);
            } else {
                self.withdraw_report(entry.node, sender);
            }
        }
        let Some(peer) = self.peers.get_mut(&entry.node) else { return };
        let quiet = peer.well() && peer.ping_sent.is_none() && peer.reports.is_empty();
        let pong = Millis(u64::from(entry.pong_received_s) * 1000);
        if !failing && quiet && pong > peer.pong_received && pong <= now.plus(CLOCK_SKEW_MS) {
            peer.pong_received = pong.min(now);
        }
        // Somebody reaches it where we do not: perhaps it moved.
        let reachable = !failing && entry.flags & flags::NO_ADDRESS == 0;
        if let (true, false, Some(ip)) = (reachable, peer.well() && peer.ip.is_some(), entry.ip) {
            self.move_peer(entry.node, ip, entry.port, entry.bus_port, entry.second_port);
        }
    }

    fn learn_of_new(&mut self, entry: &Gossip) {
        let barred = flags::NO_ADDRESS | flags::HANDSHAKE;
        let Some(ip) = entry.ip.filter(|ip: &IpAddr| !ip.is_unspecified()) else { return };
        if entry.flags & barred != 0
            || entry.bus_port == 0
            || entry.node.is_zero()
            || self.forgotten.contains_key(&entry.node)
        {
            return;
        }
        let peer = Peer {
            ip: Some(ip),
            port: entry.port,
            bus_port: entry.bus_port,
            second_port: entry.second_port,
            is_replica: entry.flags & flags::REPLICA != 0,
            pong_received: self.now,
            heard: self.now,
            ..Peer::default()
        };
        self.peers.insert(entry.node, peer);
        self.changed();
        self.connect_members();
    }

    /// Takes in what a member says of itself beside the header.
    pub(crate) fn learn_extensions(&mut self, sender: NodeId, extensions: &Extensions) {
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        let mut news = false;
        let mut take = |field: &mut String, told: &Option<String>| {
            if let Some(told) = told
                && field != told
            {
                field.clone_from(told);
                news = true;
            }
        };
        take(&mut peer.hostname, &extensions.hostname);
        take(&mut peer.human_name, &extensions.human_name);
        peer.extensions_72 |= extensions.shard.is_some() && peer.kind == Kind::Foreign;
        let shard = extensions.holdfast.map(|ours| ours.shard).or(extensions.shard);
        if shard.is_some() && peer.shard != shard {
            peer.shard = shard;
            news = true;
        }
        if let Some(ours) = extensions.holdfast {
            peer.boot = Some(ours.boot);
            news |= peer.lame != ours.lame;
            peer.lame = ours.lame;
        }
        if self.primary == Some(sender)
            && let Some(shard) = shard
            && self.shard != shard
        {
            self.shard = shard;
            news = true;
        }
        if news {
            self.changed();
        }
    }

    /// A member answered on our link.
    pub(crate) fn answered(&mut self, id: NodeId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.pong_received = self.now;
        peer.ping_sent = None;
        if peer.pfail {
            peer.pfail = false;
            self.changed();
        }
        self.forgive(id);
    }

    /// The link that a member's packets came on, for CLUSTER LINKS.
    pub(crate) fn inbound_links(&self) -> impl Iterator<Item = (LinkId, NodeId, Millis)> + '_ {
        self.links.iter().filter_map(|(id, link)| match link.far {
            crate::peer::Far::Inbound(Some(node)) => Some((*id, node, link.created)),
            _ => None,
        })
    }
}
