//! A stock redis-server 7.0 among our nodes: both sides understand every packet.

use crate::nodes::{Server, until};

/// What a stock node marks with '#' although nothing is wrong: orders that it was given, and its
/// own view of the cluster.
const ORDINARY: &[&str] =
    &["configEpoch set to", "IP address for this node updated", "Cluster state changed"];

fn warnings(log: &str) -> Vec<&str> {
    // The banner and remarks on the machine's kernel settings come before the server is ready.
    let ready = log.find("Ready to accept connections").unwrap_or(0);
    let loud = log[ready..].lines().filter(|line| line.contains(" # "));
    loud.filter(|line| !ORDINARY.iter().any(|known| line.contains(known))).collect()
}

#[test]
fn a_stock_node_joins_by_meet_and_sees_the_same_slots_without_a_warning() {
    let root = tempfile::tempdir().unwrap();
    let allow = ["--cluster-allow-foreign-nodes", "yes"];
    let ours: Vec<Server> = (0..2).map(|_| Server::node(root.path(), &allow)).collect();
    let stock = Server::stock(root.path(), &["--save", ""]);
    assert_eq!(ours[0].ask("CLUSTER ADDSLOTSRANGE 0 8000"), "OK");
    assert_eq!(ours[1].ask("CLUSTER ADDSLOTSRANGE 8001 16000"), "OK");
    assert_eq!(stock.ask("CLUSTER ADDSLOTSRANGE 16001 16383"), "OK");
    for (n, node) in ours.iter().enumerate() {
        assert_eq!(node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1)), "OK");
    }
    assert_eq!(stock.ask("CLUSTER SET-CONFIG-EPOCH 3"), "OK");
    let ask = |other: &Server| format!("CLUSTER MEET 127.0.0.1 {} {}", other.port, other.bus_port);
    assert_eq!(ours[0].ask(&ask(&ours[1])), "OK");
    assert_eq!(stock.ask(&ask(&ours[0])), "OK");
    for node in ours.iter().chain([&stock]) {
        until(&format!("{} sees three nodes", node.port), || {
            (node.info("cluster_state") == "ok" && node.info("cluster_known_nodes") == "3")
                .then_some(())
        });
    }
    // The three lists name the same ranges with the same owners. Redis 7.0 adds an empty list of
    // metadata to each node, and so do we.
    let slots: Vec<String> =
        ours.iter().chain([&stock]).map(|node| node.ask("CLUSTER SLOTS")).collect();
    assert_eq!(slots[0], slots[2]);
    assert_eq!(slots[1], slots[2]);
    // Enough heartbeats for every kind of gossip section to have passed.
    until("a hundred packets have passed", || {
        let count = stock.info("cluster_stats_messages_received").parse::<u32>().unwrap_or(0);
        (count > 100).then_some(())
    });
    assert_eq!(warnings(&stock.log()), Vec::<&str>::new());
    assert!(stock.ask("CLUSTER NODES").lines().all(|line| !line.contains("fail")));
}

#[test]
fn a_stock_node_is_refused_unless_foreigners_are_allowed() {
    let root = tempfile::tempdir().unwrap();
    let id = "c".repeat(40);
    let ours = Server::node(root.path(), &["--holdfast-cluster-id", &id]);
    let stock = Server::stock(root.path(), &["--save", ""]);
    assert_eq!(ours.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    assert_eq!(stock.ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", ours.port, ours.bus_port)), "OK");
    until("the stock node has given up", || {
        let said = stock.ask("CLUSTER NODES");
        (!said.contains("handshake") && ours.info("cluster_known_nodes") == "1").then_some(())
    });
    assert_ne!(stock.info("cluster_slots_assigned"), "16384");
}
