//! What a node knows in its next life, and what it must not.

use std::io::{Read, Write};
use std::net::TcpStream;

use holdfast_wire::state::BootState;

use crate::client::Connection;
use crate::nodes::{Cluster, Server, free_port, until};

fn slots_to(node: &Server) {
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    until("the cluster is ok", || (node.info("cluster_state") == "ok").then_some(()));
}

fn status_of(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or("").to_owned()
}

#[test]
fn a_fencing_token_is_refused_by_the_next_life_of_a_node_that_saw_a_higher_one() {
    let root = tempfile::tempdir().unwrap();
    let mut node = Server::node(root.path(), &[]);
    assert_eq!(node.control().text("HOLDFAST FENCE 7"), "OK");
    node.kill();
    node.restart();
    assert_eq!(node.state().fence_token, 7);
    let mut old = node.control();
    assert!(old.text("HOLDFAST FENCE 6").starts_with("-FENCED"));
    assert!(old.text("CLUSTER BUMPEPOCH").starts_with("-FENCED"));
    let mut leader = node.control();
    assert_eq!(leader.text("HOLDFAST FENCE 7"), "OK");
    assert_eq!(leader.text("HOLDFAST FENCE 8"), "OK");
    assert!(!leader.text("CLUSTER BUMPEPOCH").starts_with('-'));
}

#[test]
fn a_fencing_token_that_cannot_be_written_is_not_granted() {
    let root = tempfile::tempdir().unwrap();
    let node = Server::node(root.path(), &[]);
    // A directory in its place cannot be replaced by a file.
    std::fs::create_dir(node.dir.join("fence-token")).unwrap();
    let mut leader = node.control();
    assert!(leader.text("HOLDFAST FENCE 7").starts_with("-ERR the fencing token"));
    assert!(leader.text("CLUSTER BUMPEPOCH").starts_with("-FENCED"));
    std::fs::remove_dir(node.dir.join("fence-token")).unwrap();
    assert_eq!(leader.text("HOLDFAST FENCE 7"), "OK");
}

#[test]
fn a_migration_that_the_end_of_the_source_cut_off_is_told_as_failed() {
    let mut cluster = Cluster::create(3, 0, &[]);
    let (source, target) = (cluster.nodes[0].id(), cluster.nodes[1].id());
    assert_eq!(cluster.nodes[0].ask(&format!("CLUSTER SETSLOT 5 MIGRATING {target}")), "OK");
    cluster.nodes[0].kill();
    cluster.nodes[0].restart();
    let jobs = cluster.nodes[0].state().migrations;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(
        (jobs[0].state.as_str(), &jobs[0].peer_id, jobs[0].outgoing),
        ("failed", &target, true)
    );
    assert_eq!(jobs[0].slots, [(5, 5)]);
    assert!(jobs[0].error.contains("restarted"), "{}", jobs[0].error);
    let listed = cluster.nodes[0].ask("CLUSTER GETSLOTMIGRATIONS");
    for word in [source.as_str(), "operation, EXPORT", "slot_ranges, 5-5", "state, failed"] {
        assert!(listed.contains(word), "{word} in {listed}");
    }
    for field in ["create_time", "last_update_time", "last_ack_time", "cow_size"] {
        assert!(listed.contains(field), "{field} in {listed}");
    }
    assert!(listed.contains("remaining_repl_size, 0"), "{listed}");
}

#[test]
fn a_replica_that_was_reset_comes_back_empty() {
    let mut cluster = Cluster::create(3, 1, &["--appendonly", "yes"]);
    let keys: Vec<String> = (0..50).map(|n| format!("SET {{foo}}:{n} value")).collect();
    keys.iter().for_each(|set| assert_eq!(cluster.nodes[2].ask(set), "OK"));
    let primary = cluster.nodes[2].id();
    let is_its_replica = |node: &&mut Server| node.state().primary_id == primary;
    let replica = cluster.nodes.iter_mut().find(is_its_replica).unwrap();
    until("the replica has all", || (replica.ask("DBSIZE") == "50").then_some(()));
    assert_eq!(replica.ask("CLUSTER RESET HARD"), "OK");
    until("the replica is empty", || (replica.ask("DBSIZE") == "0").then_some(()));
    let (code, _) = replica.terminate();
    assert_eq!(code, Some(0));
    replica.restart();
    assert_eq!(replica.ask("DBSIZE"), "0");
}

#[test]
fn a_node_that_lost_its_data_says_so_everywhere_and_serves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let admin = free_port();
    let port = admin.to_string();
    let reads = ["--cluster-allow-reads-when-down", "yes"];
    let extra = ["--admin-port", &port, "--save", "", "--appendonly", "no"];
    let mut node = Server::node(root.path(), &[&extra[..], &reads].concat());
    slots_to(&node);
    assert_eq!(node.ask("SET foo bar"), "OK");
    until("it is ready", || (status_of(admin, "/readyz") == "200").then_some(()));
    node.kill();
    node.restart();
    until("it says so", || (node.state().boot == BootState::Lame).then_some(()));
    until("it is not ready", || (status_of(admin, "/readyz") == "503").then_some(()));
    assert_eq!(status_of(admin, "/livez"), "200");
    for command in ["GET foo", "SET foo baz", "EXISTS foo"] {
        let answer = node.ask(command);
        assert!(answer.starts_with("-CLUSTERDOWN"), "{command}: {answer}");
    }
    assert_eq!(node.info("cluster_state"), "fail");
    assert_eq!(node.info("holdfast_lame"), "1");
    // Nothing of that changes when the wait after a start is over.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert!(node.ask("GET foo").starts_with("-CLUSTERDOWN"));
    assert_eq!((node.info("cluster_state").as_str(), node.state().boot), ("fail", BootState::Lame));
    assert_eq!(status_of(admin, "/readyz"), "503");
}

#[test]
fn the_keys_of_a_slot_that_was_lost_go_in_slices_and_on_the_replica_too() {
    let cluster = Cluster::create(3, 1, &[]);
    let (loser, winner) = (&cluster.nodes[2], &cluster.nodes[0]);
    let mut connection = loser.open();
    for n in 0..200 {
        let mut words = vec!["MSET".to_owned()];
        (0..200).for_each(|m| words.extend([format!("{{foo}}:{n}:{m}"), "value".to_owned()]));
        connection.call(&words).unwrap();
    }
    let id = loser.id();
    let replica = cluster.nodes.iter().find(|node| node.state().primary_id == id).unwrap();
    until("the replica has all", || (replica.ask("DBSIZE") == "40000").then_some(()));
    assert_eq!(loser.ask("CONFIG RESETSTAT"), "OK");
    // A claim with a higher epoch, against which nothing can be said.
    assert_eq!(winner.ask(&format!("CLUSTER SETSLOT 12182 NODE {}", winner.id())), "OK");
    winner.ask("CLUSTER BUMPEPOCH");
    let mut probe: Connection = loser.open();
    until("the keys are gone", || {
        assert_eq!(probe.text("PING"), "PONG");
        (probe.text("DBSIZE") == "0").then_some(())
    });
    until("the replica's are gone", || (replica.ask("DBSIZE") == "0").then_some(()));
    assert!(loser.log().contains("Deleted 40000 keys"));
    assert!(loser.ask("GET {foo}:1:1").starts_with("-MOVED 12182"));
}
