//! Promise: a million keys of mixed types, written by redis-py's cluster client and checksummed on
//! its side, and every write acknowledged meanwhile, survive 3 -> 5 -> 3 shards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::time::{Duration, Instant};

use holdfast_e2e::redis_nodes::keys_on_primaries;
use holdfast_e2e::world::run;
use holdfast_e2e::{Load, World};

#[test]
fn a_million_keys_survive_scaling_out_and_in_under_writes() {
    let Some(world) = World::new("million") else { return };
    let keys = std::env::var("HOLDFAST_E2E_KEYS").unwrap_or_else(|_| "1000000".to_owned());
    world.create("cache", "shards: 3\nreplicasPerShard: 1");
    let password = world.password("cache");
    let host = format!("cache.{}.svc", world.namespace);
    let python = std::env::var("HOLDFAST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/million_keys.py");
    let million = |verb: &str| {
        let start = Instant::now();
        let said = run(&python, &[script, verb, &host, &password, &keys], None);
        println!("{verb}: {} in {:.0?}", said.trim(), start.elapsed());
        said
    };
    let filled = million("fill");
    let load = Load::start(&world, "cache", 6);
    scale(&world, 5);
    scale(&world, 3);
    let outcome = load.finish(&world, "cache", &[]);
    assert_eq!(outcome.lost, 0, "{outcome}");
    assert_eq!(outcome.doubled, 0, "{outcome}");
    assert_eq!(filled, million("check"), "the checksum of all keys and values");
    let found = keys_on_primaries(&world, "cache", &password);
    let twice = found.values().filter(|copies| **copies != 1).count();
    assert_eq!(twice, 0, "keys on more than one primary");
    let ours = found.keys().filter(|key| key.starts_with("m:")).count();
    assert_eq!(ours.to_string(), keys);
    world.end();
}

fn scale(world: &World, shards: u32) {
    let start = Instant::now();
    world.kubectl(&["scale", "rediscluster/cache", &format!("--replicas={shards}")]);
    world.wait_ready("cache", Duration::from_secs(900));
    let pods = world.pods("cache").len();
    println!("scaled to {shards} shards ({pods} pods) in {:.0?}", start.elapsed());
}
