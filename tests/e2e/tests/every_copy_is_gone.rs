//! Promise: where every copy of the data is gone, `spec.dataLossPolicy` decides, and it is said
//! aloud: `ReassignEmpty` brings the cluster back by itself, empty; `Block` waits for a person.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use holdfast_e2e::{Load, World};

#[test]
fn without_volumes_a_cluster_whose_pods_are_all_gone_comes_back_empty_and_says_so() {
    let Some(world) = World::new("reassign-empty") else { return };
    world.create("cache", "shards: 3\nreplicasPerShard: 1");
    lose_everything(&world);
    let start = Instant::now();
    world.wait("an event says that data was lost", Duration::from_secs(180), || {
        events(&world).contains("DataLost").then_some(())
    });
    world.wait_ready("cache", Duration::from_secs(120));
    println!("all six pods gone, no volumes: Ready again, empty, after {:?}", start.elapsed());
    let load = Load::start(&world, "cache", 3);
    sleep(Duration::from_secs(2));
    let outcome = load.finish(&world, "cache", &[]);
    assert!(outcome.acknowledged > 0 && outcome.lost == 0, "{outcome}");
    world.end();
}

#[test]
fn the_policy_block_leaves_lost_slots_to_a_person() {
    let Some(world) = World::new("block-loss") else { return };
    world.create("cache", "shards: 3\nreplicasPerShard: 1\ndataLossPolicy: Block");
    lose_everything(&world);
    world.wait("DataLossRisk says so", Duration::from_secs(180), || {
        (condition(&world, "DataLossRisk") == "True CopiesLost").then_some(())
    });
    sleep(Duration::from_secs(20));
    assert_eq!(condition(&world, "DataLossRisk"), "True CopiesLost");
    assert!(condition(&world, "Ready").starts_with("False"), "{}", condition(&world, "Ready"));
    let patch = r#"{"spec": {"dataLossPolicy": "ReassignEmpty"}}"#;
    world.kubectl(&["patch", "rediscluster", "cache", "--type=merge", "-p", patch]);
    world.wait_ready("cache", Duration::from_secs(120));
    world.end();
}

fn lose_everything(world: &World) {
    let load = Load::start(world, "cache", 3);
    sleep(Duration::from_secs(2));
    load.finish(world, "cache", &[]);
    let before = world.pods("cache");
    let selector = "holdfast.dev/cluster=cache";
    world.kubectl(&["delete", "pod", "-l", selector, "--grace-period=0", "--force"]);
    world.wait("all pods are new", Duration::from_secs(60), || {
        let now = world.pods("cache");
        let all_new = now.iter().all(|pod| before.iter().all(|old| old.uid != pod.uid));
        (now.len() == before.len() && all_new).then_some(())
    });
}

fn events(world: &World) -> String {
    world.kubectl(&["get", "events.events.k8s.io", "-o", "jsonpath={.items[*].reason}"])
}

fn condition(world: &World, kind: &str) -> String {
    let filter = format!("{{.status.conditions[?(@.type=='{kind}')]['status','reason']}}");
    world.kubectl(&["get", "rediscluster", "cache", "-o", &format!("jsonpath={filter}")])
}
