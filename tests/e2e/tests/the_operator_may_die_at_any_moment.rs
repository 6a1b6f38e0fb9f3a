//! Promise: an operator killed at random moments of a scale-out under load ends in the wished
//! state, with every key there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use holdfast_e2e::redis_nodes::keys_on_primaries;
use holdfast_e2e::{Load, World};

#[test]
fn the_operator_killed_ten_times_during_a_scale_out_finishes_it() {
    let Some(world) = World::new("operator-dies") else { return };
    world.create("cache", "shards: 3\nreplicasPerShard: 1");
    let password = world.password("cache");
    let load = Load::start(&world, "cache", 6);
    sleep(Duration::from_secs(5));
    let operators = World { namespace: "holdfast-system".to_owned() };
    let start = Instant::now();
    world.kubectl(&["scale", "rediscluster/cache", "--replicas=5"]);
    for kill in 0..10_u64 {
        // Uneven pauses, so that the kills fall on different steps of the plan.
        sleep(Duration::from_millis(300 + (kill * 7919) % 1900));
        let selector = "app.kubernetes.io/component=operator";
        let names = operators.kubectl(&["get", "pods", "-l", selector, "-o", "name"]);
        let mut killed = 0;
        for name in names.lines().filter_map(|line| line.strip_prefix("pod/")) {
            // A pod in back-off has no process to kill; another one leads then.
            if operators.container_id(name).is_some_and(|id| id.contains('T')) {
                operators.kill_now(name);
                killed += 1;
            }
        }
        println!("kill {kill}: {killed} operators after {:?}", start.elapsed());
    }
    let restarts = operators.restarts("app.kubernetes.io/component=operator");
    println!("restarts of the operators: {restarts}");
    assert!(restarts >= 4, "the operators were hardly killed: {restarts}");
    world.wait_ready("cache", Duration::from_secs(600));
    println!("scaled out past ten kills in {:?}", start.elapsed());
    let outcome = load.finish(&world, "cache", &[]);
    assert_eq!(outcome.lost, 0, "{outcome}");
    assert_eq!(outcome.doubled, 0, "{outcome}");
    let found = keys_on_primaries(&world, "cache", &password);
    assert!(found.values().all(|copies| *copies == 1), "a key stands on two primaries");
    assert_eq!(world.pods("cache").len(), 10);
    world.end();
}
