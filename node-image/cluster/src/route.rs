//! Where a command belongs: the immutable table that the cores ask.
//!
//! The bus thread publishes a new [`SlotMap`] when something that clients can see changes; a core
//! asks it before it touches the store. One lookup is an index into 16384 small numbers:
//!
//!   slot ---> owners[slot] ---> nodes[owner - 1]      (0: nobody)
//!
//! Not known here: keys (a closure tells which of them are here, and is only called for slots in
//! migration), how the map came about.

use std::collections::BTreeMap;

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{SLOTS, Slot, SlotSet};

use crate::config::Ports;

/// A node as clients are sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedNode {
    /// Its id.
    pub id: NodeId,
    /// What a redirection names, by `cluster-preferred-endpoint-type`.
    pub host: String,
    /// Client ports.
    pub ports: Ports,
    /// The primary that it follows.
    pub primary: Option<NodeId>,
    /// Marked FAIL.
    pub failed: bool,
}

/// Why the cluster does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// The slot has no owner.
    Unbound,
    /// The cluster's state is `fail`.
    Cluster,
    /// The state is `fail`, and only reads are allowed.
    ReadOnly,
    /// This node lost its data and waits to be failed over.
    Lame,
}

/// Which of a command's keys are in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every one.
    All,
    /// Some, not all.
    Some,
    /// None.
    None,
}

/// What a command and its client are, as far as routing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// The client sent ASKING just before, or the command implies it (RESTORE-ASKING).
    pub asking: bool,
    /// The client sent READONLY.
    pub readonly_client: bool,
    /// The command may write.
    pub write: bool,
    /// The command is of sharded pub/sub.
    pub sharded_pubsub: bool,
    /// The command names more than one key.
    pub multiple_keys: bool,
    /// The command is MIGRATE, which is served wherever the slot is in motion.
    pub migrate: bool,
}

/// Where a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Serve it here.
    Here,
    /// The slot is served by that node.
    Moved(&'a RoutedNode),
    /// This one time, ask that node with ASKING.
    Ask(&'a RoutedNode),
    /// Keys of the command are on both sides of a migration.
    TryAgain,
    /// Nobody serves it.
    Down(Down),
}

impl Route<'_> {
    /// The error that the client gets, without the leading `-`; `None` for [`Route::Here`].
    /// `secured`: the client came by TLS, and is sent on to a port that speaks it.
    pub fn error(&self, slot: Slot, secured: bool) -> Option<String> {
        Some(match self {
            Self::Here => return None,
            Self::Moved(node) => {
                format!("MOVED {slot} {}:{}", node.host, node.ports.like(secured))
            }
            Self::Ask(node) => {
                format!("ASK {slot} {}:{}", node.host, node.ports.like(secured))
            }
            Self::TryAgain => "TRYAGAIN Multiple keys request during rehashing of slot".to_owned(),
            Self::Down(Down::Unbound) => "CLUSTERDOWN Hash slot not served".to_owned(),
            Self::Down(Down::Cluster) => "CLUSTERDOWN The cluster is down".to_owned(),
            Self::Down(Down::ReadOnly) => {
                "CLUSTERDOWN The cluster is down and only accepts read commands".to_owned()
            }
            Self::Down(Down::Lame) => {
                "CLUSTERDOWN This node lost its data and waits for a replica to take over"
                    .to_owned()
            }
        })
    }
}

/// Who serves which slot, as one node sees it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotMap {
    /// This node.
    pub my_id: NodeId,
    /// The primary that this node follows.
    pub my_primary: Option<NodeId>,
    /// This node is a primary that lost its data: it serves nothing and takes no replica.
    pub lame: bool,
    /// The primary that this node follows is lame: do not sync from it.
    pub primary_lame: bool,
    /// The cluster's state is `ok`.
    pub ok: bool,
    /// Every known node that is no longer in handshake, sorted by id.
    pub nodes: Vec<RoutedNode>,
    pub(crate) owners: Box<[u16]>,
    pub(crate) migrating: BTreeMap<Slot, NodeId>,
    pub(crate) importing: BTreeMap<Slot, NodeId>,
    pub(crate) allow_reads_when_down: bool,
    pub(crate) allow_pubsubshard_when_down: bool,
}

impl SlotMap {
    /// A map in which nobody owns anything: what a core starts with.
    pub fn empty(my_id: NodeId) -> Self {
        Self {
            my_id,
            my_primary: None,
            lame: false,
            primary_lame: false,
            ok: false,
            nodes: Vec::new(),
            owners: vec![0; usize::from(SLOTS)].into_boxed_slice(),
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            allow_reads_when_down: false,
            allow_pubsubshard_when_down: true,
        }
    }

    /// The node with that id.
    pub fn node(&self, id: NodeId) -> Option<&RoutedNode> {
        let at = self.nodes.binary_search_by_key(&id, |node| node.id).ok()?;
        self.nodes.get(at)
    }

    /// The owner of a slot.
    pub fn owner(&self, slot: Slot) -> Option<&RoutedNode> {
        let index = *self.owners.get(usize::from(slot.0))?;
        self.nodes.get(usize::from(index).checked_sub(1)?)
    }

    /// The slots that a node owns.
    pub fn slots_of(&self, id: NodeId) -> SlotSet {
        let Ok(at) = self.nodes.binary_search_by_key(&id, |node| node.id) else {
            return SlotSet::new();
        };
        Slot::all()
            .zip(self.owners.iter())
            .filter(|(_, owner)| usize::from(**owner) == at + 1)
            .map(|(slot, _)| slot)
            .collect()
    }

    /// Where a slot of ours is on its way to.
    pub fn migrating_to(&self, slot: Slot) -> Option<NodeId> {
        self.migrating.get(&slot).copied()
    }

    /// Where a slot comes to us from.
    pub fn importing_from(&self, slot: Slot) -> Option<NodeId> {
        self.importing.get(&slot).copied()
    }

    /// True when keys of this slot may be here although commands without ASKING are sent away, or
    /// may be gone although they are not: the only case in which `route` calls its closure.
    pub fn in_motion(&self, slot: Slot) -> bool {
        self.migrating.contains_key(&slot) || self.importing.contains_key(&slot)
    }

    /// Where a command on keys of `slot` goes. The caller has made sure that all its keys are in
    /// that slot (else CROSSSLOT).
    pub fn route(
        &self,
        slot: Slot,
        access: Access,
        presence: impl FnOnce() -> Presence,
    ) -> Route<'_> {
        let Some(owner) = self.owner(slot) else { return Route::Down(Down::Unbound) };
        if let Some(down) = self.down_for(access) {
            return Route::Down(down);
        }
        if owner.id == self.my_id {
            return self.route_own(slot, access, presence);
        }
        if self.importing.contains_key(&slot) {
            if access.migrate {
                return Route::Here;
            }
            if access.asking {
                // With one key the command is served even when the key is not here: it may be
                // about to be created.
                return if access.multiple_keys && presence() != Presence::All {
                    Route::TryAgain
                } else {
                    Route::Here
                };
            }
        }
        // Channels live at every node of the shard; the bus takes messages to all of them.
        let reads_here = access.sharded_pubsub
            || (access.readonly_client && !access.write && !self.primary_lame);
        if reads_here && self.my_primary == Some(owner.id) {
            return Route::Here;
        }
        Route::Moved(owner)
    }

    fn down_for(&self, access: Access) -> Option<Down> {
        if self.ok {
            return None;
        }
        if access.sharded_pubsub {
            return (!self.allow_pubsubshard_when_down).then_some(Down::Cluster);
        }
        match (self.allow_reads_when_down, access.write) {
            (false, _) => Some(Down::Cluster),
            (true, true) => Some(Down::ReadOnly),
            (true, false) => None,
        }
    }

    fn route_own(
        &self,
        slot: Slot,
        access: Access,
        presence: impl FnOnce() -> Presence,
    ) -> Route<'_> {
        if self.lame {
            return Route::Down(Down::Lame);
        }
        let Some(target) = self.migrating_to(slot).and_then(|id| self.node(id)) else {
            return Route::Here;
        };
        // A channel has no key that could have gone already.
        if access.migrate || access.sharded_pubsub {
            return Route::Here;
        }
        match presence() {
            Presence::All => Route::Here,
            Presence::Some => Route::TryAgain,
            Presence::None => Route::Ask(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u8, primary: Option<u8>) -> RoutedNode {
        RoutedNode {
            id: NodeId([id; 20]),
            host: format!("10.0.0.{id}"),
            ports: Ports { plain: 6379, tls: 0 },
            primary: primary.map(|id| NodeId([id; 20])),
            failed: false,
        }
    }

    fn map() -> SlotMap {
        let mut map = SlotMap::empty(NodeId([1; 20]));
        map.nodes = vec![node(1, None), node(2, None), node(3, Some(2))];
        map.ok = true;
        map.owners[..100].fill(1);
        map.owners[100..200].fill(2);
        map
    }

    const ONE_KEY: Access = Access {
        asking: false,
        readonly_client: false,
        write: true,
        sharded_pubsub: false,
        multiple_keys: false,
        migrate: false,
    };

    fn error(map: &SlotMap, slot: u16, access: Access, presence: Presence) -> Option<String> {
        map.route(Slot(slot), access, || presence).error(Slot(slot), false)
    }

    #[test]
    fn an_own_slot_is_served_and_others_are_named() {
        let map = map();
        assert_eq!(error(&map, 5, ONE_KEY, Presence::None), None);
        let moved = error(&map, 150, ONE_KEY, Presence::None);
        assert_eq!(moved.as_deref(), Some("MOVED 150 10.0.0.2:6379"));
        let unbound = error(&map, 500, ONE_KEY, Presence::None);
        assert_eq!(unbound.as_deref(), Some("CLUSTERDOWN Hash slot not served"));
        assert_eq!(map.slots_of(NodeId([2; 20])).ranges(), [(100, 199)]);
    }

    #[test]
    fn a_slot_on_its_way_out_asks_for_what_is_gone() {
        let mut map = map();
        map.migrating.insert(Slot(5), NodeId([2; 20]));
        assert_eq!(error(&map, 5, ONE_KEY, Presence::All), None);
        let ask = error(&map, 5, ONE_KEY, Presence::None);
        assert_eq!(ask.as_deref(), Some("ASK 5 10.0.0.2:6379"));
        assert!(error(&map, 5, ONE_KEY, Presence::Some).unwrap().starts_with("TRYAGAIN"));
        assert_eq!(error(&map, 5, Access { migrate: true, ..ONE_KEY }, Presence::None), None);
    }

    #[test]
    fn a_slot_on_its_way_in_serves_those_who_ask() {
        let mut map = map();
        map.importing.insert(Slot(150), NodeId([2; 20]));
        assert!(error(&map, 150, ONE_KEY, Presence::All).unwrap().starts_with("MOVED"));
        let asking = Access { asking: true, ..ONE_KEY };
        assert_eq!(error(&map, 150, asking, Presence::None), None);
        let many = Access { multiple_keys: true, ..asking };
        assert!(error(&map, 150, many, Presence::Some).unwrap().starts_with("TRYAGAIN"));
        assert_eq!(error(&map, 150, many, Presence::All), None);
    }

    #[test]
    fn a_replica_serves_reads_to_readonly_clients_alone() {
        let mut map = map();
        map.my_id = NodeId([3; 20]);
        map.my_primary = Some(NodeId([2; 20]));
        let read = Access { write: false, readonly_client: true, ..ONE_KEY };
        assert_eq!(error(&map, 150, read, Presence::None), None);
        assert!(error(&map, 5, read, Presence::None).is_some());
        assert!(error(&map, 150, Access { write: true, ..read }, Presence::None).is_some());
    }

    #[test]
    fn channels_of_a_shard_are_served_by_all_its_nodes_until_the_slot_has_moved() {
        let mut map = map();
        let channel = Access { write: false, sharded_pubsub: true, ..ONE_KEY };
        map.migrating.insert(Slot(5), NodeId([2; 20]));
        assert_eq!(error(&map, 5, channel, Presence::None), None);
        map.my_id = NodeId([3; 20]);
        map.my_primary = Some(NodeId([2; 20]));
        assert_eq!(error(&map, 150, channel, Presence::None), None);
        assert!(error(&map, 5, channel, Presence::None).unwrap().starts_with("MOVED"));
    }

    #[test]
    fn a_lame_primary_and_a_cluster_that_is_down_serve_nothing() {
        let mut map = map();
        map.lame = true;
        assert_eq!(map.route(Slot(5), ONE_KEY, || Presence::All), Route::Down(Down::Lame));
        map.lame = false;
        map.ok = false;
        assert_eq!(map.route(Slot(5), ONE_KEY, || Presence::All), Route::Down(Down::Cluster));
        map.allow_reads_when_down = true;
        assert_eq!(map.route(Slot(5), ONE_KEY, || Presence::All), Route::Down(Down::ReadOnly));
        let read = Access { write: false, ..ONE_KEY };
        assert_eq!(map.route(Slot(5), read, || Presence::All), Route::Here);
    }
}
