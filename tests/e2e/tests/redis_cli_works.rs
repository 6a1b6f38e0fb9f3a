//! Promise: the tools that people have work unmodified: `redis-cli --cluster` and
//! `redis-benchmark --cluster`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use holdfast_e2e::World;
use holdfast_e2e::redis_nodes::own_slots;
use holdfast_e2e::world::run;

#[test]
fn redis_cli_and_redis_benchmark_work_unmodified() {
    let Some(world) = World::new("redis-cli") else { return };
    world.create("cache", "shards: 3\nreplicasPerShard: 1");
    let password = world.password("cache");
    let pod = world.pods("cache").into_iter().next().expect("there are pods");
    let address = format!("{}:6379", pod.ip);
    let cli = |args: &[&str]| {
        let mut all = vec!["-a", &password, "--no-auth-warning"];
        all.extend_from_slice(args);
        run("redis-cli", &all, None)
    };
    let checked = cli(&["--cluster", "check", &address]);
    assert!(checked.contains("[OK] All 16384 slots covered."), "{checked}");
    assert!(checked.contains("[OK] All nodes agree about slots configuration."), "{checked}");
    let shown = cli(&["--cluster", "info", &address]);
    assert!(shown.contains("in 3 primaries") || shown.contains("in 3 masters"), "{shown}");

    for number in 0..500 {
        let (key, value) = (format!("k{number}"), format!("v{number}"));
        cli(&["-c", "-h", &pod.ip, "SET", &key, &value]);
    }
    let nodes = cli(&["-h", &pod.ip, "CLUSTER", "NODES"]);
    let primaries: Vec<&str> = nodes
        .lines()
        .filter(|line| line.contains("master"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let reshard = [
        "--cluster",
        "reshard",
        &address,
        "--cluster-from",
        primaries[0],
        "--cluster-to",
        primaries[1],
        "--cluster-slots",
        "100",
        "--cluster-yes",
    ];
    cli(&reshard);
    let checked = cli(&["--cluster", "check", &address]);
    assert!(checked.contains("[OK] All 16384 slots covered."), "{checked}");
    for number in 0..500 {
        let value = cli(&["-c", "-h", &pod.ip, "GET", &format!("k{number}")]);
        assert_eq!(value.trim(), format!("v{number}"));
    }
    let owned: usize =
        world.pods("cache").iter().filter_map(|pod| own_slots(&pod.ip, &password)).sum();
    assert_eq!(owned, 16384);

    let bench = [
        "-h",
        &pod.ip,
        "-a",
        &password,
        "--cluster",
        "-t",
        "set,get,incr,lpush,hset",
        "-n",
        "20000",
        "-P",
        "16",
        "-q",
    ];
    let said = run("redis-benchmark", &bench, None);
    println!("{}", said.replace('\r', "\n"));
    assert!(said.contains("requests per second") && !said.contains("Error"), "{said}");
    world.end();
}
