//! What a connection may do that has asked for the stream of writes.

use std::time::Duration;

use crate::harness::{Client, Node, eventually, info};

/// Turns a connection into a replica's, in step with the node.
fn follow(node: &Node, client: &mut Client) {
    let mut admin = node.client();
    let (id, offset) = (info(&mut admin, "master_replid"), info(&mut admin, "master_repl_offset"));
    let next = offset.parse::<u64>().unwrap() + 1;
    let said = client.ask(&format!("PSYNC {id} {next}"));
    assert!(said.starts_with("CONTINUE"), "{said}");
}

#[test]
fn a_replica_has_its_users_rights_and_no_more() {
    let node = Node::start(&[]);
    let (mut admin, mut replica) = (node.client(), node.client());
    admin.ask("ACL SETUSER copier on nopass +psync +replconf +get ~mine");
    assert_eq!(replica.ask("AUTH copier x"), "OK");
    follow(&node, &mut replica);
    for line in ["SET mine 1", "CONFIG GET *", "ACL LIST", "FLUSHALL", "PING"] {
        let said = replica.ask(line);
        assert!(said.starts_with("-NOPERM"), "{line}: {said}");
    }
    assert!(replica.ask("GET other").starts_with("-NOPERM"));
    assert_eq!(replica.ask("REPLCONF capa eof"), "OK");
    assert_eq!(admin.ask("DBSIZE"), "0");
    // A user that is deleted takes its replicas along.
    assert_eq!(admin.ask("ACL DELUSER copier"), "1");
    assert_eq!(replica.try_receive(), None);
}

#[test]
fn a_replica_does_not_interact_with_the_keyspace() {
    let node = Node::start(&[]);
    let (mut admin, mut replica) = (node.client(), node.client());
    follow(&node, &mut replica);
    let refusal = "-ERR Replica can't interact with the keyspace";
    for line in ["SET k 1", "GET k", "FLUSHALL", "EVAL return 0", "PUBLISH a b", "PFCOUNT k"] {
        assert_eq!(replica.ask(line), refusal, "{line}");
    }
    assert_eq!(replica.ask("MULTI"), "OK");
    assert_eq!(replica.ask("SET k 1"), refusal);
    assert!(replica.ask("EXEC").starts_with("-EXECABORT"));
    assert_eq!(replica.ask("PING"), "PONG");
    assert_eq!(admin.ask("DBSIZE"), "0");
}

#[test]
fn a_pause_stops_a_replica_except_for_what_it_reports() {
    let node = Node::start(&[]);
    let (mut admin, mut replica) = (node.client(), node.client());
    follow(&node, &mut replica);
    assert_eq!(admin.ask("CLIENT PAUSE 100000 ALL"), "OK");
    assert_eq!(replica.ask("REPLCONF capa eof"), "OK");
    replica.send(&["PING"]);
    assert!(replica.is_silent_for(Duration::from_millis(200)));
    assert_eq!(admin.ask("CLIENT UNPAUSE"), "OK");
    assert_eq!(replica.ask("REPLCONF capa eof"), "PONG");
}

#[test]
fn acknowledgements_are_heard_while_much_of_the_stream_waits() {
    let node = Node::start(&[]);
    let (mut admin, mut replica) = (node.client(), node.client());
    follow(&node, &mut replica);
    let value = "x".repeat(500_000);
    for _ in 0..60 {
        admin.call(&["SET", "k", &value]);
    }
    replica.send(&["REPLCONF", "ACK", "12345678"]);
    eventually("it is heard", || info(&mut admin, "slave0").contains("offset=12345678"));
}
