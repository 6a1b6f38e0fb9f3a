//! Promise: an operator killed at random moments of a scale-out under load ends in the wished
//! state, with every key there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use holdfast_e2e::redis_nodes::keys_on_primaries;
use holdfast_e2e::{Load, World};

const KILLS: u64 = 10;

#[test]
fn the_operator_killed_ten_times_during_a_scale_out_finishes_it() {
    let Some(world) = World::new("operator-dies") else { return };
    world.create("cache", "shards: 3\nreplicasPerShard: 1");
    let password = world.password("cache");
    let load = Load::start(&world, "cache", 6);
    sleep(Duration::from_secs(5));
    let operators = World { namespace: "holdfast-system".to_owned() };
    let start = Instant::now();
    let mut shards = 5;
    let scale = |shards: usize| {
        world.kubectl(&["scale", "rediscluster/cache", &format!("--replicas={shards}")]);
    };
    scale(shards);
    for kill in 0..KILLS {
        let leader = running_leader(&operators);
        // The nodes go on moving slots while nobody leads; a wish that has come true before the
        // last kill is followed by the next one, so that every kill falls into a scale-out.
        if world.is_ready("cache") {
            shards += 1;
            scale(shards);
        }
        // Uneven pauses, so that the kills fall on different steps of the plan.
        sleep(Duration::from_millis(100 + (kill * 7919) % 1500));
        kill_operator(&operators, &leader);
        println!("kill {kill}: {leader} after {:?}, to {shards} shards", start.elapsed());
    }
    world.wait_ready("cache", Duration::from_secs(600));
    println!("scaled out to {shards} past ten kills in {:?}", start.elapsed());
    let outcome = load.finish(&world, "cache", &[]);
    assert_eq!(outcome.lost, 0, "{outcome}");
    assert_eq!(outcome.doubled, 0, "{outcome}");
    let found = keys_on_primaries(&world, "cache", &password);
    assert!(found.values().all(|copies| *copies == 1), "a key stands on two primaries");
    assert_eq!(world.pods("cache").len(), 2 * shards);
    world.end();
}

/// The pod that holds the Lease, once its container runs.
fn running_leader(operators: &World) -> String {
    operators.wait("an operator leads", Duration::from_secs(60), || {
        let leader = operators.lease_holder("holdfast")?;
        operators.is_running(&leader).then_some(leader)
    })
}

/// SIGKILL, seen to have happened. The kubelet starts the first victim again at once; a second
/// time it would hold the container back for ten seconds and more, in which there would be
/// nothing to kill, so the Deployment is made to replace such a pod.
fn kill_operator(operators: &World, pod: &str) {
    let was_restarted = operators.restarts_of(pod) > 0;
    let before = operators.container_id(pod);
    operators.kill_now(pod);
    operators.wait(&format!("{pod} is dead"), Duration::from_secs(30), || {
        (operators.container_id(pod) != before).then_some(())
    });
    if was_restarted {
        operators.kubectl(&["delete", "pod", pod, "--force", "--grace-period=0", "--wait=false"]);
    }
}
