//! The `has-data` mark: a node that lost its data knows that it had some.

use super::servers::{Server, until};

const CLUSTER: &[&str] = &["--cluster-enabled", "yes"];

fn mark(server: &Server) -> bool {
    server.dir.join("has-data").exists()
}

fn one_node(root: &std::path::Path, extra: &[&str]) -> Server {
    let server = Server::ours(root, &[CLUSTER, extra].concat());
    assert_eq!(server.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    let is_ok = || server.ask("CLUSTER INFO").contains("cluster_state:ok");
    until("the cluster is ok", || is_ok().then_some(()));
    server
}

#[test]
fn the_mark_is_durable_before_the_first_write_is_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let server = one_node(root.path(), &[]);
    assert!(!mark(&server));
    assert_eq!(server.ask("GET a"), "(nil)");
    assert_eq!(server.ask("SET a 1"), "OK");
    assert!(mark(&server));
}

#[test]
fn flushall_takes_the_mark_away_and_the_next_write_sets_it_again() {
    let root = tempfile::tempdir().unwrap();
    let server = one_node(root.path(), &[]);
    server.ask("SET a 1");
    server.ask("DEL a");
    assert!(mark(&server), "a node that ran empty by DEL keeps it");
    server.ask("SET a 1");
    assert_eq!(server.ask("FLUSHALL"), "OK");
    until("the mark is gone", || (!mark(&server)).then_some(()));
    server.ask("SET b 1");
    assert!(mark(&server));
}

#[test]
fn a_node_that_comes_back_without_its_data_does_not_serve() {
    let root = tempfile::tempdir().unwrap();
    let mut server = one_node(root.path(), &[]);
    assert_eq!(server.ask("SET a 1"), "OK");
    server.kill();
    server.restart();
    until("it refuses", || server.ask("GET a").starts_with("-CLUSTERDOWN").then_some(()));
    assert!(server.ask("SET a 2").starts_with("-CLUSTERDOWN"));
    assert!(server.ask("PSYNC ? -1").starts_with("-NOMASTERLINK"));
    // An orderly end of a lame node must not make it forget what it lost.
    server.terminate();
    assert!(mark(&server));
}

#[test]
fn a_node_that_comes_back_with_its_data_serves_it() {
    let root = tempfile::tempdir().unwrap();
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = one_node(root.path(), &always);
    assert_eq!(server.ask("SET a 1"), "OK");
    server.kill();
    server.restart();
    until("it serves", || (server.ask("GET a") == "1").then_some(()));
    // Data that is there and empty is no loss.
    assert_eq!(server.ask("DEL a"), "1");
    server.kill();
    server.restart();
    until("it serves", || (server.ask("GET a") == "(nil)").then_some(()));
}

#[test]
fn an_empty_node_that_ends_in_an_orderly_way_comes_back_and_serves() {
    let root = tempfile::tempdir().unwrap();
    let mut server = one_node(root.path(), &[]);
    server.ask("SET a 1");
    server.ask("DEL a");
    server.terminate();
    assert!(!mark(&server));
    server.restart();
    until("it serves", || (server.ask("SET a 2") == "OK").then_some(()));
}
