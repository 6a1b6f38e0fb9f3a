//! MULTI, EXEC, WATCH.

use crate::harness::Node;

#[test]
fn queued_commands_run_together_and_an_error_in_one_stops_no_other() {
    let node = Node::start(&[]);
    let (mut one, mut two) = (node.client(), node.client());
    assert_eq!(one.ask("MULTI"), "OK");
    assert_eq!(one.ask("SET a 1"), "QUEUED");
    assert_eq!(one.ask("LPUSH a x"), "QUEUED");
    assert_eq!(one.ask("INCR a"), "QUEUED");
    assert_eq!(two.ask("GET a"), "nil");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(one.ask("EXEC"), format!("[OK {wrong} 2]"));
    assert_eq!(one.ask("EXEC"), "-ERR EXEC without MULTI");
    assert_eq!(one.ask("DISCARD"), "-ERR DISCARD without MULTI");
}

#[test]
fn a_request_that_cannot_be_queued_aborts_the_whole() {
    let node = Node::start(&[]);
    let mut client = node.client();
    for wrong in ["NONSENSE", "SET a"] {
        client.ask("MULTI");
        assert_eq!(client.ask("SET a 1"), "QUEUED");
        assert!(client.ask(wrong).starts_with("-ERR"));
        assert_eq!(
            client.ask("EXEC"),
            "-EXECABORT Transaction discarded because of previous errors."
        );
    }
    assert_eq!(client.ask("GET a"), "nil");
    client.ask("MULTI");
    assert_eq!(client.ask("MULTI"), "-ERR MULTI calls can not be nested");
    assert_eq!(client.ask("WATCH a"), "-ERR WATCH inside MULTI is not allowed");
    assert_eq!(client.ask("DISCARD"), "OK");
}

#[test]
fn a_watched_key_that_changed_stops_the_transaction() {
    let node = Node::start(&["--enable-debug-command", "yes"]);
    let (mut one, mut two) = (node.client(), node.client());
    let changes: &[(&str, &str)] = &[
        ("SET k 0", "SET k 1"),
        ("SET k 0", "DEL k"),
        ("SET k 0", "FLUSHALL"),
        ("DEL k", "RPUSH k x"),
        ("SET k 0", "RENAME k l"),
        ("SET k 0", "PEXPIRE k 1000000"),
        ("SET k 0", "DEBUG RELOAD"),
    ];
    for (before, change) in changes {
        two.ask(before);
        assert_eq!(one.ask("WATCH k other"), "OK");
        assert!(!two.ask(change).starts_with('-'), "{change}");
        one.ask("MULTI");
        one.ask("PING");
        assert_eq!(one.ask("EXEC"), "nil", "{change}");
        two.ask("FLUSHALL");
    }
}

#[test]
fn what_did_not_change_stops_nothing() {
    let node = Node::start(&[]);
    let (mut one, mut two) = (node.client(), node.client());
    for quiet in ["SET other 1", "DEL k", "FLUSHALL", "GET k", "SET k 1 XX"] {
        assert_eq!(one.ask("WATCH k"), "OK");
        two.ask(quiet);
        one.ask("MULTI");
        one.ask("PING");
        assert_eq!(one.ask("EXEC"), "[PONG]", "{quiet}");
    }
    one.ask("WATCH k");
    two.ask("SET k 1");
    assert_eq!(one.ask("UNWATCH"), "OK");
    one.ask("MULTI");
    one.ask("GET k");
    assert_eq!(one.ask("EXEC"), "[1]");
}

#[test]
fn a_watched_key_that_expires_counts_as_changed() {
    let node = Node::start(&["--enable-debug-command", "yes"]);
    let mut client = node.client();
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    client.ask("SET k v PX 30");
    client.ask("WATCH k");
    client.ask("DEBUG SLEEP 0.05");
    client.ask("MULTI");
    client.ask("PING");
    assert_eq!(client.ask("EXEC"), "nil");
}

#[test]
fn a_watched_key_that_expired_before_the_flush_counts_as_changed() {
    let node = Node::start(&["--enable-debug-command", "yes"]);
    let mut client = node.client();
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    client.ask("SET k v PX 30");
    client.ask("WATCH k");
    client.ask("DEBUG SLEEP 0.05");
    client.ask("FLUSHALL");
    client.ask("MULTI");
    client.ask("PING");
    assert_eq!(client.ask("EXEC"), "nil");
}

#[test]
fn memory_that_is_short_refuses_only_what_needs_more() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.ask(&format!("SET big {}", "x".repeat(10_000)));
    let mut other = node.client();
    client.ask("MULTI");
    client.ask("SET a 1");
    assert_eq!(other.ask("CONFIG SET maxmemory 1000"), "OK");
    let refused = "-EXECABORT Transaction discarded because of: OOM command not allowed when used \
                   memory > 'maxmemory'.";
    assert_eq!(client.ask("EXEC"), refused);
    assert!(client.ask("SET a 1").starts_with("-OOM"));
    client.ask("MULTI");
    client.ask("STRLEN big");
    client.ask("DEL big");
    assert_eq!(client.ask("EXEC"), "[10000 1]");
}
