//! A StatefulSet for each shard: it keeps names and volumes, and decides nothing.
//!
//! `Parallel`, since nodes find each other whatever their order; `OnDelete`, since a StatefulSet
//! rolls by ordinal and would take a primary before its replicas; volumes are retained in any
//! case, since only the operator knows when a shard is drained.

use holdfast_wire::id::ClusterId;
use serde_json::{Value, json};

use super::{
    Kind, Object, common_labels, metadata, pod, selector_labels, service, shard_name, with_shard,
};
use crate::validate::ValidatedCluster;

/// Name of the volume claim template; a claim is named `data-<pod>`.
pub(super) const VOLUME: &str = "data";

/// The StatefulSet of a shard with this number of pods.
pub fn stateful_set(
    cluster: &ValidatedCluster,
    cluster_id: ClusterId,
    shard: u16,
    pods: u16,
) -> Object {
    let name = shard_name(&cluster.name, shard);
    let mut spec = json!({
        "serviceName": service::nodes_name(&cluster.name),
        "replicas": pods,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": with_shard(selector_labels(cluster), shard)},
        "template": pod::template(cluster, cluster_id, shard),
    });
    if let (Some(claim), Some(fields)) = (volume_claim(cluster), spec.as_object_mut()) {
        fields.insert("volumeClaimTemplates".to_owned(), json!([claim]));
    }
    let labels = with_shard(common_labels(cluster), shard);
    let manifest = json!({"metadata": metadata(cluster, &name, &labels), "spec": spec});
    Object::new(Kind::StatefulSet, name, manifest)
}

fn volume_claim(cluster: &ValidatedCluster) -> Option<Value> {
    let storage = cluster.storage.as_ref()?;
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size}},
    });
    if let (Some(class), Some(fields)) = (&storage.storage_class_name, spec.as_object_mut()) {
        fields.insert("storageClassName".to_owned(), class.as_str().into());
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": VOLUME},
        "spec": spec,
    }))
}
