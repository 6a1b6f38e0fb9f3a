//! Promise: a deleted object leaves nothing but the volumes that its policy keeps; and replicas
//! go up and down without touching the primary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::time::Duration;

use holdfast_e2e::redis_nodes::primary;
use holdfast_e2e::{Load, World};

fn kinds_left(world: &World) -> String {
    let kinds = "statefulset,pod,service,configmap,secret,poddisruptionbudget,serviceaccount,pvc";
    let shown = world.kubectl(&["get", kinds, "-o", "name", "--ignore-not-found"]);
    let of_the_namespace = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
    shown.lines().filter(|line| !of_the_namespace.contains(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn deletion_leaves_only_what_the_policy_keeps() {
    let Some(world) = World::new("deletion") else { return };
    let keep = "shards: 1\nreplicasPerShard: 1\nstorage: {size: 1Gi}";
    let drop = "shards: 1\nreplicasPerShard: 1\n\
                storage: {size: 1Gi, retention: {whenDeleted: Delete}}";
    for (spec, left_volumes) in [(keep, true), (drop, false)] {
        world.create("cache", spec);
        world.kubectl(&["delete", "rediscluster", "cache", "--timeout=60s"]);
        world.wait("nothing is left but volumes", Duration::from_secs(90), || {
            let left = kinds_left(&world);
            let volumes_only = left.lines().all(|line| line.starts_with("persistentvolumeclaim/"));
            (volumes_only && left.is_empty() != left_volumes).then_some(())
        });
        println!("left after deletion: {:?}", kinds_left(&world));
        if left_volumes {
            world.kubectl(&["delete", "pvc", "--all"]);
        }
    }
    world.end();
}

#[test]
fn replicas_go_up_and_down_and_the_primary_keeps_serving() {
    let Some(world) = World::new("replicas") else { return };
    world.create("cache", "shards: 3\nreplicasPerShard: 1");
    let password = world.password("cache");
    let load = Load::start(&world, "cache", 3);
    for (replicas, pods) in [(2, 9), (1, 6), (0, 3), (1, 6)] {
        let patch = format!("{{\"spec\":{{\"replicasPerShard\":{replicas}}}}}");
        world.kubectl(&["patch", "rediscluster", "cache", "--type=merge", "-p", &patch]);
        world.wait_ready("cache", Duration::from_secs(120));
        world.wait("the pods are as wished", Duration::from_secs(60), || {
            (world.pods("cache").len() == pods).then_some(())
        });
    }
    for shard in 0..3 {
        assert!(primary(&world, "cache", &password, shard).is_some());
    }
    let outcome = load.finish(&world, "cache", &[]);
    assert_eq!(outcome.lost, 0, "{outcome}");
    world.end();
}
