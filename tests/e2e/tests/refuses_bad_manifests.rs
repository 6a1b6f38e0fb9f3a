//! Promise: a manifest that cannot work is refused at once, with the name of the field.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use holdfast_e2e::World;
use holdfast_e2e::world::manifest;

#[test]
fn bad_manifests_are_refused_with_the_name_of_the_field() {
    let Some(world) = World::new("refuses") else { return };
    let cases = [
        ("shards: 0", "spec.shards"),
        ("shards: 251", "spec.shards"),
        ("shards: three", "spec.shards"),
        ("shards: 3\nreplicasPerShard: 6", "spec.replicasPerShard"),
        ("shards: 3\nreplicas: 2", "replicas"),
        ("shards: 3\npersistence: {mode: aof}", "persistence"),
        ("shards: 3\npersistence: {mode: sometimes}", "spec.persistence.mode"),
        ("shards: 3\nstorage: {size: plenty}", "storage"),
        ("shards: 3\nfailover: {nodeTimeoutMs: 1}", "spec.failover.nodeTimeoutMs"),
    ];
    for (spec, field) in cases {
        let refused = world.apply(&manifest("bad", spec)).expect_err(spec);
        println!("{spec:?}: {}", refused.trim());
        assert!(refused.contains(field), "{spec:?} was refused without {field}: {refused}");
    }
    let long = manifest(&"n".repeat(41), "shards: 3");
    let refused = world.apply(&long).expect_err("a name of 41 characters");
    assert!(refused.contains("40"), "{refused}");
    assert!(world.pods("bad").is_empty());
    world.end();
}
