//! Promise: all pods deleted at once come back as the same cluster, with new addresses and with
//! every key that their volumes hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use holdfast_e2e::redis_nodes::keys_on_primaries;
use holdfast_e2e::{Load, World};

#[test]
fn all_pods_deleted_at_once_form_the_same_cluster_again() {
    let Some(world) = World::new("all-pods") else { return };
    let spec = "shards: 3\nreplicasPerShard: 1\nstorage: {size: 1Gi}\n\
                persistence: {mode: aof, fsync: everysec}";
    world.create("cache", spec);
    let password = world.password("cache");
    let cluster_id = cluster_id(&world);
    let load = Load::start(&world, "cache", 6);
    sleep(Duration::from_secs(5));
    let before = world.pods("cache");
    let outcome_at_rest = load.finish(&world, "cache", &[]);
    assert_eq!(outcome_at_rest.lost, 0);
    // Everything older than the last fsync must be there, and the load has ended: wait it out.
    sleep(Duration::from_secs(2));
    let keys_before = keys_on_primaries(&world, "cache", &password);
    let start = Instant::now();
    let selector = "holdfast.dev/cluster=cache";
    world.kubectl(&["delete", "pod", "-l", selector, "--grace-period=0", "--force"]);
    world.wait("all pods are new and ready", Duration::from_secs(120), || {
        let now = world.pods("cache");
        let all_new = now.iter().all(|pod| before.iter().all(|old| old.uid != pod.uid));
        (now.len() == before.len() && all_new && now.iter().all(|pod| pod.ready)).then_some(())
    });
    world.wait_ready("cache", Duration::from_secs(60));
    println!("all six pods deleted: Ready again after {:?}", start.elapsed());
    assert_eq!(cluster_id, self::cluster_id(&world), "the same cluster");
    assert_eq!(keys_before, keys_on_primaries(&world, "cache", &password), "every key is there");
    world.end();
}

fn cluster_id(world: &World) -> String {
    let object = world.object("cache").expect("the object is there");
    let id = object.pointer("/status/clusterId").and_then(|id| id.as_str());
    id.expect("status has the cluster id").to_owned()
}
