//! Single nodes asked by their address: who is primary, which keys lie where.
//!
//! No cluster client here, so that a client's retries and caches never colour what is seen.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Connection, RedisResult, Value};

use crate::world::{Pod, World};

/// A connection to one node that never follows a redirect.
pub fn connect(ip: &str, password: &str, time_out: Duration) -> RedisResult<Connection> {
    connect_to(ip, 6379, password, time_out)
}

/// The same with a port.
pub fn connect_to(
    host: &str,
    port: u16,
    password: &str,
    time_out: Duration,
) -> RedisResult<Connection> {
    let client = redis::Client::open(format!("redis://:{password}@{host}:{port}"))?;
    let connection = client.get_connection_with_timeout(time_out)?;
    connection.set_read_timeout(Some(time_out))?;
    connection.set_write_timeout(Some(time_out))?;
    Ok(connection)
}

/// The first word of `ROLE`, or `None` when the node does not answer.
pub fn role(ip: &str, password: &str) -> Option<String> {
    let mut connection = connect(ip, password, Duration::from_millis(500)).ok()?;
    let answer: Vec<Value> = redis::cmd("ROLE").query(&mut connection).ok()?;
    redis::from_redis_value(answer.into_iter().next()?).ok()
}

/// Slots that a node owns by its own word.
pub fn own_slots(ip: &str, password: &str) -> Option<usize> {
    let mut connection = connect(ip, password, Duration::from_millis(500)).ok()?;
    let nodes: String = redis::cmd("CLUSTER").arg("NODES").query(&mut connection).ok()?;
    let mine = nodes.lines().find(|line| line.contains("myself"))?;
    let ranges = mine.split_whitespace().skip(8).filter(|range| !range.starts_with('['));
    Some(ranges.map(slots_in).sum())
}

fn slots_in(range: &str) -> usize {
    let mut ends = range.split('-').filter_map(|end| end.parse::<usize>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) => last - first + 1,
        (Some(_), None) => 1,
        _ => 0,
    }
}

/// The pod of this shard that is primary by its own word and owns slots.
pub fn primary(world: &World, cluster: &str, password: &str, shard: u32) -> Option<Pod> {
    world.pods(cluster).into_iter().filter(|pod| pod.shard == shard).find(|pod| {
        role(&pod.ip, password).as_deref() == Some("master")
            && own_slots(&pod.ip, password).is_some_and(|slots| slots > 0)
    })
}

/// All keys of all primaries, each with the number of primaries that hold it.
pub fn keys_on_primaries(world: &World, cluster: &str, password: &str) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for pod in world.pods(cluster) {
        if role(&pod.ip, password).as_deref() != Some("master") {
            continue;
        }
        let mut connection =
            connect(&pod.ip, password, Duration::from_secs(10)).expect("a primary answers");
        let mut cursor = "0".to_owned();
        let mut here = std::collections::BTreeSet::new();
        loop {
            let (next, keys): (String, Vec<String>) = redis::cmd("SCAN")
                .arg(&cursor)
                .arg("COUNT")
                .arg(5000)
                .query(&mut connection)
                .expect("SCAN answers");
            here.extend(keys);
            if next == "0" {
                break;
            }
            cursor = next;
        }
        for key in here {
            *found.entry(key).or_insert(0) += 1;
        }
    }
    found
}
