//! A primary dies, and its replica goes on.

use std::time::Duration;

use crate::client::ClusterClient;
use crate::nodes::{Cluster, Server, until};

fn write(client: &mut ClusterClient, from: usize, to: usize) {
    for n in from..to {
        let (key, value) = (format!("key:{n}"), format!("value:{n}"));
        let reply = client.call(&["SET", &key, &value], Duration::from_secs(30)).unwrap();
        assert_eq!(crate::client::text(&reply), "OK", "SET {key}");
    }
}

fn missing(client: &mut ClusterClient, count: usize) -> Vec<usize> {
    (0..count)
        .filter(|n| {
            let key = format!("key:{n}");
            let reply = client.call(&["GET", &key], Duration::from_secs(30)).unwrap();
            crate::client::text(&reply) != format!("value:{n}")
        })
        .collect()
}

/// Every primary's replica has everything that the primary has now.
fn wait_replicated(cluster: &Cluster) {
    let primaries: Vec<_> = cluster.nodes.iter().map(|node| node.state()).collect();
    until("the replicas have everything", || {
        let has_all = |node: &Server| {
            let replica = node.state();
            let primary = primaries.iter().find(|s| s.node_id == replica.primary_id);
            primary.is_none_or(|primary| replica.offset >= primary.offset)
        };
        cluster.nodes.iter().all(has_all).then_some(())
    });
}

#[test]
fn a_killed_primary_is_replaced_by_its_replica_with_every_key() {
    let mut cluster = Cluster::create(3, 1, &[]);
    let ports = cluster.ports();
    let mut client = ClusterClient::new(&ports);
    write(&mut client, 0, 600);
    wait_replicated(&cluster);
    let dead = cluster.nodes[0].id();
    let heir = cluster.nodes.iter().position(|n| n.state().primary_id == dead).unwrap();
    cluster.nodes[0].kill();
    until("the replica is promoted", || {
        cluster.nodes[heir].ask("ROLE").starts_with("[master").then_some(())
    });
    let mut client = ClusterClient::new(&ports[1..]);
    write(&mut client, 600, 700);
    assert_eq!(missing(&mut client, 700), Vec::<usize>::new());

    // The dead one comes back, empty, and follows its heir.
    cluster.nodes[0].restart();
    let heir_id = cluster.nodes[heir].id();
    until("the old primary follows the new one", || {
        let state = cluster.nodes[0].state();
        (state.primary_id == heir_id && state.link_up).then_some(())
    });
    cluster.wait_ok();
    assert_eq!(missing(&mut client, 700), Vec::<usize>::new());
}

#[test]
fn a_failover_by_hand_loses_nothing_and_swaps_the_roles() {
    let cluster = Cluster::create(3, 1, &[]);
    let mut client = ClusterClient::new(&cluster.ports());
    write(&mut client, 0, 300);
    let primary = cluster.nodes[1].id();
    let heir = cluster.nodes.iter().find(|n| n.state().primary_id == primary).unwrap();
    assert_eq!(heir.ask("CLUSTER FAILOVER"), "OK");
    until("the roles are swapped", || {
        (cluster.nodes[1].state().primary_id == heir.id()).then_some(())
    });
    write(&mut client, 300, 400);
    assert_eq!(missing(&mut client, 400), Vec::<usize>::new());
}
