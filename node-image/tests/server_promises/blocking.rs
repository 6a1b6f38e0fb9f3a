//! Clients that wait for keys.

use std::time::{Duration, Instant};

use crate::harness::{Node, eventually, info, text};

#[test]
fn who_waited_longest_is_served_first() {
    let node = Node::start(&[]);
    let mut admin = node.client();
    let mut waiting: Vec<_> = (0..3).map(|_| node.client()).collect();
    for (at, client) in waiting.iter_mut().enumerate() {
        client.send(&["BLPOP", "first", "second", "0"]);
        let count = (at + 1).to_string();
        eventually("it waits", || info(&mut admin, "blocked_clients") == count);
    }
    assert_eq!(admin.ask("RPUSH second a b"), "2");
    assert_eq!(text(&waiting[0].receive()), "[second a]");
    assert_eq!(text(&waiting[1].receive()), "[second b]");
    assert!(waiting[2].is_silent_for(Duration::from_millis(50)));
    assert_eq!(admin.ask("RPUSH first c"), "1");
    assert_eq!(text(&waiting[2].receive()), "[first c]");
    assert_eq!(admin.ask("EXISTS first second"), "0");
}

#[test]
fn requests_behind_a_waiting_one_wait_too_and_keep_their_order() {
    let node = Node::start(&[]);
    let (mut waiter, mut other) = (node.client(), node.client());
    waiter.send(&["BLPOP", "k", "0"]);
    waiter.send(&["SET", "after", "1"]);
    waiter.send(&["PING"]);
    eventually("it waits", || info(&mut other, "blocked_clients") == "1");
    assert_eq!(other.ask("GET after"), "nil");
    other.ask("RPUSH k x");
    assert_eq!(text(&waiter.receive()), "[k x]");
    assert_eq!(text(&waiter.receive()), "OK");
    assert_eq!(text(&waiter.receive()), "PONG");
}

#[test]
fn waiting_has_an_end() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let began = Instant::now();
    assert_eq!(client.ask("BLPOP k 0.1"), "nil");
    // The clock of the node counts whole milliseconds, and begins within one.
    assert!(began.elapsed() >= Duration::from_millis(98));
    assert_eq!(client.ask("BLPOP k -1"), "-ERR timeout is negative");
    client.ask("MULTI");
    client.ask("BLPOP k 0");
    assert_eq!(client.ask("EXEC"), "[nil]");
}

#[test]
fn a_key_made_within_a_transaction_serves_once_it_is_over() {
    let node = Node::start(&[]);
    let (mut waiter, mut other) = (node.client(), node.client());
    waiter.send(&["BLPOP", "k", "0"]);
    eventually("it waits", || info(&mut other, "blocked_clients") == "1");
    other.ask("MULTI");
    other.ask("RPUSH k x");
    other.ask("DEL k");
    other.ask("RPUSH k y");
    assert_eq!(other.ask("EXEC"), "[1 1 1]");
    assert_eq!(text(&waiter.receive()), "[k y]");
}

#[test]
fn a_waiter_can_wake_a_waiter() {
    let node = Node::start(&[]);
    let (mut one, mut two, mut other) = (node.client(), node.client(), node.client());
    one.send(&["BLMOVE", "a", "b", "LEFT", "LEFT", "0"]);
    two.send(&["BLPOP", "b", "0"]);
    eventually("both wait", || info(&mut other, "blocked_clients") == "2");
    other.ask("RPUSH a x");
    assert_eq!(text(&one.receive()), "x");
    assert_eq!(text(&two.receive()), "[b x]");
}

#[test]
fn a_waiter_that_is_unblocked_or_gone_takes_nothing() {
    let node = Node::start(&[]);
    let (mut one, mut other) = (node.client(), node.client());
    let id = one.ask("CLIENT ID");
    one.send(&["BLPOP", "k", "0"]);
    eventually("it waits", || info(&mut other, "blocked_clients") == "1");
    assert_eq!(other.ask(&format!("CLIENT UNBLOCK {id} ERROR")), "1");
    assert_eq!(text(&one.receive()), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    assert_eq!(other.ask(&format!("CLIENT UNBLOCK {id}")), "0");
    one.send(&["BLPOP", "k", "0"]);
    eventually("it waits", || info(&mut other, "blocked_clients") == "1");
    drop(one);
    eventually("it is gone", || info(&mut other, "blocked_clients") == "0");
    assert_eq!(other.ask("RPUSH k x"), "1");
    assert_eq!(other.ask("LLEN k"), "1");
}
