//! A budget for each shard: an eviction takes one of its pods at most.

use serde_json::json;

use super::{Kind, Object, common_labels, metadata, selector_labels, shard_name, with_shard};
use crate::validate::ValidatedCluster;

/// With replicas one pod may go; without, none, since an eviction would take the shard.
pub(super) fn of_shard(cluster: &ValidatedCluster, shard: u16) -> Object {
    let name = shard_name(&cluster.name, shard);
    let max_unavailable = u16::from(cluster.replicas_per_shard > 0);
    let manifest = json!({
        "metadata": metadata(cluster, &name, &with_shard(common_labels(cluster), shard)),
        "spec": {
            "maxUnavailable": max_unavailable,
            "selector": {"matchLabels": with_shard(selector_labels(cluster), shard)},
        },
    });
    Object::new(Kind::PodDisruptionBudget, name, manifest)
}
