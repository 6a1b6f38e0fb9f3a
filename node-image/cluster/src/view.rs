//! The cluster as this node sees it, in the shapes that clients and operators ask for.
//!
//! Everything here only reads. Not known here: RESP.

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{SLOTS, Slot};
use holdfast_wire::state::{BootState, NodeRole, NodeState, PeerState};

use crate::command::{Endpoint, LinkLine, Shard, ShardNode, SlotRange};
use crate::config::{EndpointType, Ports};
use crate::node::Node;
use crate::nodes_conf::{motion_words, slot_words};
use crate::peer::{Far, Peer};
use crate::route::{RoutedNode, SlotMap};

/// A node, ourselves included, as a view shows it.
struct Shown<'a> {
    id: NodeId,
    ip: String,
    hostname: &'a str,
    ports: Ports,
    peer: Option<&'a Peer>,
}

impl Node {
    fn shown(&self, id: NodeId) -> Option<Shown<'_>> {
        if id == self.id {
            let ip = self.ip.map(|ip| ip.to_string()).unwrap_or_default();
            let (hostname, ports) = (self.config.hostname.as_str(), self.config.ports);
            return Some(Shown { id, ip, hostname, ports, peer: None });
        }
        let peer = self.peers.get(&id)?;
        Some(Shown {
            id,
            ip: peer.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            hostname: &peer.hostname,
            ports: self.ports_of(peer),
            peer: Some(peer),
        })
    }

    /// The client ports of a peer.
    pub(crate) fn ports_of(&self, peer: &Peer) -> Ports {
        Ports::from_bus(peer.port, peer.second_port, self.config.tls_cluster)
    }

    /// Our own port that the bus and nodes.conf name.
    pub(crate) fn own_port(&self) -> u16 {
        self.config.ports.for_bus(self.config.tls_cluster).0
    }

    /// The host that clients are told; none for "the one that you used".
    fn endpoint(&self, shown: &Shown<'_>) -> Option<String> {
        match self.config.endpoint_type {
            EndpointType::Ip => Some(shown.ip.clone()),
            EndpointType::Hostname if shown.hostname.is_empty() => Some("?".to_owned()),
            EndpointType::Hostname => Some(shown.hostname.to_owned()),
            EndpointType::UnknownEndpoint => None,
        }
    }

    pub(crate) fn build_routing(&self) -> SlotMap {
        let mut map = SlotMap::empty(self.id);
        let mut ids: Vec<_> = self.peers.keys().copied().chain([self.id]).collect();
        ids.sort_unstable();
        map.nodes = ids
            .into_iter()
            .filter_map(|id| self.shown(id))
            .map(|shown| RoutedNode {
                id: shown.id,
                host: self.endpoint(&shown).unwrap_or_default(),
                ports: shown.ports,
                primary: shown.peer.map_or(self.primary, |peer| peer.primary),
                failed: shown.peer.is_some_and(Peer::failed),
            })
            .collect();
        for (owner, slots) in self.slots.iter() {
            let at = map.nodes.binary_search_by_key(&owner, |node| node.id);
            let Ok(at) = at else { continue };
            for slot in slots.iter() {
                if let Some(entry) = map.owners.get_mut(usize::from(slot.0)) {
                    *entry = at as u16 + 1;
                }
            }
        }
        map.my_primary = self.primary;
        map.lame = self.lame;
        map.primary_lame =
            self.primary.and_then(|id| self.peers.get(&id)).is_some_and(|peer| peer.lame);
        map.ok = self.health.ok;
        map.migrating.clone_from(&self.migrating);
        map.importing.clone_from(&self.importing);
        map.allow_reads_when_down = self.config.allow_reads_when_down;
        map.allow_pubsubshard_when_down = self.config.allow_pubsubshard_when_down;
        map
    }

    /// `CLUSTER NODES`, for a client that came by TLS or in the clear.
    pub(crate) fn nodes_text(&self, secured: bool) -> String {
        let mut text = self.own_line(secured);
        for id in self.peers.keys() {
            text += &self.peer_line(*id, secured);
        }
        for (address, handshake) in &self.handshakes {
            text += &format!(
                "{} {}:{}@{} handshake - {} 0 0 disconnected\n",
                handshake.id,
                address.ip(),
                handshake.port,
                address.port(),
                handshake.started,
            );
        }
        text
    }

    /// Our own line, with a line end.
    pub(crate) fn own_line(&self, secured: bool) -> String {
        let role = if self.is_primary() { "master" } else { "slave" };
        let no_failover = if self.config.replica_no_failover { ",nofailover" } else { "" };
        format!(
            "{} {}:{}@{}{} myself,{role}{no_failover} {} 0 {} {} connected{}{}\n",
            self.id,
            self.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            self.config.ports.like(secured),
            self.config.bus_port,
            hostname_word(&self.config.hostname),
            self.primary.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            self.now,
            self.own_config_epoch(),
            slot_words(&self.slots.of(self.id)),
            motion_words(self),
        )
    }

    /// The line of a member, with a line end; empty when it is none.
    pub(crate) fn peer_line(&self, id: NodeId, secured: bool) -> String {
        let Some(peer) = self.peers.get(&id) else { return String::new() };
        let mut flags = if peer.is_replica { "slave".to_owned() } else { "master".to_owned() };
        for (word, when) in [
            (",fail?", peer.pfail && !peer.failed()),
            (",fail", peer.failed()),
            (",noaddr", peer.ip.is_none()),
            (",nofailover", peer.no_failover),
        ] {
            flags += if when { word } else { "" };
        }
        let epoch = match peer.primary {
            Some(primary) => self.config_epoch_of(primary),
            None => peer.config_epoch,
        };
        format!(
            "{id} {}:{}@{}{} {flags} {} {} {} {epoch} {}{}\n",
            peer.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            self.ports_of(peer).like(secured),
            peer.bus_port,
            hostname_word(&peer.hostname),
            peer.primary.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            peer.ping_sent.unwrap_or_default(),
            peer.pong_received,
            if self.link_of(id).is_some() { "connected" } else { "disconnected" },
            slot_words(&self.slots.of(id)),
        )
    }

    /// `CLUSTER SLOTS`, for a client that came by TLS or in the clear.
    pub(crate) fn slot_ranges(&self, secured: bool) -> Vec<SlotRange> {
        let mut ranges = Vec::new();
        for (owner, slots) in self.slots.iter() {
            let replicas = self.replicas_of(owner).into_iter();
            let live = |id: &NodeId| !self.peers.get(id).is_some_and(Peer::failed);
            let nodes: Vec<_> = [owner]
                .into_iter()
                .chain(replicas.filter(live))
                .filter_map(|id| self.shown(id))
                .map(|shown| self.endpoint_entry(&shown, secured))
                .collect();
            let entry = |(start, end)| SlotRange { start, end, nodes: nodes.clone() };
            ranges.extend(slots.ranges().into_iter().map(entry));
        }
        ranges.sort_by_key(|range: &SlotRange| range.start);
        ranges
    }

    fn endpoint_entry(&self, shown: &Shown<'_>, secured: bool) -> Endpoint {
        let mut metadata = Vec::new();
        if self.config.endpoint_type != EndpointType::Ip && !shown.ip.is_empty() {
            metadata.push(("ip", shown.ip.clone()));
        }
        if self.config.endpoint_type != EndpointType::Hostname && !shown.hostname.is_empty() {
            metadata.push(("hostname", shown.hostname.to_owned()));
        }
        Endpoint {
            host: self.endpoint(shown),
            port: shown.ports.like(secured),
            id: shown.id,
            metadata,
        }
    }

    /// Replicas of a primary, ourselves included, by id.
    pub(crate) fn replicas_of(&self, primary: NodeId) -> Vec<NodeId> {
        let peers = self.peers.iter().filter(|(_, peer)| peer.primary == Some(primary));
        let me = (self.primary == Some(primary)).then_some(self.id);
        let mut ids: Vec<_> = peers.map(|(id, _)| *id).chain(me).collect();
        ids.sort_unstable();
        ids
    }

    /// `CLUSTER SHARDS`.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        let mut primaries: Vec<_> =
            self.peers.iter().filter(|(_, peer)| !peer.is_replica).map(|(id, _)| *id).collect();
        primaries.extend(self.is_primary().then_some(self.id));
        primaries.sort_unstable();
        let shard = |primary: NodeId| Shard {
            slots: self.slots.of(primary).ranges(),
            nodes: [primary]
                .into_iter()
                .chain(self.replicas_of(primary))
                .filter_map(|id| self.shown(id))
                .map(|shown| self.shard_node(&shown))
                .collect(),
        };
        primaries.into_iter().map(shard).collect()
    }

    fn shard_node(&self, shown: &Shown<'_>) -> ShardNode {
        let replica = shown.peer.map_or(self.primary.is_some(), |peer| peer.is_replica);
        let offset = shown.peer.map_or(self.facts.offset, |peer| peer.offset);
        let health = match shown.peer {
            Some(peer) if !peer.well() => "failed",
            Some(peer) if peer.is_replica && peer.offset == 0 => "loading",
            None if replica && !self.facts.has_copy => "loading",
            _ => "online",
        };
        ShardNode {
            id: shown.id,
            ports: shown.ports,
            ip: shown.ip.clone(),
            endpoint: self.endpoint(shown),
            hostname: shown.hostname.to_owned(),
            role: if replica { "replica" } else { "master" },
            replication_offset: offset,
            health,
        }
    }

    /// `CLUSTER LINKS`.
    pub(crate) fn link_lines(&self) -> Vec<LinkLine> {
        let line = |link, node, created: crate::event::Millis, direction| LinkLine {
            direction,
            node,
            create_time: created.0,
            events: "r",
            send_buffer_allocated: 0,
            send_buffer_used: 0,
            link,
        };
        let outbound = self.links.iter().filter_map(|(id, link)| match link.far {
            Far::Member(node) if link.connected => Some(line(*id, node, link.created, "to")),
            _ => None,
        });
        let inbound = self.inbound_links().map(|(id, node, at)| line(id, node, at, "from"));
        outbound.chain(inbound).collect()
    }

    /// `CLUSTER INFO`.
    pub(crate) fn info_text(&self) -> String {
        let owners_where = |fits: &dyn Fn(&Peer) -> bool| -> u16 {
            let failing = self.peers.iter().filter(|(_, peer)| fits(peer));
            failing.map(|(id, _)| self.slots.count(*id)).sum()
        };
        let (assigned, size) = (self.slots.assigned(), self.slots.size());
        let pfail = owners_where(&|peer| peer.pfail && !peer.failed());
        let fail = owners_where(&Peer::failed);
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            text += &format!("{name}:{value}\r\n");
        };
        // A lame primary serves nothing, however well the others are.
        let serves = self.health.ok && !self.lame;
        line("cluster_state", &if serves { "ok" } else { "fail" });
        line("cluster_slots_assigned", &assigned);
        line("cluster_slots_ok", &(assigned - pfail - fail));
        line("cluster_slots_pfail", &pfail);
        line("cluster_slots_fail", &fail);
        line("cluster_known_nodes", &(self.peers.len() + self.handshakes.len() + 1));
        line("cluster_size", &size);
        line("cluster_current_epoch", &self.current_epoch);
        line("cluster_my_epoch", &self.own_config_epoch());
        for (direction, counters) in
            [("sent", &self.counters.sent), ("received", &self.counters.received)]
        {
            let named = counters.named();
            for (name, count) in named.iter().filter(|(_, count)| *count > 0) {
                line(&format!("cluster_stats_messages_{name}_{direction}"), count);
            }
            let total: u64 = named.iter().map(|(_, count)| count).sum();
            line(&format!("cluster_stats_messages_{direction}"), &total);
        }
        line("total_cluster_links_buffer_limit_exceeded", &0);
        line("holdfast_packets_malformed", &self.counters.malformed);
        line("holdfast_packets_other_cluster", &self.counters.other_cluster);
        line("holdfast_packets_foreign", &self.counters.foreign);
        line("holdfast_lame", &u8::from(self.lame));
        line("holdfast_lease", &"off");
        text
    }

    /// What `HOLDFAST STATE` shows of the cluster; the shell adds what only it knows (pod, memory,
    /// keys, migrations, fence).
    pub fn state(&self) -> NodeState {
        let id_or_empty = |id: Option<NodeId>| id.map(|id| id.to_string()).unwrap_or_default();
        let primary_offset =
            self.primary.and_then(|id| self.peers.get(&id)).map_or(0, |peer| peer.offset);
        let lag = match self.primary {
            Some(_) => primary_offset.saturating_sub(self.facts.offset),
            None => 0,
        };
        let synced = self.facts.synced_replicas.iter().map(|(id, _)| id.to_string()).collect();
        NodeState {
            node_id: self.id.to_string(),
            boot_id: self.config.boot_id.to_string(),
            cluster_id: self.config.cluster_id.map(|id| id.to_string()).unwrap_or_default(),
            boot: match (self.lame, self.leaving.is_some()) {
                (true, _) => BootState::Lame,
                (false, true) => BootState::Leaving,
                (false, false) => BootState::Ready,
            },
            role: if self.is_primary() { NodeRole::Primary } else { NodeRole::Replica },
            primary_id: id_or_empty(self.primary),
            link_up: self.facts.link_up,
            offset: self.facts.offset,
            lag_bytes: lag,
            current_epoch: self.current_epoch,
            config_epoch: self.own_config_epoch(),
            cluster_ok: self.health.ok,
            slots: self.slots.of(self.id).ranges(),
            slots_assigned: self.slots.assigned().min(SLOTS),
            synced_replicas: if self.is_primary() { synced } else { Vec::new() },
            address: self.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            port: self.own_port(),
            bus_port: self.config.bus_port,
            hostname: self.config.hostname.clone(),
            peers: self.peers.iter().map(|(id, peer)| self.peer_state(*id, peer)).collect(),
            ..NodeState::default()
        }
    }

    fn peer_state(&self, id: NodeId, peer: &Peer) -> PeerState {
        PeerState {
            node_id: id.to_string(),
            boot_id: peer.boot.map(|boot| boot.to_string()).unwrap_or_default(),
            address: peer.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            port: peer.port,
            hostname: peer.hostname.clone(),
            role: if peer.is_replica { NodeRole::Replica } else { NodeRole::Primary },
            primary_id: peer.primary.map(|id| id.to_string()).unwrap_or_default(),
            config_epoch: peer.config_epoch,
            offset: peer.offset,
            pfail: peer.pfail,
            fail: peer.failed(),
            connected: self.link_of(id).is_some(),
            lame: peer.lame,
            slots: self.slots.of(id).ranges(),
        }
    }

    /// The owner of a slot, in this node's own view.
    pub fn owner(&self, slot: Slot) -> Option<NodeId> {
        self.slots.owner(slot)
    }
}

fn hostname_word(hostname: &str) -> String {
    if hostname.is_empty() { String::new() } else { format!(",{hostname}") }
}
