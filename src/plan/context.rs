//! What all parts of the planner look at: the wish, the facts, and the picture made of them.

use std::collections::BTreeSet;

use holdfast_wire::id::ClusterId;

use super::step::Step;
use super::topology::{Member, Topology, shards_to_keep};
use crate::api::Carried;
use crate::observed::{NodeView, Observed, PodFact, StatefulSetFact};
use crate::resources::{TEMPLATE_VERSION, revision};
use crate::validate::ValidatedCluster;

pub(super) struct Context<'a> {
    pub(super) cluster: &'a ValidatedCluster,
    pub(super) observed: &'a Observed,
    pub(super) cluster_id: ClusterId,
    pub(super) topology: Topology<'a>,
    /// Shards that are wished for or still own slots.
    pub(super) shards: BTreeSet<u16>,
    /// What every pod shall be made from.
    pub(super) revision: String,
}

impl<'a> Context<'a> {
    /// `None` until the cluster's identity is durable.
    pub(super) fn new(cluster: &'a ValidatedCluster, observed: &'a Observed) -> Option<Self> {
        observed.carried.template_version?;
        let cluster_id: ClusterId = observed.carried.cluster_id.as_ref()?.parse().ok()?;
        let topology = Topology::new(&cluster.name, &cluster_id.to_string(), observed);
        let shards = shards_to_keep(cluster.shards, &topology);
        let revision = revision(cluster, cluster_id);
        Some(Self { cluster, observed, cluster_id, topology, shards, revision })
    }

    /// Pods that a shard has when nothing is being scaled.
    pub(super) fn pods_per_shard(&self) -> u16 {
        self.cluster.replicas_per_shard + 1
    }

    pub(super) fn stateful_set(&self, shard: u16) -> Option<&'a StatefulSetFact> {
        self.observed.stateful_sets.iter().find(|set| set.shard == shard)
    }

    /// Pods that a shard has or shall have now: while it is scaled down, still the old number.
    pub(super) fn pods_of_shard(&self, shard: u16) -> u16 {
        let existing = self.stateful_set(shard).filter(|set| !set.deleting);
        let existing = existing.map_or(0, |set| set.replicas);
        if self.shards.contains(&shard) { existing.max(self.pods_per_shard()) } else { existing }
    }

    /// A pod of this place exists or will be made.
    pub(super) fn will_have_pod(&self, shard: u16, ordinal: u16) -> bool {
        ordinal < self.pods_of_shard(shard)
    }

    pub(super) fn pod(&self, shard: u16, ordinal: u16) -> Option<&'a PodFact> {
        self.observed.pods.iter().find(|pod| (pod.shard, pod.ordinal) == (shard, ordinal))
    }

    /// The member that lives in this pod.
    pub(super) fn member_at(&self, shard: u16, ordinal: u16) -> Option<&Member<'a>> {
        let at = |member: &&Member<'_>| (member.pod.shard, member.pod.ordinal) == (shard, ordinal);
        self.topology.members.values().find(at)
    }

    fn every_place(&self) -> impl Iterator<Item = (u16, u16)> {
        self.shards
            .iter()
            .flat_map(|shard| (0..self.pods_of_shard(*shard)).map(|ordinal| (*shard, ordinal)))
    }

    pub(super) fn all_pods_exist(&self) -> bool {
        self.every_place().all(|(shard, ordinal)| self.pod(shard, ordinal).is_some())
    }

    /// Every pod that there is or shall be answers as a member.
    pub(super) fn all_pods_answer(&self) -> bool {
        self.every_place().all(|(shard, ordinal)| self.member_at(shard, ordinal).is_some())
            && self.observed.pods.iter().all(|pod| matches!(pod.view, NodeView::Answered { .. }))
    }

    /// Every pod of this shard answers as a member.
    pub(super) fn whole_shard_answers(&self, shard: u16) -> bool {
        (0..self.pods_of_shard(shard)).all(|ordinal| self.member_at(shard, ordinal).is_some())
    }

    /// Every slot is owned by a member that serves and whose shard is wished for.
    pub(super) fn is_covered_by_wished_shards(&self) -> bool {
        let members = self.topology.members.values();
        self.topology.is_covered()
            && members
                .filter(|member| !member.slots.is_empty())
                .all(|member| member.pod.shard < self.cluster.shards)
    }
}

/// Before anything else the cluster gets a name that its nodes will carry, and that name is made
/// durable: nodes that carry another name never join.
pub(super) fn decide_identity(cluster: &ValidatedCluster, observed: &Observed) -> Step {
    let known = observed.carried.cluster_id.as_ref();
    let known = known.filter(|id| id.parse::<ClusterId>().is_ok());
    Step::Record(Carried {
        cluster_id: Some(known.cloned().unwrap_or_else(|| cluster.new_cluster_id.to_string())),
        template_version: Some(observed.carried.template_version.unwrap_or(TEMPLATE_VERSION)),
        formed: observed.carried.formed,
    })
}
