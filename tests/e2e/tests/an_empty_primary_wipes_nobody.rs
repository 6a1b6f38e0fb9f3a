//! Promise: without volumes, a primary whose container is killed comes back empty within a second
//! or two; its replica is promoted and keeps the data, and the empty node follows it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use holdfast_e2e::redis_nodes::{primary, role};
use holdfast_e2e::{Load, World};

#[test]
fn a_primary_that_comes_back_empty_follows_its_replica() {
    let Some(world) = World::new("empty") else { return };
    world.create("cache", "shards: 3\nreplicasPerShard: 1");
    let password = world.password("cache");
    for round in 0..10_u32 {
        let load = Load::start(&world, "cache", 3);
        sleep(Duration::from_secs(2));
        let victim = primary(&world, "cache", &password, round % 3).expect("there is a primary");
        let killed_at = world.kill(&victim.name);
        world.wait("the empty node follows its replica", Duration::from_secs(60), || {
            let leads = primary(&world, "cache", &password, round % 3)?;
            let follows = role(&victim.ip, &password)? == "slave";
            (leads.name != victim.name && follows).then_some(())
        });
        let outcome = load.finish(&world, "cache", &[(killed_at, Instant::now())]);
        assert_eq!(outcome.lost_older_than(Duration::from_secs(1)), 0, "{outcome}");
        println!("round {round}: kept, {} lost in the asynchronous window", outcome.lost);
        world.wait_ready("cache", Duration::from_secs(60));
    }
    world.end();
}
