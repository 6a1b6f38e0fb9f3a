//! Messages cross the bus: between our nodes, and to and from a stock redis-server.

use crate::nodes::{Cluster, Server, until};

/// Publishes until the listener's node has the subscription's message on its way, and gives what
/// comes; the bus loses messages while links are being made.
fn hears(from: &Server, to: &Server, subscribe: &str, publish: &str) -> String {
    let mut listener = to.open();
    assert!(listener.text(subscribe).starts_with('['), "{subscribe}");
    assert!(!from.ask(publish).starts_with('-'), "{publish}");
    listener.next()
}

#[test]
fn a_message_reaches_every_node_and_a_shards_message_its_shard_alone() {
    let cluster = Cluster::create(3, 1, &[]);
    for node in &cluster.nodes {
        let heard = hears(&cluster.nodes[0], node, "PSUBSCRIBE n*", "PUBLISH news all");
        assert_eq!(heard, "[pmessage, n*, news, all]");
    }
    let serves = |node: &&Server| node.ask("SPUBLISH news x") == "0";
    let shard: Vec<&Server> = cluster.nodes.iter().filter(serves).collect();
    assert_eq!(shard.len(), 2, "a primary and its replica");
    let stranger = cluster.nodes.iter().find(|node| !serves(node)).unwrap();
    assert!(stranger.ask("SPUBLISH news x").starts_with("-MOVED "));
    assert!(stranger.ask("SSUBSCRIBE news").starts_with("-MOVED "));
    for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let heard = hears(shard[from], shard[to], "SSUBSCRIBE news", "SPUBLISH news shard");
        assert_eq!(heard, "[smessage, news, shard]");
    }
    let owner = shard[0];
    let crossing = owner.ask("SSUBSCRIBE news olds");
    assert!(crossing.starts_with("-CROSSSLOT"), "{crossing}");
}

#[test]
fn a_subscription_ends_when_its_slot_moves_away() {
    let cluster = Cluster::create(3, 0, &[]);
    let source = cluster.nodes.iter().find(|n| n.ask("SPUBLISH news x") == "0").unwrap();
    let target = cluster.nodes.iter().find(|n| n.ask("SPUBLISH news x") != "0").unwrap();
    let slot = source.ask("CLUSTER KEYSLOT news");
    let mut listener = source.open();
    assert_eq!(listener.text("SSUBSCRIBE news"), "[ssubscribe, news, 1]");
    let id = target.id();
    let answer = source.ask(&format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {id}"));
    assert_eq!(answer, "OK");
    assert_eq!(listener.next(), "[sunsubscribe, news, 0]");
    assert!(listener.text("SSUBSCRIBE news").starts_with("-MOVED"));
    until("the target serves the channel", || {
        (hears_own(target) == "[smessage, news, y]").then_some(())
    });
}

fn hears_own(node: &Server) -> String {
    let mut listener = node.open();
    if !listener.text("SSUBSCRIBE news").starts_with('[') {
        return String::new();
    }
    node.ask("SPUBLISH news y");
    listener.next()
}

#[test]
fn messages_go_both_ways_between_ours_and_a_stock_node() {
    let root = tempfile::tempdir().unwrap();
    let ours = Server::node(root.path(), &["--cluster-allow-foreign-nodes", "yes"]);
    let stock = Server::stock(root.path(), &["--save", ""]);
    assert_eq!(ours.ask("CLUSTER ADDSLOTSRANGE 0 8000"), "OK");
    assert_eq!(stock.ask("CLUSTER ADDSLOTSRANGE 8001 16383"), "OK");
    assert_eq!(stock.ask("CLUSTER SET-CONFIG-EPOCH 2"), "OK");
    let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", ours.port, ours.bus_port);
    assert_eq!(stock.ask(&meet), "OK");
    for node in [&ours, &stock] {
        until("it sees the other", || (node.info("cluster_state") == "ok").then_some(()));
    }
    for (from, to) in [(&ours, &stock), (&stock, &ours)] {
        let heard = hears(from, to, "SUBSCRIBE news", "PUBLISH news hello");
        assert_eq!(heard, "[message, news, hello]");
    }
    let long = "x".repeat(100_000);
    let heard = hears(&ours, &stock, "SUBSCRIBE c", &format!("PUBLISH c {long}"));
    assert_eq!(heard, format!("[message, c, {long}]"));
}
