//! Nodes become a cluster, tell about it, and send clients to the right place.

use crate::client::{Connection, text};
use crate::nodes::{Cluster, Server, redis_cli, until};

#[test]
fn redis_cli_makes_a_cluster_of_three_and_finds_it_in_order() {
    let cluster = Cluster::create(3, 0, &[]);
    let check = redis_cli(
        &["--cluster", "check", &format!("127.0.0.1:{}", cluster.nodes[1].port)].map(str::to_owned),
    );
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success(), "{said}");
    assert!(said.contains("[OK] All nodes agree about slots configuration."), "{said}");
    for node in &cluster.nodes {
        assert_eq!(node.info("cluster_slots_assigned"), "16384");
        assert_eq!(node.info("cluster_known_nodes"), "3");
        assert_eq!(node.info("cluster_size"), "3");
    }
}

#[test]
fn a_key_is_served_by_its_owner_and_by_nobody_else() {
    let cluster = Cluster::create(3, 0, &[]);
    // "foo" lies in slot 12182, which redis-cli gives to the last of three.
    let answers: Vec<String> = cluster.nodes.iter().map(|node| node.ask("SET foo bar")).collect();
    let moved = format!("-MOVED 12182 127.0.0.1:{}", cluster.nodes[2].port);
    assert_eq!(answers, [moved.clone(), moved, "OK".to_owned()]);
    assert_eq!(cluster.nodes[2].ask("GET foo"), "bar");
    assert_eq!(cluster.nodes[2].ask("CLUSTER KEYSLOT foo"), "12182");
    assert_eq!(cluster.nodes[2].ask("CLUSTER COUNTKEYSINSLOT 12182"), "1");
    assert_eq!(cluster.nodes[2].ask("CLUSTER GETKEYSINSLOT 12182 10"), "[foo]");
    assert_eq!(
        cluster.nodes[2].ask("MGET foo bar"),
        "-CROSSSLOT Keys in request don't hash to the same slot"
    );
}

#[test]
fn all_nodes_give_the_same_slots_and_the_state_agrees_with_them() {
    let cluster = Cluster::create(3, 0, &[]);
    let mut views = Vec::new();
    for node in &cluster.nodes {
        let reply = Connection::open(node.port).unwrap().call(&["CLUSTER", "SLOTS"]).unwrap();
        views.push(text(&reply));
        let state = node.state();
        assert_eq!(state.node_id, node.id());
        assert_eq!(state.slots_assigned, 16384);
        assert!(state.cluster_ok);
        assert_eq!(state.peers.len(), 2);
        assert_eq!(state.boot_id.len(), 32);
        assert!(state.peers.iter().all(|peer| peer.connected && peer.boot_id.len() == 32));
    }
    assert_eq!(views[0], views[1]);
    assert_eq!(views[0], views[2]);
}

#[test]
fn a_node_comes_back_under_its_name_and_with_its_slots() {
    let mut cluster = Cluster::create(3, 0, &[]);
    let (id, slots) = (cluster.nodes[0].id(), cluster.nodes[0].state().slots);
    let boot_id = cluster.nodes[0].state().boot_id;
    cluster.nodes[0].kill();
    cluster.nodes[0].restart();
    cluster.wait_ok();
    let state = cluster.nodes[0].state();
    assert_eq!((state.node_id, state.slots), (id, slots));
    assert_ne!(state.boot_id, boot_id);
}

#[test]
fn nodes_of_different_cluster_ids_never_join() {
    let root = tempfile::tempdir().unwrap();
    let id = |digit: &str| digit.repeat(40);
    let a = Server::node(root.path(), &["--holdfast-cluster-id", &id("a")]);
    let b = Server::node(root.path(), &["--holdfast-cluster-id", &id("b")]);
    let friend = Server::node(root.path(), &["--holdfast-cluster-id", &id("a")]);
    assert_eq!(a.ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", b.port, b.bus_port)), "OK");
    assert_eq!(a.ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", friend.port, friend.bus_port)), "OK");
    until("the friend is known", || (a.info("cluster_known_nodes") == "2").then_some(()));
    // The handshake with the stranger has had at least as long as the friend's.
    until("the stranger's handshake is over", || {
        let known = a.state().peers;
        (known.len() == 1 && known[0].node_id == friend.id()).then_some(())
    });
    until("the stranger has given up", || (b.info("cluster_known_nodes") == "1").then_some(()));
    assert_eq!(b.state().peers, []);
}

#[test]
fn the_control_port_refuses_without_the_password_and_orders_with_an_old_token() {
    let root = tempfile::tempdir().unwrap();
    let node = Server::node(root.path(), &[]);
    let mut stranger = Connection::open(node.control_port).unwrap();
    assert!(stranger.text("HOLDFAST STATE").starts_with("-NOAUTH"));
    assert!(stranger.text("AUTH holdfast wrong").starts_with("-WRONGPASS"));
    let (mut old, mut new) = (node.control(), node.control());
    assert_eq!(old.text("HOLDFAST FENCE 3"), "OK");
    assert_eq!(old.text("CLUSTER ADDSLOTSRANGE 0 5"), "OK");
    assert_eq!(new.text("HOLDFAST FENCE 4"), "OK");
    assert!(old.text("CLUSTER ADDSLOTSRANGE 6 7").starts_with("-FENCED"));
    assert!(old.text("HOLDFAST FENCE 3").starts_with("-FENCED a higher token 4"));
    assert!(old.text("CLUSTER INFO").contains("cluster_slots_assigned:6"));
    assert_eq!(new.text("CLUSTER ADDSLOTSRANGE 6 7"), "OK");
    assert_eq!(node.state().fence_token, 4);
}
