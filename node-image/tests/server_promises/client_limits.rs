//! What clients may cost, each and all together.

use crate::harness::{Client, Node, eventually, info, text};

fn named(node: &Node, name: &str) -> Client {
    let mut client = node.client();
    assert_eq!(client.ask(&format!("CLIENT SETNAME {name}")), "OK");
    client
}

#[test]
fn the_largest_client_goes_when_all_together_cost_too_much() {
    let node = Node::start(&["--maxmemory-clients", "1000000"]);
    let (mut admin, mut small) = (named(&node, "admin"), named(&node, "small"));
    let mut large = named(&node, "large");
    small.send_raw(format!("*1\r\n$400000\r\n{}", "x".repeat(200_000)).as_bytes());
    assert!(admin.ask("CLIENT LIST").contains("name=small"));
    large.send_raw(format!("*1\r\n$2000000\r\n{}", "x".repeat(900_000)).as_bytes());
    eventually("it is gone", || !admin.ask("CLIENT LIST").contains("name=large"));
    assert!(admin.ask("CLIENT LIST").contains("name=small"));
    assert_eq!(info(&mut admin, "evicted_clients"), "1");
    // A lower bound takes hold at once.
    assert_eq!(admin.ask("CLIENT NO-EVICT ON"), "OK");
    assert_eq!(admin.ask("CONFIG SET maxmemory-clients 100000"), "OK");
    eventually("the next is gone", || !admin.ask("CLIENT LIST").contains("name=small"));
}

#[test]
fn transactions_and_subscriptions_count_too_and_no_evict_saves_from_it() {
    let node = Node::start(&["--maxmemory-clients", "300000"]);
    let (mut admin, mut saved) = (node.client(), named(&node, "saved"));
    admin.ask("CLIENT NO-EVICT ON");
    saved.ask("CLIENT NO-EVICT ON");
    saved.ask("MULTI");
    let value = "x".repeat(50_000);
    for _ in 0..10 {
        assert_eq!(text(&saved.call(&["SET", "k", &value])), "QUEUED");
    }
    assert!(saved.try_ask("EXEC").is_some());
    let mut listener = node.client();
    let mut count = 0;
    while listener.try_ask(&format!("SUBSCRIBE channel-{count}")).is_some() {
        count += 1;
        assert!(count < 10_000, "subscriptions cost nothing");
    }
    assert_eq!(admin.ask("PUBSUB CHANNELS"), "[]");
}

#[test]
fn a_reply_over_the_limit_is_not_sent_and_not_even_made_whole() {
    let node = Node::start(&[]);
    let (mut client, mut other) = (node.client(), node.client());
    client.ask("HSET h f v");
    let limit = "normal 1000000 0 0";
    assert_eq!(text(&other.call(&["CONFIG", "SET", "client-output-buffer-limit", limit])), "OK");
    assert_eq!(client.try_ask("HRANDFIELD h -999999999"), None);
    assert_eq!(other.ask("PING"), "PONG");
    // A transaction is carried out to its end although nobody gets the reply.
    let value = "x".repeat(600_000);
    other.call(&["SET", "large", &value]);
    let mut client = node.client();
    for line in ["MULTI", "GET large", "GET large", "SET after done"] {
        client.ask(line);
    }
    assert_eq!(client.try_ask("EXEC"), None);
    assert_eq!(other.ask("GET after"), "done");
}
