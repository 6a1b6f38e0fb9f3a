//! What keeps the world from being as wished: data, not an error.
//!
//! Each becomes part of a condition; being blocked is a normal thing to say.

use serde::Serialize;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum WaitingFor {
    /// A pod that does not run yet.
    PodRunning,
    /// A node whose pod runs but that does not answer.
    SilentNode,
    /// A node that has not answered for half a minute and more.
    UnreachableNode,
    /// A node that loads its data.
    Loading,
    /// Nodes that do not know each other yet.
    Join,
    /// A pod that answers but that Kubernetes does not hold for ready yet.
    PodReady,
    /// A shard that goes and has not proven yet that it is empty.
    Drained,
    /// The cluster to be whole before the next pod of an outdated revision is replaced.
    Update,
    /// A replica that is not in sync yet.
    Sync,
    /// Slots that move.
    Migration,
    /// An election that the nodes hold.
    Election,
    /// A hand-over between living nodes.
    HandOver,
    /// A death that is likely but not proven.
    ProofOfDeath,
    /// A person, since `failover.quorumLoss` is `Manual`.
    ManualFailover,
    /// A person, since every copy of some slots is gone.
    LostSlots,
    /// A person, since pods hold the state of another cluster.
    ForeignState,
    /// A person, since a primary has no replica to hand over to.
    NoReplica,
    /// A person, since the shards that stay could not hold the data.
    NoRoom,
    /// Pods or objects that are on their way out.
    Deletion,
    /// A person, since `deletionPolicy` is `Protect`.
    Protected,
}

/// One thing that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Waiting {
    /// What kind of thing.
    pub reason: WaitingFor,
    /// The pod, the shard or the node id in question.
    pub about: String,
    /// A sentence for a person.
    pub message: String,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.about, self.message)
    }
}
