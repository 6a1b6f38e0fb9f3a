//! One picture of the cluster, put together from what each node says.
//!
//! Every node that answers is a *member*; every node that members only speak of is *heard of*.
//!
//!   cache-0-0  answers  A: primary, slots 0-8191, epoch 1      member
//!   cache-0-1  answers  B: replica of A                        member
//!   cache-1-0  silent                                          (whoever it is)
//!   A and B speak of    C: primary, slots 8192-16383, epoch 2  heard of, pod cache-1-0 by its name
//!
//! Who owns a slot: the claim with the highest config epoch wins, as on the bus. A member's claim
//! is its own word; the claim of one that is heard of is all that any member believes of it, so
//! that a silent node is never taken for one that owns nothing.
//! Not known here: the wish, and what to do.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;
use holdfast_wire::state::{BootState, NodeRole, NodeState, PeerState};

use super::step::Address;
use crate::observed::{Observed, PodFact};
use crate::resources::parse_pod_name;

/// A node that answered.
pub(crate) struct Member<'a> {
    pub(crate) id: NodeId,
    pub(crate) pod: &'a PodFact,
    pub(crate) state: &'a NodeState,
    /// Milliseconds for which it has answered like this.
    pub(crate) for_ms: u64,
    /// Whom it follows; `None` for a primary.
    pub(crate) primary_id: Option<NodeId>,
    /// Slots that are its own after all claims were weighed.
    pub(crate) slots: SlotSet,
    /// Whom it knows, by id.
    pub(crate) peers: BTreeMap<NodeId, &'a PeerState>,
}

/// A node that did not answer but that members speak of.
pub(crate) struct Heard {
    pub(crate) id: NodeId,
    /// The pod that it lived in: shard and ordinal.
    pub(crate) place: Option<(u16, u16)>,
    /// Its shard, from its pod, its primary or its replicas.
    pub(crate) shard: Option<u16>,
    pub(crate) primary_id: Option<NodeId>,
    /// The boot id that its peers know; empty when none does.
    pub(crate) boot_id: String,
    pub(crate) config_epoch: u64,
    /// Highest offset that anybody heard it announce.
    pub(crate) offset: u64,
    /// Some member says FAIL.
    pub(crate) fail: bool,
    /// Some member has a bus link to it.
    pub(crate) connected: bool,
    pub(crate) slots: SlotSet,
}

/// The picture.
pub(crate) struct Topology<'a> {
    pub(crate) members: BTreeMap<NodeId, Member<'a>>,
    pub(crate) heard: BTreeMap<NodeId, Heard>,
    /// Pods whose node is of another cluster, or has an id that another pod has too.
    pub(crate) foreign: Vec<&'a PodFact>,
    /// Slots that nobody claims.
    pub(crate) unowned: SlotSet,
}

impl<'a> Topology<'a> {
    pub(crate) fn new(cluster_name: &str, cluster_id: &str, observed: &'a Observed) -> Self {
        let mut members = BTreeMap::new();
        let mut foreign = Vec::new();
        for pod in &observed.pods {
            let Some(member) = member(pod) else { continue };
            if member.state.cluster_id != cluster_id || members.contains_key(&member.id) {
                foreign.push(pod);
            } else {
                members.insert(member.id, member);
            }
        }
        let mut heard = hearsay(cluster_name, &members);
        find_shards(observed, &members, &mut heard);
        let unowned = weigh_claims(&mut members, &mut heard);
        Self { members, heard, foreign, unowned }
    }

    /// Members whose pod is of this shard, by ordinal.
    pub(crate) fn shard_members(&self, shard: u16) -> Vec<&Member<'a>> {
        let mut members: Vec<_> =
            self.members.values().filter(|member| member.pod.shard == shard).collect();
        members.sort_by_key(|member| member.pod.ordinal);
        members
    }

    /// The node that leads a shard: the one with most of its slots, member or not; without any
    /// slots, a member that others follow, else none that could be told from the rest.
    pub(crate) fn leader(&self, shard: u16) -> Leader<'_, 'a> {
        let owner = self.shard_members(shard).into_iter().filter(|member| !member.slots.is_empty());
        let owner = owner.max_by_key(|member| (member.slots.len(), member.state.config_epoch));
        let absent = self
            .heard
            .values()
            .filter(|heard| heard.shard == Some(shard) && !heard.slots.is_empty())
            .max_by_key(|heard| (heard.slots.len(), heard.config_epoch));
        match (owner, absent) {
            (Some(member), Some(heard)) if heard.slots.len() > member.slots.len() => Leader::Absent,
            (Some(member), _) => Leader::Member(member),
            (None, Some(_)) => Leader::Absent,
            (None, None) => self.leader_without_slots(shard),
        }
    }

    fn leader_without_slots(&self, shard: u16) -> Leader<'_, 'a> {
        let members = self.shard_members(shard);
        let followers =
            |id: NodeId| members.iter().filter(|member| member.primary_id == Some(id)).count();
        let mut primaries: Vec<_> =
            members.iter().filter(|member| member.is_serving_primary()).collect();
        primaries.sort_by_key(|member| std::cmp::Reverse(followers(member.id)));
        primaries.first().map_or(Leader::Nobody, |member| Leader::Member(member))
    }

    /// Members that follow this node.
    pub(crate) fn replicas_of(&self, id: NodeId) -> impl Iterator<Item = &Member<'a>> {
        self.members.values().filter(move |member| member.primary_id == Some(id))
    }

    /// Nodes that own slots, whether they answer or not.
    pub(crate) fn voters(&self) -> usize {
        let members = self.members.values().filter(|member| !member.slots.is_empty()).count();
        members + self.heard.values().filter(|heard| !heard.slots.is_empty()).count()
    }

    /// True when every slot is owned by a member that serves.
    pub(crate) fn is_covered(&self) -> bool {
        let serving = self
            .members
            .values()
            .filter(|member| member.is_serving_primary())
            .map(|member| u32::from(member.slots.len()))
            .sum::<u32>();
        serving == u32::from(holdfast_wire::slot::SLOTS)
    }
}

/// Who leads a shard.
pub(crate) enum Leader<'t, 'a> {
    /// A node that answers.
    Member(&'t Member<'a>),
    /// A node that owns slots and does not answer.
    Absent,
    /// None of the shard's nodes stands out.
    Nobody,
}

impl Member<'_> {
    pub(crate) fn address(&self) -> Address {
        Address { pod: self.pod.name.clone(), ip: self.pod.ip.clone(), node_id: self.id }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state.boot == BootState::Ready
    }

    pub(crate) fn is_lame(&self) -> bool {
        self.state.boot == BootState::Lame
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.state.boot == BootState::Loading
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.state.boot == BootState::Leaving
    }

    pub(crate) fn is_serving_primary(&self) -> bool {
        self.is_ready() && self.state.role == NodeRole::Primary
    }

    /// A replica that has everything that its primary has told it.
    pub(crate) fn is_synced(&self) -> bool {
        self.is_ready() && self.primary_id.is_some() && self.state.link_up
    }

    /// Knows where the other is.
    pub(crate) fn knows(&self, other: &Member<'_>) -> bool {
        self.peers.get(&other.id).is_some_and(|peer| peer.connected || peer.address == other.pod.ip)
    }

    /// A migration of this node is running, in either direction.
    pub(crate) fn is_migrating(&self) -> bool {
        self.state.migrations.iter().any(|migration| migration.state == "running")
    }

    /// Holds nothing that would be lost with it, and belongs to nobody's copies.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.slots.is_empty() && self.state.keys == 0 && !self.is_migrating()
    }
}

fn parse_id(text: &str) -> Option<NodeId> {
    text.parse().ok()
}

fn member(pod: &PodFact) -> Option<Member<'_>> {
    let crate::observed::NodeView::Answered { state, for_ms } = &pod.view else { return None };
    let id = parse_id(&state.node_id)?;
    let peers = state.peers.iter().filter_map(|peer| Some((parse_id(&peer.node_id)?, peer)));
    let is_replica = state.role == NodeRole::Replica;
    let slots = if is_replica { SlotSet::new() } else { SlotSet::from_ranges(&state.slots) };
    Some(Member {
        id,
        pod,
        state,
        for_ms: *for_ms,
        primary_id: parse_id(&state.primary_id).filter(|_| is_replica),
        slots,
        peers: peers.filter(|(peer, _)| *peer != id).collect(),
    })
}

/// Gathers what members say of those that did not answer.
fn hearsay(cluster_name: &str, members: &BTreeMap<NodeId, Member<'_>>) -> BTreeMap<NodeId, Heard> {
    let mut heard: BTreeMap<NodeId, Heard> = BTreeMap::new();
    let words = members.values().flat_map(|member| &member.peers);
    for (id, peer) in words.filter(|(id, _)| !members.contains_key(id)) {
        let about = heard.entry(*id).or_insert_with(|| Heard {
            id: *id,
            place: None,
            shard: None,
            primary_id: None,
            boot_id: String::new(),
            config_epoch: 0,
            offset: 0,
            fail: false,
            connected: false,
            slots: SlotSet::new(),
        });
        if peer.config_epoch >= about.config_epoch {
            about.config_epoch = peer.config_epoch;
            about.primary_id =
                parse_id(&peer.primary_id).filter(|_| peer.role == NodeRole::Replica);
            if !peer.boot_id.is_empty() {
                about.boot_id.clone_from(&peer.boot_id);
            }
        }
        let name = peer.hostname.split('.').next().unwrap_or_default();
        about.place = about.place.or_else(|| parse_pod_name(cluster_name, name));
        about.offset = about.offset.max(peer.offset);
        about.fail |= peer.fail;
        about.connected |= peer.connected;
        if peer.role == NodeRole::Primary {
            about.slots = about.slots.union(&SlotSet::from_ranges(&peer.slots));
        }
    }
    heard
}

/// Finds the pods and shards of those that did not answer: by the name that they announced, else
/// by what the operator remembers, else by those that follow them or that they follow.
fn find_shards(
    observed: &Observed,
    members: &BTreeMap<NodeId, Member<'_>>,
    heard: &mut BTreeMap<NodeId, Heard>,
) {
    let mut shards: BTreeMap<NodeId, u16> =
        members.values().map(|member| (member.id, member.pod.shard)).collect();
    let pods = || observed.pods.iter().chain(&observed.departed);
    for about in heard.values_mut() {
        let remembered = pods().find(|pod| {
            pod.incarnation.as_ref().is_some_and(|incarnation| incarnation.node_id == about.id)
        });
        about.place = about.place.or_else(|| remembered.map(|pod| (pod.shard, pod.ordinal)));
        about.shard = about.place.map(|(shard, _)| shard);
        if let Some(shard) = about.shard {
            shards.insert(about.id, shard);
        }
    }
    let by_followers: BTreeMap<NodeId, u16> = members
        .values()
        .filter_map(|member| Some((member.primary_id?, member.pod.shard)))
        .collect();
    for about in heard.values_mut().filter(|about| about.shard.is_none()) {
        let followed = about.primary_id.and_then(|primary| shards.get(&primary).copied());
        about.shard = by_followers.get(&about.id).copied().or(followed);
    }
}

/// Leaves each slot with its strongest claim and returns those without any.
fn weigh_claims(
    members: &mut BTreeMap<NodeId, Member<'_>>,
    heard: &mut BTreeMap<NodeId, Heard>,
) -> SlotSet {
    let own = members
        .values_mut()
        .map(|member| (member.state.config_epoch, true, member.id, &mut member.slots));
    let believed =
        heard.values_mut().map(|about| (about.config_epoch, false, about.id, &mut about.slots));
    let mut claims: Vec<_> = own.chain(believed).collect();
    claims.sort_by_key(|(epoch, is_own_word, id, _)| (*epoch, *is_own_word, *id));
    let mut taken = SlotSet::new();
    for (_, _, _, slots) in claims.into_iter().rev() {
        *slots = slots.difference(&taken);
        taken = taken.union(slots);
    }
    SlotSet::full().difference(&taken)
}

/// Shards that must exist: those that are wished for, and those that still own slots.
pub(crate) fn shards_to_keep(wished: u16, topology: &Topology<'_>) -> BTreeSet<u16> {
    let members = topology.members.values().filter(|member| !member.slots.is_empty());
    let heard = topology.heard.values().filter(|about| !about.slots.is_empty());
    (0..wished)
        .chain(members.map(|member| member.pod.shard))
        .chain(heard.filter_map(|about| about.shard))
        .collect()
}
