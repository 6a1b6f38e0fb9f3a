//! What each rule allows and refuses; that CEL agrees is proven on a real API server.

use serde_json::{Value, json};

use super::*;

fn object(spec: Value) -> RedisCluster {
    let name = "cache";
    serde_json::from_value(json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "RedisCluster",
        "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

fn violated(new: Value, old: Option<Value>) -> Vec<&'static str> {
    let old = old.map(object);
    violated_rules(&object(new), old.as_ref()).map(|rule| rule.path).collect()
}

#[test]
fn a_name_leaves_room_for_the_names_made_from_it() {
    let mut long = object(json!({"shards": 1}));
    long.metadata.name = Some("a".repeat(41));
    assert_eq!(violated_rules(&long, None).count(), 1);
    long.metadata.name = Some("a".repeat(40));
    assert_eq!(violated_rules(&long, None).count(), 0);
}

#[test]
fn persistence_needs_storage() {
    let aof = json!({"shards": 1, "persistence": {"mode": "aof"}});
    assert_eq!(violated(aof, None), ["spec.persistence.mode"]);
    let stored = json!({"shards": 1, "persistence": {"mode": "aof"}, "storage": {"size": "1Gi"}});
    assert!(violated(stored, None).is_empty());
}

#[test]
fn storage_stays_as_it_was_made() {
    let of = |storage: Value| json!({"shards": 1, "storage": storage});
    let old = || Some(of(json!({"size": "1Gi", "storageClassName": "fast"})));
    assert_eq!(violated(json!({"shards": 1}), old()), ["spec.storage"]);
    assert_eq!(violated(of(json!({"size": "1Gi"})), Some(json!({"shards": 1}))), ["spec.storage"]);
    let bigger = of(json!({"size": "2Gi", "storageClassName": "fast"}));
    assert_eq!(violated(bigger, old()), ["spec.storage.size"]);
    let slower = of(json!({"size": "1Gi"}));
    assert_eq!(violated(slower, old()), ["spec.storage.storageClassName"]);
    assert!(violated(of(json!({"size": "1Gi", "storageClassName": "fast"})), old()).is_empty());
}

#[test]
fn one_edit_removes_at_most_the_shards_that_it_may() {
    let of =
        |shards: u16, max_step: u16| json!({"shards": shards, "scaleIn": {"maxStep": max_step}});
    assert_eq!(violated(of(3, 1), Some(of(5, 1))), ["spec.shards"]);
    assert!(violated(of(4, 1), Some(of(5, 1))).is_empty());
    assert!(violated(of(1, 0), Some(of(9, 0))).is_empty());
    assert!(violated(of(9, 1), Some(of(1, 1))).is_empty());
}
