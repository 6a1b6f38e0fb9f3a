//! SIGTERM: a primary hands over before it goes, everybody else goes at once.

use std::time::Duration;

use crate::client::{ClusterClient, text};
use crate::nodes::{Cluster, Server, until};

#[test]
fn a_primary_that_is_told_to_end_hands_over_first_and_no_acknowledged_write_is_lost() {
    let mut cluster = Cluster::create(3, 1, &[]);
    let ports = cluster.ports();
    let leaving = cluster.nodes[0].id();
    let heir = cluster.nodes.iter().position(|n| n.state().primary_id == leaving).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let mut client = ClusterClient::new(&ports);
        let mut acknowledged = Vec::new();
        for n in 0.. {
            if stopped.try_recv().is_ok() {
                break;
            }
            let key = format!("key:{n}");
            let reply = client.call(&["SET", &key, "x"], Duration::from_secs(30));
            // A connection that broke in the middle leaves the outcome unknown: not counted.
            if reply.is_ok_and(|reply| text(&reply) == "OK") {
                acknowledged.push(key);
            }
        }
        (acknowledged, client)
    });
    std::thread::sleep(Duration::from_millis(300));
    let (code, _) = cluster.nodes[0].terminate();
    assert_eq!(code, Some(0), "{}", cluster.nodes[0].log());
    assert!(cluster.nodes[heir].ask("ROLE").starts_with("[master"), "handed over before the end");
    stop.send(()).unwrap();
    let (acknowledged, _) = writer.join().unwrap();
    assert!(acknowledged.len() > 100, "only {} writes", acknowledged.len());
    let mut client = ClusterClient::new(&cluster.ports()[1..]);
    for key in &acknowledged {
        let reply = client.call(&["EXISTS", key], Duration::from_secs(30)).unwrap();
        assert_eq!(text(&reply), "1", "{key} was acknowledged");
    }
}

#[test]
fn a_node_without_slots_ends_at_once() {
    let root = tempfile::tempdir().unwrap();
    let mut node = Server::node(root.path(), &[]);
    let (code, took) = node.terminate();
    assert_eq!(code, Some(0), "{}", node.log());
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_second_signal_ends_a_node_whose_hand_over_does_not_come_to_an_end() {
    let mut cluster = Cluster::create(3, 1, &[]);
    let leaving = cluster.nodes[0].id();
    let heir = cluster.nodes.iter().position(|n| n.state().primary_id == leaving).unwrap();
    let heir_id = cluster.nodes[heir].id();
    cluster.nodes[heir].kill();
    let (code, took) = cluster.nodes[0].terminate();
    // Nobody is left who could take over: the end must not wait for ever.
    assert!(code.is_some() && took < Duration::from_secs(12), "{code:?} after {took:?}");
    until("the others miss both", || {
        let peers = cluster.nodes[1].state().peers;
        let gone = |id: &str| peers.iter().any(|p| p.node_id == id && (p.fail || p.pfail));
        (gone(&leaving) && gone(&heir_id)).then_some(())
    });
}
