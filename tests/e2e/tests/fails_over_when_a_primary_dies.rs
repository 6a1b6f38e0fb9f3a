//! Promise: a killed primary's shard takes writes again within seconds, and nothing is lost that
//! was acknowledged more than a second before the kill. With one and two shards too, where nodes
//! alone cannot elect.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use holdfast_e2e::redis_nodes::primary;
use holdfast_e2e::{Load, World};

#[test]
fn three_shards_fail_over_ten_times() {
    kill_primaries("failover3", 3, 10);
}

#[test]
fn one_shard_fails_over_five_times() {
    kill_primaries("failover1", 1, 5);
}

#[test]
fn two_shards_fail_over_five_times() {
    kill_primaries("failover2", 2, 5);
}

/// Kills by turns the processes of the pod (the kubelet restarts them in place, empty) and the
/// pod itself without grace. With fewer than three shards also in the ordinary way: there nodes
/// alone elect nobody, and the primary that is asked to end must hand over.
fn kill_primaries(promise: &str, shards: u16, times: u32) {
    let Some(world) = World::new(promise) else { return };
    world.create("cache", &format!("shards: {shards}\nreplicasPerShard: 1"));
    let password = world.password("cache");
    let mut gaps = Vec::new();
    for round in 0..times {
        let shard = round % u32::from(shards);
        let load = Load::start(&world, "cache", shards);
        sleep(Duration::from_secs(3));
        let victim = primary(&world, "cache", &password, shard).expect("the shard has a primary");
        let killed_at = if round % 2 == 0 {
            world.kill(&victim.name)
        } else {
            let now = Instant::now();
            let is_forced = shards >= 3 || round % 4 == 1;
            let force: &[&str] = if is_forced { &["--grace-period=0", "--force"] } else { &[] };
            world.kubectl(&[&["delete", "pod", &victim.name], force].concat());
            now
        };
        world.wait("another pod leads", Duration::from_secs(30), || {
            primary(&world, "cache", &password, shard).filter(|pod| pod.name != victim.name)
        });
        let led_at = Instant::now();
        sleep(Duration::from_secs(1));
        let outcome = load.finish(&world, "cache", &[(killed_at, led_at)]);
        let gap = outcome.longest_gap();
        println!("{promise} round {round}: {} without writes for {gap:?}", victim.name);
        gaps.push(gap);
        assert_eq!(outcome.lost_older_than(Duration::from_secs(1)), 0, "{outcome}");
        assert_eq!(outcome.doubled, 0, "{outcome}");
        world.wait_ready("cache", Duration::from_secs(60));
    }
    gaps.sort();
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    println!("{promise}: unavailability of the shard, median {median:?}, all {gaps:?}");
    world.end();
}
