//! Publish and subscribe on one node, and down to its replicas.

use std::time::Duration;

use crate::harness::{Client, Node, eventually, info, text};

fn push(client: &mut Client) -> String {
    format!("{:?}", client.receive())
}

#[test]
fn a_message_reaches_who_listens_by_name_and_by_pattern() {
    let node = Node::start(&[]);
    let (mut listener, mut other) = (node.client(), node.client());
    assert_eq!(listener.ask("SUBSCRIBE news old"), "[subscribe news 1]");
    assert_eq!(text(&listener.receive()), "[subscribe old 2]");
    assert_eq!(listener.ask("PSUBSCRIBE n*"), "[psubscribe n* 3]");
    assert_eq!(other.ask("PUBLISH news hello"), "2");
    assert_eq!(text(&listener.receive()), "[message news hello]");
    assert_eq!(text(&listener.receive()), "[pmessage n* news hello]");
    assert_eq!(other.ask("PUBSUB NUMSUB news none"), "[news 1 none 0]");
    assert_eq!(other.ask("PUBSUB NUMPAT"), "1");
    assert_eq!(listener.ask("UNSUBSCRIBE"), "[unsubscribe news 2]");
    assert_eq!(text(&listener.receive()), "[unsubscribe old 1]");
    assert_eq!(listener.ask("UNSUBSCRIBE"), "[unsubscribe nil 1]");
    assert_eq!(other.ask("PUBLISH news again"), "1");
    assert_eq!(text(&listener.receive()), "[pmessage n* news again]");
    drop(listener);
    eventually("who has gone is forgotten", || other.ask("PUBLISH news x") == "0");
    assert_eq!(info(&mut other, "pubsub_patterns"), "0");
}

#[test]
fn in_resp2_a_listener_may_do_nothing_else_until_it_listens_to_nothing() {
    let node = Node::start(&[]);
    let mut client = node.client();
    assert_eq!(client.ask("SSUBSCRIBE a"), "[ssubscribe a 1]");
    assert!(client.ask("GET k").starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"));
    assert_eq!(client.ask("PING"), "[pong ]");
    assert_eq!(client.ask("PING x"), "[pong x]");
    assert_eq!(client.ask("SUNSUBSCRIBE a"), "[sunsubscribe a 0]");
    assert_eq!(client.ask("GET k"), "nil");
    assert_eq!(client.ask("SUBSCRIBE a"), "[subscribe a 1]");
    assert_eq!(client.ask("RESET"), "RESET");
    assert_eq!(client.ask("PUBLISH a x"), "0");
}

#[test]
fn in_resp3_messages_are_pushes_that_come_behind_ones_own_reply() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.ask("HELLO 3");
    client.ask("SUBSCRIBE a");
    assert_eq!(client.ask("PUBLISH a 1"), "1");
    assert!(push(&mut client).starts_with("Push("));
    client.ask("MULTI");
    client.ask("PUBLISH a 2");
    client.ask("PUBLISH a 3");
    assert_eq!(client.ask("EXEC"), "[1 1]");
    assert!(push(&mut client).contains("50"));
    assert!(push(&mut client).contains("51"));
    assert_eq!(client.ask("GET k"), "nil");
}

#[test]
fn channels_of_shards_are_apart_from_the_others() {
    let node = Node::start(&[]);
    let (mut listener, mut other) = (node.client(), node.client());
    listener.ask("SSUBSCRIBE a");
    assert_eq!(other.ask("PUBLISH a x"), "0");
    assert_eq!(other.ask("SPUBLISH a y"), "1");
    assert_eq!(text(&listener.receive()), "[smessage a y]");
    assert_eq!(other.ask("PUBSUB CHANNELS"), "[]");
    assert_eq!(other.ask("PUBSUB SHARDCHANNELS"), "[a]");
    assert_eq!(other.ask("PUBSUB SHARDNUMSUB a"), "[a 1]");
}

#[test]
fn replicas_publish_what_their_primary_does_and_no_file_keeps_it() {
    let primary = Node::start(&["--appendonly", "yes"]);
    let port = primary.port.to_string();
    let replica = Node::start(&["--replicaof", "127.0.0.1", &port]);
    let (mut at_primary, mut at_replica) = (primary.client(), replica.client());
    let mut listener = replica.client();
    listener.ask("SUBSCRIBE a");
    eventually("it follows", || info(&mut at_replica, "master_link_status") == "up");
    eventually("it is fed", || info(&mut at_primary, "slave0").contains("online"));
    let changes = info(&mut at_primary, "rdb_changes_since_last_save");
    assert_eq!(at_primary.ask("PUBLISH a x"), "0");
    assert_eq!(text(&listener.receive()), "[message a x]");
    at_primary.ask("MULTI");
    at_primary.ask("PUBLISH a y");
    at_primary.ask("SPUBLISH a z");
    at_primary.ask("EXEC");
    assert_eq!(text(&listener.receive()), "[message a y]");
    assert_eq!(info(&mut at_primary, "rdb_changes_since_last_save"), changes);
    // Publishing on a replica is its own affair, and does not bend its stream.
    assert_eq!(at_replica.ask("PUBLISH a w"), "1");
    at_primary.ask("SET k v");
    eventually("it still follows", || at_replica.ask("GET k") == "v");
    let offsets = |c: &mut Client| info(c, "master_repl_offset");
    eventually("no offset differs", || offsets(&mut at_primary) == offsets(&mut at_replica));
}

#[test]
fn a_listener_that_does_not_read_is_cut_off() {
    let limit = "client-output-buffer-limit pubsub 1mb 0 0";
    let node = Node::start(&[]);
    let (mut listener, mut other) = (node.client(), node.client());
    let words: Vec<&str> = limit.splitn(2, ' ').collect();
    assert_eq!(text(&other.call(&["CONFIG", "SET", words[0], words[1]])), "OK");
    listener.ask("SUBSCRIBE a");
    let message = "x".repeat(100_000);
    eventually("it is cut off", || text(&other.call(&["PUBLISH", "a", &message])) == "0");
    assert_eq!(info(&mut other, "client_output_buffer_limit_disconnections"), "1");
    assert!(!listener.is_silent_for(Duration::from_millis(10)));
}
