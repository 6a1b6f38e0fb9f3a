//! The conditions' types and reasons: the words that people and scripts rely on.
//!
//! Kubernetes' polarity: `Ready` and the like are good when True, `Degraded` and the like when
//! False. Not known here: when which of them holds (`report.rs`).

/// A condition's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The wish is met, and every pod's own view agrees.
    Ready,
    /// Every slot is served.
    Available,
    /// Something is being changed.
    Progressing,
    /// A shard lacks a replica that it shall have, or does not serve.
    Degraded,
    /// Every slot has an owner.
    SlotsCovered,
    /// All nodes know each other, and nobody else.
    TopologyConverged,
    /// Slots are on the move between shards that stay.
    Rebalancing,
    /// Slots are on the move away from shards that go.
    Draining,
    /// Pods of an outdated revision cannot be replaced.
    UpdateBlocked,
    /// Replicas are not wished for.
    NoRedundancy,
    /// Going on could lose data, so the operator does not.
    DataLossRisk,
    /// Enough primaries for the nodes to elect by themselves.
    QuorumSize,
    /// The operator was told to change nothing.
    Paused,
}

impl ConditionType {
    /// All of them, in the order of the status.
    pub const ALL: [Self; 13] = [
        Self::Ready,
        Self::Available,
        Self::Progressing,
        Self::Degraded,
        Self::SlotsCovered,
        Self::TopologyConverged,
        Self::Rebalancing,
        Self::Draining,
        Self::UpdateBlocked,
        Self::NoRedundancy,
        Self::DataLossRisk,
        Self::QuorumSize,
        Self::Paused,
    ];

    /// The word in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::SlotsCovered => "SlotsCovered",
            Self::TopologyConverged => "TopologyConverged",
            Self::Rebalancing => "Rebalancing",
            Self::Draining => "Draining",
            Self::UpdateBlocked => "UpdateBlocked",
            Self::NoRedundancy => "NoRedundancy",
            Self::DataLossRisk => "DataLossRisk",
            Self::QuorumSize => "QuorumSize",
            Self::Paused => "Paused",
        }
    }
}
