//! What the operator refuses although the API server let it through, and what it fills in.

use super::*;

fn object(spec: serde_json::Value) -> RedisCluster {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "RedisCluster",
        "metadata": {"name": "cache", "namespace": "shop", "uid": "1f6e7a1c-8f0e-4a63-9d2f-2f4a3c5b6d7e"},
        "spec": spec,
    }))
    .unwrap()
}

fn defaults() -> Defaults {
    Defaults { node_repository: "holdfast/node".into(), node_tag: "0.1.0".into() }
}

fn paths(spec: serde_json::Value) -> Vec<String> {
    let faults = validate(&object(spec), &defaults()).unwrap_err();
    faults.into_iter().map(|fault| fault.path).collect()
}

#[test]
fn the_smallest_wish_is_complete() {
    let cluster = validate(&object(serde_json::json!({"shards": 3})), &defaults()).unwrap();
    assert_eq!((cluster.shards, cluster.replicas_per_shard), (3, 1));
    assert_eq!(cluster.image, "holdfast/node:0.1.0");
    assert_eq!(cluster.node_timeout_ms, 5000);
    assert_eq!(cluster.data_loss_policy, DataLossPolicy::ReassignEmpty);
    assert_eq!(
        cluster.new_cluster_id.to_string().get(..32),
        Some("1f6e7a1c8f0e4a639d2f2f4a3c5b6d7e")
    );
}

#[test]
fn every_fault_is_named_by_its_field() {
    let spec = serde_json::json!({
        "shards": 0,
        "replicasPerShard": 6,
        "maxMemory": "auto",
        "resources": {"requests": {"cpu": "many"}},
        "persistence": {"mode": "aof"},
        "config": {"requirepass": "x"},
    });
    assert_eq!(
        paths(spec),
        [
            "spec.persistence.mode",
            "spec.shards",
            "spec.replicasPerShard",
            "spec.resources.requests.cpu",
            "spec.maxMemory",
            "spec.config.requirepass",
        ]
    );
}

#[test]
fn memory_may_be_auto_a_percentage_or_a_quantity() {
    for (wish, expected) in [("auto", 3 << 28), ("50%", 1 << 29), ("100Mi", 100 << 20)] {
        let spec = serde_json::json!({
            "shards": 1, "maxMemory": wish, "resources": {"limits": {"memory": "1Gi"}},
        });
        let cluster = validate(&object(spec), &defaults()).unwrap();
        assert_eq!(cluster.max_memory_bytes, Some(expected), "{wish}");
    }
    for wish in ["0%", "101%", "lots", "0"] {
        let spec = serde_json::json!({
            "shards": 1, "maxMemory": wish, "resources": {"limits": {"memory": "1Gi"}},
        });
        assert_eq!(paths(spec), ["spec.maxMemory"], "{wish}");
    }
}

#[test]
fn with_volumes_lost_slots_wait_for_a_person() {
    let spec = serde_json::json!({"shards": 1, "storage": {"size": "1Gi"}});
    let cluster = validate(&object(spec), &defaults()).unwrap();
    assert_eq!(cluster.data_loss_policy, DataLossPolicy::Block);
}

#[test]
fn the_table_of_options_is_sorted_so_that_it_can_be_searched() {
    assert!(ENGINE_OPTIONS.is_sorted());
}
